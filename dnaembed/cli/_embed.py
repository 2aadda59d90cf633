"""``dnaembed embed``: sequences in, numbers out, in bounded memory."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any

from ._common import (
    READS_HELP,
    add_model_options,
    add_reading_options,
    duplicate_ids,
    embedder_of,
    new_parser,
    read_chunks,
)

logger = logging.getLogger("dnaembed")

_EXAMPLES = """\
  dnaembed embed reads.fastq.gz -o reads.npy           reads.npy and reads.ids.txt
  dnaembed embed reads.fastq.gz -o reads.npy           again, after a stop: goes on
  dnaembed embed lane1.fq.gz lane2.fq.gz -o reads.tsv  a table with identifiers
  zcat reads.fq.gz | dnaembed embed - -o reads.npy     from standard input
  dnaembed embed contigs.fa -o contigs.npy --model zhihan1996/DNABERT-S --device cuda
  dnaembed embed reads.fq.gz -o part3.npy --shard 3/64 one of 64 machines; see: merge
"""


def add_parser(subparsers: Any) -> None:
    """Add the sub-command."""
    parser = new_parser(
        subparsers,
        "embed",
        summary="write one embedding a sequence",
        description="Write one row of numbers a sequence, in the order of the input. Files of any "
        "size: sequences are read and written piece by piece. A .npy that was stopped, by "
        "whatever, goes on when the same command is given again.",
        examples=_EXAMPLES,
    )
    parser.add_argument("reads", nargs="+", metavar="READS", help=READS_HELP)
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="OUT.npy",
        help=".npy (with the identifiers in OUT.ids.txt, one a line), .tsv or .parquet; appears "
        "when it is complete",
    )
    parser.add_argument(
        "--dtype",
        choices=("float32", "float16"),
        default="float32",
        help="of a .npy; float16 takes half the space (default: float32)",
    )
    parser.add_argument(
        "--shard",
        metavar="I/N",
        help="embed the part I of N of the sequences, into a .npy; dnaembed merge joins the parts",
    )
    parser.add_argument(
        "--no-resume",
        action="store_true",
        help="start again, even if earlier work could be continued",
    )
    add_model_options(parser)
    add_reading_options(parser)


def run(args: argparse.Namespace) -> int:
    """Embed."""
    if Path(args.output).suffix == ".npy":
        embedder_of(args).embed_file(
            args.reads,
            args.output,
            dtype=args.dtype,
            shard=args.shard,
            resume=not args.no_resume,
            skip_empty=args.skip_empty,
            duplicate_ids=duplicate_ids(args),
        )
        return 0
    if args.shard is not None or args.dtype != "float32":
        raise ValueError(
            f"--shard and --dtype need an output that ends in .npy, not {args.output}."
        )
    from ..io import open_embeddings

    n_rows = n_columns = 0
    with open_embeddings(args.output) as writer:
        embedder = embedder_of(args)
        for ids, sequences in read_chunks(args, args.reads):
            # Fitting loads the model, which stays in place; it learns nothing from the sequences.
            embeddings = embedder.fit(sequences[:1]).transform(sequences)
            writer.write(ids, embeddings)
            n_rows += len(ids)
            n_columns = embeddings.shape[1]
            logger.info("%s sequences embedded.", f"{n_rows:,}")
    logger.info("Wrote %s: %d x %d.", Path(args.output), n_rows, n_columns)
    return 0
