"""``dnaembed train``: a model from folders of genomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

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
[output]; options win over it.
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

    n_steps: Annotated[
        int | None,
        panel("Training", "--steps", min=1, metavar="N", help="Optimiser steps (default: 5000)."),
    ] = None
    batch_size: Annotated[
        int | None, panel("Training", min=1, metavar="N", help="Pairs per step (default: 256).")
    ] = None
    learning_rate: Annotated[
        float | None, panel("Training", metavar="X", help="Highest, of the model (default: 0.001).")
    ] = None
    loss: Annotated[
        Literal["c2lr", "weighted_simclr", "mi_mix", "i_mix", "supcon"] | None,
        panel("Training", help="What is minimised (default: c2lr)."),
    ] = None
    temperature: Annotated[
        float | None, panel("Training", metavar="X", help="Of the loss (default: 0.05).")
    ] = None
    checkpoint_every: Annotated[
        int | None,
        panel("Training", min=1, metavar="N", help="Steps between checkpoints (default: 500)."),
    ] = None
    eval_every: Annotated[
        int | None,
        panel("Training", min=1, metavar="N", help="Steps between validations (default: none)."),
    ] = None
    n_workers: Annotated[
        int | None,
        panel(
            "Training",
            "--workers",
            min=1,
            metavar="N",
            help="Threads that prepare batches (default: 1).",
        ),
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
        Literal["kmer_profile", "dnabert"] | None,
        panel("Model", help="Of a new model (default: kmer_profile)."),
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
