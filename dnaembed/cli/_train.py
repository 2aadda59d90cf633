"""``dnaembed train``: a model from a folder of genomes."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from ._app import command
from ._options import Budget, Device, MixedPrecision, Seed, panel

if TYPE_CHECKING:
    from ..training import GenomeStore

logger = logging.getLogger("dnaembed")

_EXAMPLES = """\
  dnaembed train genomes/ -o run/                      a k-mer model from scratch
  dnaembed train genomes/ -o run/ --resume             resume after an interruption
  dnaembed train genomes/ -o run/ --config recipe.toml --split train
  dnaembed train genomes/ -o run/ --model dnabert-s/ --learning-rate 3e-6
  torchrun --nproc-per-node 8 -m dnaembed train ...    several GPUs

genomes/ holds one FASTA file per genome; catalog.tsv in it (columns path, label and,
if there are such, domain and split) or --labels says which genomes are of one
species. run/model is the result, to be used as --model; run/best the best so far,
run/log.csv the course of the loss.

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
class Training:
    """What a recipe has in its section training; None: as the recipe says."""

    n_steps: Annotated[
        int | None, panel("Training", "--steps", min=1, metavar="N", help="Optimiser steps.")
    ] = None
    batch_size: Annotated[
        int | None, panel("Training", min=1, metavar="N", help="Pairs per step.")
    ] = None
    learning_rate: Annotated[
        float | None, panel("Training", metavar="X", help="Highest, of the model.")
    ] = None
    loss: Annotated[
        str | None, panel("Training", metavar="NAME", help="One of dnaembed.training.LOSSES.")
    ] = None
    temperature: Annotated[float | None, panel("Training", metavar="X", help="Of the loss.")] = None
    mixed_precision: MixedPrecision = None
    budget: Budget = None
    checkpoint_every: Annotated[
        int | None, panel("Training", min=1, metavar="N", help="Steps.")
    ] = None
    eval_every: Annotated[int | None, panel("Training", min=1, metavar="N", help="Steps.")] = None
    patience: Annotated[
        int | None,
        panel("Training", min=1, metavar="N", help="Stop after N validations without gain."),
    ] = None
    n_workers: Annotated[
        int | None,
        panel("Training", "--workers", min=1, metavar="N", help="Threads that prepare batches."),
    ] = None


@command(_EXAMPLES)
def train(
    genomes: Annotated[str, Argument(metavar="GENOMES", help="Folder of genomes.")],
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
    """Train a model on a folder of genomes.

    It learns that pieces of genomes of one species lie close together, by curriculum contrastive
    learning on pieces drawn anew at every step.
    """
    if model is not None and architecture is not None:
        raise ValueError("--model has its own architecture: give one of --model, --architecture.")
    sections = {
        "model": {"architecture": architecture, "path": model},
        "training": asdict(training),
    }
    options = {
        section: {name: value for name, value in values.items() if value is not None}
        for section, values in sections.items()
    }
    args = SimpleNamespace(
        genomes=genomes,
        output=output,
        resume=resume,
        config=config,
        device=device,
        seed=seed,
        **asdict(data),
    )
    _run(args, {section: values for section, values in options.items() if values})


def _run(args: SimpleNamespace, options: dict[str, dict[str, Any]]) -> None:
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
    recipe = merge_recipes(DEFAULTS, given, options)
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


def _open_run(args: SimpleNamespace, output: Path, recipe: dict[str, dict[str, Any]]) -> None:
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


def _store(args: SimpleNamespace, split: str | None, folder: Path, main: bool) -> GenomeStore:
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
