"""``dnaembed train``: a model from folders of genomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from typer import Argument, Option

from ._app import command
from ._options import Device, Optimising, Seed, panel

_EXAMPLES = """\
  dnaembed train genomes/ -o run/                      a k-mer model from scratch
  dnaembed train genomes/ -o run/ --resume             resume after an interruption
  dnaembed train genomes/ -o run/ --config recipe.toml --split train
  dnaembed train genomes/ -o run/ --model dnabert-s/ --learning-rate 3e-6
  dnaembed train genomes/ more/ -o run/                several folders
  torchrun --nproc-per-node 8 -m dnaembed train ...    several GPUs

genomes/ holds one FASTA file per genome; catalog.tsv in it (columns path, label and,
if there are such, domain and split) or --labels says which genomes are of one
species. Genomes that are too short are left out and counted. run/model is the result,
to be used as --model; run/best the best so far, run/log.csv the course of the loss.

A recipe (TOML or JSON) has the sections [model], [pairs], [training], [linear] and
[output]; what is given as an option wins over it.
"""


@dataclass(frozen=True)
class Genomes:
    """Which genomes."""

    catalog: Annotated[
        str | None, panel("Genomes", metavar="TSV", help="Default: catalog.tsv in GENOMES.")
    ] = None
    labels: Annotated[
        str | None,
        panel(
            "Genomes", metavar="TSV", help="Path in GENOMES, tab, species; in place of a catalogue."
        ),
    ] = None
    split: Annotated[
        str | None, panel("Genomes", metavar="NAME", help="Train on this split of the catalogue.")
    ] = None
    validation_split: Annotated[
        str | None,
        panel("Genomes", metavar="NAME", help="Measure the loss on this split, of other species."),
    ] = None


@dataclass(frozen=True)
class Training(Optimising):
    """What a recipe has in its section training; None: as the recipe says."""

    loss: Annotated[
        str | None, panel("Training", metavar="NAME", help="One of dnaembed.training.LOSSES.")
    ] = None
    temperature: Annotated[float | None, panel("Training", metavar="X", help="Of the loss.")] = None
    checkpoint_every: Annotated[
        int | None, panel("Training", min=1, metavar="N", help="Steps.")
    ] = None
    eval_every: Annotated[int | None, panel("Training", min=1, metavar="N", help="Steps.")] = None
    n_workers: Annotated[
        int | None,
        panel("Training", "--workers", min=1, metavar="N", help="Threads that prepare batches."),
    ] = None


@command(_EXAMPLES)
def train(
    genomes: Annotated[
        list[str],
        Argument(metavar="GENOMES", help="Folder of genomes; several have a catalogue each."),
    ],
    output: Annotated[str, Option("--output", "-o", metavar="RUN", help="New folder of the run.")],
    data: Genomes,
    training: Training,
    resume: Annotated[
        bool, Option("--resume", help="Resume from the newest checkpoint in RUN.")
    ] = False,
    config: Annotated[str | None, Option(metavar="RECIPE", help="Recipe, .toml or .json.")] = None,
    architecture: Annotated[
        str | None, panel("Model", metavar="NAME", help="Of a new model (default: kmer_profile).")
    ] = None,
    model: Annotated[
        str | None, panel("Model", metavar="NAME", help="Start from this model instead.")
    ] = None,
    device: Device = "auto",
    seed: Seed = 0,
) -> None:
    """Train a model on folders of genomes.

    It learns that pieces of genomes of one species lie close together, by curriculum contrastive
    learning on pieces drawn anew at every step.
    """
    from ..training import train_model
    from ..training._recipe import merge_recipes, read_recipe

    if model is not None and architecture is not None:
        raise ValueError("--model has its own architecture: give one of --model, --architecture.")
    start = {"architecture": architecture, "path": model}
    options = {
        "model": {name: value for name, value in start.items() if value is not None},
        "training": training.given(),
    }
    given = read_recipe(config) if config is not None else {}
    train_model(
        genomes,
        merge_recipes(given, options),
        output,
        **vars(data),
        resume=resume,
        device=device,
        seed=seed,
    )
