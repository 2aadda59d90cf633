"""``dnaembed adapt``: a model that knows the reads at hand."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any

from ._common import READS_HELP, add_reading_options, new_parser, positive_int, read
from ._train import _natural

logger = logging.getLogger("dnaembed")

_EXAMPLES = """\
  dnaembed adapt reads.fastq.gz -o adapted/                 to a sample, without labels
  dnaembed adapt known.fasta --labels known.tsv -o tuned/   to a few labelled reads
  dnaembed bin contigs.fasta --model adapted/ -o bins/

Without labels, two parts of one read make a pair: reads shorter than --min-read-length are left
out. With labels, two reads of one label do; reads without a line in LABELS.tsv are of unknown
species. From few reads the model would get worse: with fewer than --min-reads (2000 without labels,
300 with them) it stays as it is.
"""


def add_parser(subparsers: Any) -> None:
    """Add the sub-command."""
    parser = new_parser(
        subparsers,
        "adapt",
        summary="adapt a model to your reads",
        description="Fine-tune a model on reads or contigs, with labels or without, and write "
        "it as a folder to be used as --model.",
        examples=_EXAMPLES,
    )
    parser.add_argument("reads", nargs="+", metavar="READS", help=READS_HELP)
    parser.add_argument(
        "-o", "--output", required=True, metavar="MODEL", help="new folder of the adapted model"
    )
    parser.add_argument("--labels", metavar="LABELS.tsv", help="identifier, tab, species")
    parser.add_argument(
        "--model",
        default="default",
        metavar="NAME",
        help="a model of the package, a folder, or a Hugging Face hub id (default: the model of "
        "the package)",
    )
    parser.add_argument(
        "--device", default="auto", help="cpu, cuda, ... (default: the best there is)"
    )
    parser.add_argument("--seed", type=_natural, default=0, metavar="N", help="default: 0")
    group = parser.add_argument_group("fine-tuning (defaults: those of ContrastiveFineTuner)")
    group.add_argument("--steps", type=positive_int, metavar="N", help="optimiser steps")
    group.add_argument("--batch-size", type=positive_int, metavar="N", help="pairs in a step")
    group.add_argument("--learning-rate", type=float, metavar="X", help="highest")
    group.add_argument("--anchor", type=float, metavar="X", help="pull towards the model as it was")
    group.add_argument(
        "--trainable-layers", type=int, metavar="N", help="train only the last N hidden layers"
    )
    group.add_argument(
        "--min-read-length", type=positive_int, metavar="BP", help="shorter reads are not cut"
    )
    group.add_argument(
        "--min-reads", type=_natural, metavar="N", help="fewer reads leave the model as it is"
    )
    group.add_argument(
        "--mixed-precision", choices=("fp32", "bf16", "fp16"), help="of matrix products"
    )
    group.add_argument(
        "--budget", type=positive_int, metavar="N", help="tokens (k-mer models: sequences) at once"
    )
    add_reading_options(parser)


def run(args: argparse.Namespace) -> int:
    """Adapt."""
    from ..backbones import load_backbone
    from ..backbones._device import move, resolve_device
    from ..io import read_labels
    from ..training import ContrastiveFineTuner

    output = Path(args.output)
    if output.exists():
        raise FileExistsError(f"{output} exists; a new folder is expected.")
    labels = read_labels(args.labels) if args.labels else None
    ids, sequences = read(args, args.reads)
    y = None if labels is None else _numbers(ids, labels, args.labels)
    parameters = {
        "n_steps": args.steps,
        "batch_size": args.batch_size,
        "learning_rate": args.learning_rate,
        "anchor": args.anchor,
        "n_trainable_layers": args.trainable_layers,
        "min_read_length": args.min_read_length,
        "min_reads": args.min_reads,
        "mixed_precision": args.mixed_precision,
        "budget": args.budget,
    }
    tuner = ContrastiveFineTuner(**{k: v for k, v in parameters.items() if v is not None})
    backbone = load_backbone(args.model)
    move(backbone.model, resolve_device(args.device))
    tuned = tuner.fine_tune(backbone, sequences, y, random_state=args.seed)
    move(tuned.model, "cpu")
    tuned.save(output)
    logger.info("Wrote %s.", output)
    return 0


def _numbers(ids: list[str], labels: dict[str, str], where: str) -> list[int]:
    """Number the species; -1 for a read that is not in the table."""
    numbers: dict[str, int] = {}
    y = [numbers.setdefault(labels[i], len(numbers)) if i in labels else -1 for i in ids]
    known = sum(label >= 0 for label in y)
    if known == 0:
        raise ValueError(f"{where}: none of the {len(ids)} reads has a label.")
    logger.info("%d of %d reads have labels, of %d species.", known, len(ids), len(numbers))
    return y
