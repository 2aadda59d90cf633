"""``dnaembed embed`` and ``merge``: sequences in, numbers out, in bounded memory."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Any, Literal

from typer import Argument

from ._app import command
from ._options import OUTPUT_FILE, REQUIRED, Embedding, Reading, Reads, flag, group, option

logger = logging.getLogger("dnaembed")

_EXAMPLES = """\
  dnaembed embed reads.fastq.gz -o reads.npy           reads.npy and reads.ids.txt
  dnaembed embed reads.fastq.gz -o reads.npy           again, after a stop: resumes
  dnaembed embed lane1.fq.gz lane2.fq.gz -o reads.tsv  a table with identifiers
  zcat reads.fq.gz | dnaembed embed - -o reads.npy     from standard input
  dnaembed embed contigs.fa -o contigs.npy --model zhihan1996/DNABERT-S
  dnaembed embed reads.fq.gz -o part3.npy --shard 3/64 one of 64 machines; see: merge
"""


_MERGE_EXAMPLES = """\
  dnaembed embed reads.fq.gz -o part1.npy --shard 1/2   on one machine
  dnaembed embed reads.fq.gz -o part2.npy --shard 2/2   on another
  dnaembed merge reads.npy part1.npy part2.npy          what a single run gives
"""


@group()
class File:
    """What the file holds."""

    output: str = option(
        ".npy (with identifiers in OUT.ids.txt), .tsv, .csv or .parquet, complete or absent; - is "
        "standard output, as a .tsv.",
        *("OUT.npy", "--output", "-o"),
        default=REQUIRED,
        mark=OUTPUT_FILE,
    )
    dtype: Literal["float32", "float16"] = option("Of a .npy.", default="float32")
    shard: str | None = option("Embed part I of N, into a .npy; see dnaembed merge.", "I/N")
    restart: bool = flag("Start again; what earlier work was kept is deleted.")


@command(_EXAMPLES)
def embed(reads: Reads, file: File, embedding: Embedding, reading: Reading) -> None:
    """Write one embedding per sequence.

    One row of numbers per sequence, in the order of the input. Files of any size: sequences are
    read and written piece by piece. A .npy that was interrupted is resumed when the same command is
    given again.
    """
    output = file.output
    if Path(output).suffix.lower() == ".npy":
        how: Any = {"dtype": file.dtype, "shard": file.shard, "resume": not file.restart}
        embedding.embedder().embed_file(reads, output, **how, **reading.settings)
        return
    if file.shard is not None or file.dtype != "float32":
        raise ValueError(f"--shard and --dtype need an output that ends in .npy, not {output}.")
    from ..io import open_embeddings

    n_rows = n_columns = 0
    with open_embeddings(output) as writer:
        embedder = embedding.embedder()
        for ids, sequences in reading.chunks(reads):
            embeddings = embedding.rows(embedder, ids, sequences)
            writer.write(ids, embeddings)
            n_rows += len(ids)
            n_columns = embeddings.shape[1]
            logger.info("%s sequences embedded.", f"{n_rows:,}")
    logger.info("Wrote %s: %d x %d.", Path(output), n_rows, n_columns)


@command(_MERGE_EXAMPLES)
def merge(
    output: Annotated[
        str,
        Argument(metavar="OUT.npy", help="As of embed; appears when it is complete."),
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
