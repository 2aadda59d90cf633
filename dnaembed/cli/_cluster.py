"""``dnaembed cluster``: a label for each sequence."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Annotated, Any

from typer import Argument, Option

from ._app import command
from ._options import READS_FILES, READS_HELP, Embedding, Reading, Table
from ._rows import Scale, open_rows

logger = logging.getLogger("dnaembed")

# Identifiers and embeddings, and what these were made by.
Rows = tuple[list[str], Any, Any]

_COLUMNS = ("id", "cluster")
_EXAMPLES = """\
  dnaembed cluster reads.fasta.gz -k 10 -o clusters.tsv
  dnaembed cluster reads.fasta.gz -o clusters.tsv     the number of clusters is found

  dnaembed embed reads.fastq.gz -o reads.npy
  dnaembed cluster --embeddings reads.npy -k 500 -o clusters.tsv   embedded once

  dnaembed cluster old.fq -k 10 -o old.tsv --save clusters.safetensors
  dnaembed cluster new.fq --assign clusters.safetensors -o new.tsv
"""


@command(_EXAMPLES)
def cluster(
    output: Table,
    scale: Scale,
    embedding: Embedding,
    reading: Reading,
    reads: Annotated[
        list[str] | None, Argument(metavar="READS", help=READS_HELP), READS_FILES
    ] = None,
    n_clusters: Annotated[
        int | None,
        Option(
            *("--n-clusters", "-k"),
            min=1,
            metavar="K",
            help="Number of clusters; without it, clusters are grown as bins (see dnaembed bin).",
        ),
    ] = None,
) -> None:
    """Group sequences by species.

    No labels are needed. Writes a table of two columns: id and cluster (-1: in none).
    """
    import numpy as np

    from .. import SpeciesClusterer
    from ..io import write_labels
    from ..species._saved import save_clusters

    if bool(reads) == (scale.embeddings is not None):
        raise ValueError("Either READS or --embeddings is expected.")
    scale.refuse_with_assign(n_clusters=n_clusters)
    pieces = _pieces(reads or [], scale, embedding, reading)
    if scale.assign is not None:
        _assign(scale.assign, pieces, output)
        return
    all_ids, all_rows, sources = zip(*pieces, strict=True)
    # A single piece may be on disk.
    rows = all_rows[0] if len(all_rows) == 1 else np.concatenate(all_rows)
    clusterer = SpeciesClusterer(n_clusters, random_state=embedding.seed)
    labels = clusterer.fit_predict(rows)
    if scale.save is not None:
        save_clusters(scale.save, clusterer, sources[0])
    write_labels(output, [i for ids in all_ids for i in ids], labels, columns=_COLUMNS)
    n_found = len(set(labels[labels >= 0].tolist()))
    n_none = (labels < 0).sum()
    logger.info("Wrote %s: %d clusters, %d sequences in none.", output, n_found, n_none)


def _pieces(
    reads: list[str], scale: Scale, embedding: Embedding, reading: Reading
) -> Iterator[Rows]:
    """Give the rows of a chunk of the reads at a time, or of a whole file."""
    if scale.embeddings is not None:
        yield open_rows(scale.embeddings)
        return
    embedder = embedding.embedder()
    # The sequences are not kept: all that is needed of them is their embeddings.
    for ids, sequences in reading.chunks(reads):
        yield ids, embedding.rows(embedder, ids, sequences), embedding.source(embedder)


def _assign(saved_as: str, pieces: Iterator[Rows], output: str) -> None:
    from ..io._tables import open_table
    from ..species._saved import check_source, load_clusters

    clusterer, saved = load_clusters(saved_as)
    if hasattr(clusterer, "_abundance_scale"):
        raise ValueError(f"{saved_as} was made with abundances: use dnaembed bin --assign.")
    n_found = n_none = 0
    with open_table(output, _COLUMNS) as write_rows:
        for i, (ids, rows, source) in enumerate(pieces):
            if i == 0:
                check_source(saved_as, clusterer, saved, source, rows.shape[1])
            labels = clusterer.predict(rows)
            write_rows(zip(ids, labels.tolist(), strict=True))
            n_found += int((labels >= 0).sum())
            n_none += int((labels < 0).sum())
    logger.info("Wrote %s: %d sequences assigned, %d in none.", output, n_found, n_none)
