"""``dnaembed merge``: the parts that several machines embedded become one file."""

from __future__ import annotations

import argparse
import logging
from typing import Any

from ._common import new_parser

logger = logging.getLogger("dnaembed")

_EXAMPLES = """\
  dnaembed embed reads.fq.gz -o part1.npy --shard 1/2   on one machine
  dnaembed embed reads.fq.gz -o part2.npy --shard 2/2   on another
  dnaembed merge reads.npy part1.npy part2.npy          what a single run gives
"""


def add_parser(subparsers: Any) -> None:
    """Add the sub-command."""
    parser = new_parser(
        subparsers,
        "merge",
        summary="join the parts that embed --shard wrote",
        description="Join the parts that dnaembed embed --shard wrote, in the order of the input. "
        "All must be there, of the same sequences, model and settings.",
        examples=_EXAMPLES,
    )
    parser.add_argument(
        "output", metavar="OUT.npy", help=".npy, .tsv or .parquet; appears when it is complete"
    )
    parser.add_argument("parts", nargs="+", metavar="PART.npy", help="in any order")


def run(args: argparse.Namespace) -> int:
    """Merge."""
    from ..io import merge_shards

    n = merge_shards(args.parts, args.output)
    logger.info("Wrote %s: %s rows.", args.output, f"{n:,}")
    return 0
