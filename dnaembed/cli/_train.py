"""``dnaembed train``: a model from folders of genomes."""

from typing import Annotated, Any, Literal

from typer import Argument, Option

from ._app import command
from ._options import Computing, Optimising, flag, given, group, option

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


@group("Genomes")
class Genomes:
    """Which genomes."""

    catalog: str | None = option("Default: catalog.tsv in GENOMES.", "TSV")
    labels: str | None = option("Path in GENOMES, tab, species; in place of a catalogue.", "TSV")
    split: str | None = option("Train on this split of the catalogue.", "NAME")
    validation_split: str | None = option("Measure the loss on this split.", "NAME")


@group("Model")
class Start(Computing):
    """What the model is made of."""

    architecture: Literal["kmer_profile", "dnabert"] | None = option(
        "Of a new model (default: kmer_profile)."
    )
    model: str | None = option("Start from this model instead.", "NAME")


@group("Training")
class Training(Optimising):
    """What a recipe has in its section training; None: as the recipe says."""

    n_steps: int | None = option("Optimiser steps (default: 5000).", "N", "--steps", min=1)
    batch_size: int | None = option("Pairs per step (default: 256).", "N", min=1)
    learning_rate: float | None = option("Highest, of the model (default: 0.001).", "X")
    loss: Literal["c2lr", "weighted_simclr", "mi_mix", "i_mix", "supcon"] | None = option(
        "What is minimised (default: c2lr)."
    )
    temperature: float | None = option("Of the loss (default: 0.05).", "X")
    checkpoint_every: int | None = option("Steps between checkpoints (default: 500).", "N", min=1)
    eval_every: int | None = option("Steps between validations (default: none).", "N", min=1)
    n_workers: int | None = option("Threads that prepare (default: 1).", "N", "--workers", min=1)


@group()
class Run:
    """Where it is told what to do, and whether it has begun."""

    resume: bool = flag("Resume from the newest checkpoint in RUN.")
    config: str | None = option("Recipe, .toml or .json.", "RECIPE")


@command(_EXAMPLES)
def train(
    genomes: Annotated[
        list[str],
        Argument(metavar="GENOMES", help="Folder of genomes; several have a catalogue each."),
    ],
    output: Annotated[str, Option("--output", "-o", metavar="RUN", help="New folder of the run.")],
    run: Run,
    data: Genomes,
    training: Training,
    start: Start,
) -> None:
    """Train a model on folders of genomes.

    It learns that pieces of genomes of one species lie close together, by curriculum contrastive
    learning on pieces drawn anew at every step.
    """
    from ..training import train_model
    from ..training._recipe import merge_recipes, read_recipe

    if start.model is not None and start.architecture is not None:
        raise ValueError("--model has its own architecture: give one of --model, --architecture.")
    begin = {"architecture": start.architecture, "path": start.model}
    options = {
        "model": {name: value for name, value in begin.items() if value is not None},
        "training": given(training),
    }
    recipe = merge_recipes(read_recipe(run.config) if run.config is not None else {}, options)
    where: Any = {"resume": run.resume, "device": start.device, "seed": start.seed}
    train_model(genomes, recipe, output, **vars(data), **where)
