"""``dnaembed cluster``: a label for each sequence."""

from collections.abc import Iterable, Iterator
from typing import Annotated, Any

from typer import Argument, Option

from ._app import command, logger
from ._options import READS_FILES, READS_HELP, Embedding, Reading, Table
from ._report import Reporting, Sequences
from ._rows import Scale, open_rows

# Identifiers, sequences, embeddings, and what these were made by.
Piece = tuple[list[str], list[str], Any, Any]

_COLUMNS = ("id", "cluster")
_EXAMPLES = """\
  dnaembed cluster reads.fasta.gz -k 10 -o clusters.tsv
  dnaembed cluster reads.fasta.gz -o clusters.tsv     the number of clusters is found
  dnaembed cluster reads.fasta.gz -k 10 -o clusters.csv --report clusters.html

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
    reporting: Reporting,
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
    from ..io._tables import open_table
    from ..species._saved import check_source, load_clusters, save_clusters

    if bool(reads) == (scale.embeddings is not None):
        raise ValueError("Either READS or --embeddings is expected.")
    scale.refuse_with_assign(n_clusters=n_clusters)
    pieces = _pieces(reads or [], scale, embedding, reading, keep=reporting.report is not None)
    if scale.assign is None:
        everything = list(pieces)
        all_rows, sources = zip(*[piece[2:] for piece in everything], strict=True)
        clusterer = SpeciesClusterer(n_clusters, random_state=embedding.seed)
        # A single piece may be on disk.
        clusterer.fit(all_rows[0] if len(all_rows) == 1 else np.concatenate(all_rows))
        if scale.save is not None:
            save_clusters(scale.save, clusterer, sources[0])
        labels = np.split(clusterer.labels_, np.cumsum(list(map(len, all_rows)))[:-1])
        answers: Iterable[Any] = zip(everything, labels, strict=True)
    else:
        clusterer, saved = load_clusters(scale.assign)
        if hasattr(clusterer, "_abundance_scale"):
            raise ValueError(f"{scale.assign} was made with abundances: use dnaembed bin --assign.")
        answers = ((piece, None) for piece in pieces)
    found, clusters, n_none = Sequences(), set(), 0
    with open_table(output, _COLUMNS) as write_rows:
        for i, ((ids, sequences, rows, source), own) in enumerate(answers):
            if own is None and i == 0:
                check_source(str(scale.assign), clusterer, saved, source, rows.shape[1])
            labels = (clusterer.predict(rows) if own is None else own).tolist()
            write_rows(zip(ids, labels, strict=True))
            clusters |= set(labels) - {-1}
            n_none += labels.count(-1)
            if reporting.report is not None:
                similarity = clusterer.score_samples(rows).tolist()
                found.add(ids, rows, sequences, cluster=labels, similarity=similarity)
    if reporting.report is not None:
        found.write_report(reporting.report, "dnaembed cluster", "cluster", "similarity")
    logger.info("Wrote %s: %d clusters, %d sequences in none.", output, len(clusters), n_none)


def _pieces(
    reads: list[str], scale: Scale, embedding: Embedding, reading: Reading, *, keep: bool
) -> Iterator[Piece]:
    """Give the rows of a chunk of the reads at a time, or of a whole file."""
    if scale.embeddings is not None:
        ids, rows, source = open_rows(scale.embeddings)
        yield ids, [], rows, source
        return
    # The sequences are kept for a report only: clusters need no more than their embeddings.
    for ids, sequences in reading.chunks(reads):
        rows = embedding.rows(ids, sequences)
        yield ids, sequences if keep else [], rows, embedding.source()
