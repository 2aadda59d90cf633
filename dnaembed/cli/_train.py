"""``dnaembed train``: a model from a folder of genomes."""

from __future__ import annotations

import argparse
from typing import Any

from ._common import new_parser, positive_int

_EXAMPLES = """\
  dnaembed train genomes/ -o run/                      a k-mer model from scratch
  dnaembed train genomes/ -o run/ --resume             go on after an interruption
  dnaembed train genomes/ -o run/ --config recipe.toml --split train --validation-split dev
  dnaembed train genomes/ -o run/ --model dnabert-s/ --learning-rate 3e-6
  torchrun --nproc-per-node 8 -m dnaembed train ...    several GPUs

genomes/ holds one FASTA file a genome; catalog.tsv in it (columns path, label and, if there are
such, domain and split) or --labels says which genomes are of one species. run/model is the result,
to be used as --model; run/best the best so far, run/log.csv the course of the loss.

A recipe (TOML or JSON) has the sections [model], [pairs], [training], [linear] and [output]; what
is given as an option wins over it.
"""

# The option, section and name of each value that a recipe can hold as well.
_OPTIONS = (
    ("architecture", "model", "architecture"),
    ("model", "model", "path"),
    ("steps", "training", "n_steps"),
    ("batch_size", "training", "batch_size"),
    ("learning_rate", "training", "learning_rate"),
    ("loss", "training", "loss"),
    ("temperature", "training", "temperature"),
    ("mixed_precision", "training", "mixed_precision"),
    ("budget", "training", "budget"),
    ("checkpoint_every", "training", "checkpoint_every"),
    ("eval_every", "training", "eval_every"),
    ("workers", "training", "n_workers"),
)


def add_parser(subparsers: Any) -> None:
    """Add the sub-command."""
    parser = new_parser(
        subparsers,
        "train",
        summary="train a model on a folder of genomes",
        description="Train a model so that pieces of genomes of one species lie close together, by "
        "curriculum contrastive learning on pieces drawn anew at every step.",
        examples=_EXAMPLES,
    )
    parser.add_argument("genomes", metavar="GENOMES", help="folder of genomes")
    parser.add_argument(
        "-o", "--output", required=True, metavar="RUN", help="new folder of the run"
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on from the newest checkpoint in RUN"
    )
    parser.add_argument("--config", metavar="RECIPE", help="recipe, .toml or .json")
    parser.add_argument(
        "--device", default="auto", help="cpu, cuda, ... (default: the best there is)"
    )
    parser.add_argument("--seed", type=_natural, default=0, metavar="N", help="default: 0")
    data = parser.add_argument_group("genomes")
    data.add_argument("--catalog", metavar="TSV", help="default: catalog.tsv in GENOMES")
    data.add_argument(
        "--labels", metavar="TSV", help="path in GENOMES, tab, species; in place of a catalogue"
    )
    data.add_argument("--split", metavar="NAME", help="train on this split of the catalogue")
    data.add_argument(
        "--validation-split",
        metavar="NAME",
        help="measure the loss on this split, of other species",
    )
    model = parser.add_argument_group("model")
    model.add_argument(
        "--architecture",
        choices=("kmer_profile", "dnabert"),
        help="of a new model (default: kmer_profile)",
    )
    model.add_argument("--model", metavar="NAME", help="start from this model instead")
    training = parser.add_argument_group("training (defaults: those of the recipe)")
    training.add_argument("--steps", type=positive_int, metavar="N", help="optimiser steps")
    training.add_argument("--batch-size", type=positive_int, metavar="N", help="pairs in a step")
    training.add_argument("--learning-rate", type=float, metavar="X", help="highest, of the model")
    training.add_argument(
        "--loss", choices=("c2lr", "weighted_simclr", "mi_mix", "i_mix", "supcon"), help="loss"
    )
    training.add_argument("--temperature", type=float, metavar="X", help="of the loss")
    training.add_argument(
        "--mixed-precision", choices=("fp32", "bf16", "fp16"), help="of matrix products"
    )
    training.add_argument(
        "--budget",
        type=positive_int,
        metavar="N",
        help="tokens (k-mer models: sequences) that pass through the model at once; larger batches "
        "are computed in pieces, with the same gradients",
    )
    training.add_argument("--checkpoint-every", type=positive_int, metavar="N", help="steps")
    training.add_argument("--eval-every", type=positive_int, metavar="N", help="steps")
    training.add_argument(
        "--workers", type=positive_int, metavar="N", help="threads that prepare batches"
    )


def run(args: argparse.Namespace) -> int:
    """Train."""
    from ..training import train_model
    from ..training._recipe import merge_recipes, read_recipe

    given = read_recipe(args.config) if args.config else {}
    train_model(
        args.genomes,
        merge_recipes(given, _from_options(args)),
        args.output,
        catalog=args.catalog,
        labels=args.labels,
        split=args.split,
        validation_split=args.validation_split,
        resume=args.resume,
        device=args.device,
        seed=args.seed,
    )
    return 0


def _from_options(args: argparse.Namespace) -> dict[str, dict[str, Any]]:
    if args.model is not None and args.architecture is not None:
        raise ValueError("--model has its own architecture: give one of --model, --architecture.")
    recipe: dict[str, dict[str, Any]] = {}
    for option, section, name in _OPTIONS:
        value = getattr(args, option)
        if value is not None:
            recipe.setdefault(section, {})[name] = value
    return recipe


def _natural(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"expected 0 or more, got {value}")
    return value


_natural.__name__ = "number"
