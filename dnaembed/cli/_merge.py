"""``dnaembed merge``: the parts that several machines embedded become one file."""

from __future__ import annotations

import logging
from typing import Annotated

from typer import Argument

from ._app import command
from ._options import OUTPUT_FILE

logger = logging.getLogger("dnaembed")

_EXAMPLES = """\
  dnaembed embed reads.fq.gz -o part1.npy --shard 1/2   on one machine
  dnaembed embed reads.fq.gz -o part2.npy --shard 2/2   on another
  dnaembed merge reads.npy part1.npy part2.npy          what a single run gives
"""


@command(_EXAMPLES)
def merge(
    output: Annotated[
        str,
        Argument(metavar="OUT.npy", help=".npy, .tsv or .parquet; appears when it is complete."),
        OUTPUT_FILE,
    ],
    parts: Annotated[list[str], Argument(metavar="PART.npy", help="In any order.")],
) -> None:
    """Join the parts that embed --shard wrote.

    The result is in the order of the input. All parts must be there, of the same sequences, model
    and settings.
    """
    from ..io import merge_shards

    n = merge_shards(parts, output)
    logger.info("Wrote %s: %s rows.", output, f"{n:,}")
