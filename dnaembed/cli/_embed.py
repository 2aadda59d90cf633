"""``dnaembed embed``: sequences in, numbers out, in bounded memory."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Literal

from typer import Option

from ._app import command
from ._options import OUTPUT_FILE, Embedding, Reading, Reads

logger = logging.getLogger("dnaembed")

_EXAMPLES = """\
  dnaembed embed reads.fastq.gz -o reads.npy           reads.npy and reads.ids.txt
  dnaembed embed reads.fastq.gz -o reads.npy           again, after a stop: resumes
  dnaembed embed lane1.fq.gz lane2.fq.gz -o reads.tsv  a table with identifiers
  zcat reads.fq.gz | dnaembed embed - -o reads.npy     from standard input
  dnaembed embed contigs.fa -o contigs.npy --model zhihan1996/DNABERT-S
  dnaembed embed reads.fq.gz -o part3.npy --shard 3/64 one of 64 machines; see: merge
"""


@command(_EXAMPLES)
def embed(
    reads: Reads,
    output: Annotated[
        str,
        Option(
            "--output",
            "-o",
            metavar="OUT.npy",
            help=".npy (with the identifiers in OUT.ids.txt, one per line), .tsv or .parquet; "
            "appears when it is complete; - is standard output, as a .tsv.",
        ),
        OUTPUT_FILE,
    ],
    embedding: Embedding,
    reading: Reading,
    dtype: Annotated[
        Literal["float32", "float16"], Option(help="Of a .npy; float16 takes half the space.")
    ] = "float32",
    shard: Annotated[
        str | None,
        Option(
            metavar="I/N",
            help="Embed part I of N of the sequences, into a .npy; dnaembed merge joins the parts.",
        ),
    ] = None,
    restart: Annotated[
        bool, Option("--restart", help="Start again; what earlier work was kept is deleted.")
    ] = False,
) -> None:
    """Write one embedding per sequence.

    One row of numbers per sequence, in the order of the input. Files of any size: sequences are
    read and written piece by piece. A .npy that was interrupted is resumed when the same command is
    given again.
    """
    if Path(output).suffix.lower() == ".npy":
        embedding.embedder().embed_file(
            reads, output, dtype=dtype, shard=shard, resume=not restart, **reading.settings
        )
        return
    if shard is not None or dtype != "float32":
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
