"""``dnaembed train``: a model from a folder of genomes."""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._common import new_parser, positive_int

if TYPE_CHECKING:
    from ..training import GenomeStore

logger = logging.getLogger("dnaembed")

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
    ("patience", "training", "patience"),
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
        "--patience", type=positive_int, metavar="N", help="stop after N validations without gain"
    )
    training.add_argument(
        "--workers", type=positive_int, metavar="N", help="threads that prepare batches"
    )


def run(args: argparse.Namespace) -> int:
    """Train."""
    from ..backbones import load_backbone
    from ..backbones._device import move, resolve_device
    from ..training import ContrastiveTrainer
    from ..training._processes import process_state
    from ..training._recipe import (
        DEFAULTS,
        check_finish,
        finish_backbone,
        make_backbone,
        make_config,
        make_pairs,
        merge_recipes,
        read_recipe,
    )

    processes = process_state(None if args.device == "auto" else args.device)
    output = Path(args.output)
    given = read_recipe(args.config) if args.config else {}
    recipe = merge_recipes(DEFAULTS, given, _from_options(args))
    config = make_config(recipe["training"], seed=args.seed)
    if processes.is_main_process:
        _open_run(args, output, recipe)
    processes.wait_for_everyone()
    main = processes.is_main_process
    store = _store(args, args.split, output / "genomes", main)
    source = make_pairs(store, recipe["pairs"], seed=args.seed)
    validation = None
    if args.validation_split is not None:
        other = _store(args, args.validation_split, output / "validation-genomes", main)
        # Other species, and so other domains perhaps: all labels weigh the same.
        section = {k: v for k, v in recipe["pairs"].items() if k not in ("seed", "domain_weights")}
        validation = make_pairs(other, section, seed=args.seed + 1)
    start = output / "start"
    if main and not start.exists():
        make_backbone(recipe["model"], source, seed=args.seed).save(start)
    processes.wait_for_everyone()
    backbone = load_backbone(start)
    check_finish(recipe, backbone)
    trainer = ContrastiveTrainer(
        backbone,
        source,
        config,
        validation_source=validation,
        output_dir=output,
        device=None if args.device == "auto" else resolve_device(args.device),
    )
    backbone = trainer.train(resume=args.resume)
    if main:
        move(backbone.model, "cpu")
        real = {name: value for name, value in recipe["pairs"].items() if name != "virtual_share"}
        backbone = finish_backbone(backbone, recipe, make_pairs(store, real, seed=args.seed))
        backbone.save(output / "model")
        logger.info("Wrote %s.", output / "model")
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


def _open_run(args: argparse.Namespace, output: Path, recipe: dict[str, dict[str, Any]]) -> None:
    """Make the folder of the run, or check that it is the run to go on with."""
    from ..utils._atomic import atomic_output

    content = {
        "genomes": str(Path(args.genomes).resolve()),
        "catalog": args.catalog,
        "labels": args.labels,
        "split": args.split,
        "validation_split": args.validation_split,
        "seed": args.seed,
    } | recipe
    content = json.loads(json.dumps(content))
    note = output / "recipe.json"
    if note.exists():
        if not args.resume:
            raise FileExistsError(f"{output} holds a run; use --resume, or another folder.")
        if (output / "model").exists():
            raise FileExistsError(f"{output} holds a run that is complete: see {output / 'model'}.")
        before = json.loads(note.read_text(encoding="utf-8"))
        # Hyperparameters are the business of the trainer: some may change.
        changed = [k for k in content if k != "training" and content[k] != before.get(k)]
        if changed:
            raise ValueError(f"{output} was begun with other values of {', '.join(changed)}.")
    elif output.exists() and any(output.iterdir()):
        raise FileExistsError(f"{output} exists and holds something else than a run.")
    output.mkdir(parents=True, exist_ok=True)
    with atomic_output(note) as beside:
        beside.write_text(json.dumps(content, indent=2), encoding="utf-8")


def _store(args: argparse.Namespace, split: str | None, folder: Path, main: bool) -> GenomeStore:
    """Pack the genomes, once for all processes and runs."""
    from ..io import read_labels
    from ..training import GenomeStore, list_genomes
    from ..training._processes import process_state

    if main and not folder.exists():
        labels = read_labels(args.labels) if args.labels else None
        genomes = list_genomes(args.genomes, catalog=args.catalog, split=split, labels=labels)
        GenomeStore.build(genomes, folder)
    process_state().wait_for_everyone()
    return GenomeStore(folder)


def _natural(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"expected 0 or more, got {value}")
    return value


_natural.__name__ = "number"
