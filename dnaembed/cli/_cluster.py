"""``dnaembed cluster``: a label for each sequence; and what it shares with ``bin``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from ._app import READS_FILES, command, group, logger, option
from ._options import READS_HELP, SAVED_FILE, Embedding, Reading, Table
from ._report import Reporting, Sequences

if TYPE_CHECKING:
    import numpy as np

    from ..embedding._mixin import EmbeddingSource

_EXAMPLES = """\
  dnaembed cluster reads.fasta.gz -k 10 -o clusters.tsv
  dnaembed cluster reads.fasta.gz -o clusters.tsv     the number of clusters is found
  dnaembed cluster reads.fasta.gz -k 10 -o clusters.csv --report clusters.html

  dnaembed embed reads.fastq.gz -o reads.npy
  dnaembed cluster --embeddings reads.npy -k 500 -o clusters.tsv   embedded once

  dnaembed cluster old.fq -k 10 -o old.tsv --save clusters.safetensors
  dnaembed cluster new.fq --assign clusters.safetensors -o new.tsv
"""
_K_HELP = "Number of clusters; without it, clusters are grown as bins (see dnaembed bin)."


@group("Scale")
class Scale:
    """Embeddings made before, and groups for new sequences."""

    embeddings: str | None = option(
        "Take rows that dnaembed embed wrote, by their identifiers.", "ROWS.npy"
    )
    save: str | None = option(
        "Keep the groups there, for --assign.", "FILE.safetensors", mark=SAVED_FILE
    )
    assign: str | None = option(
        "Sort into the groups of an earlier --save, found with the same model.", "FILE"
    )

    def refuse_with_assign(self, **given: object) -> None:
        """Raise if ``--assign`` comes with an option about how groups are found."""
        for name, value in {"save": self.save, **given}.items():
            if self.assign is not None and value is not None:
                without = f"without --{name.replace('_', '-')}"
                raise ValueError(f"--assign {self.assign} takes groups as saved, {without}.")


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
        int | None, Option("--n-clusters", "-k", min=1, metavar="K", help=_K_HELP)
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
        got = "both" if reads else "neither"
        raise ValueError(f"Either READS or --embeddings is expected, got {got}.")
    scale.refuse_with_assign(n_clusters=n_clusters)
    pieces = _pieces(reads or [], scale, embedding, reading, keep=reporting.report is not None)
    if scale.assign is None:
        everything = list(pieces)
        all_rows, sources = zip(*[piece[2:] for piece in everything], strict=True)
        if n_clusters is not None and n_clusters > (n := sum(map(len, all_rows))):
            raise ValueError(f"-k {n_clusters} is more than the {n:,} sequences.")
        clusterer = SpeciesClusterer(n_clusters, random_state=embedding.seed)
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
    with open_table(output, ["id", "cluster"]) as write_rows:
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
    said = f"{len(clusters):,} cluster{'s' * (len(clusters) != 1)}"
    said += f", {n_none:,} sequence{'s' * (n_none != 1)} in none"
    logger.info("Wrote %s: %s.", output, said)


def _pieces(
    reads: list[str], scale: Scale, embedding: Embedding, reading: Reading, *, keep: bool
) -> Iterator[tuple[list[str], list[str], Any, Any]]:
    """Give identifiers, sequences, rows and their source, by chunks or of a whole file."""
    if scale.embeddings is not None:
        ids, rows, source = open_rows(scale.embeddings)
        yield ids, [], rows, source
        return
    for ids, sequences in reading.chunks(reads):
        rows = embedding.rows(ids, sequences)
        yield ids, sequences if keep else [], rows, embedding.source()


def open_rows(path: str) -> tuple[list[str], np.ndarray, EmbeddingSource | None]:
    """Open embeddings that ``dnaembed embed`` wrote, left on disk where the format allows it."""
    import numpy as np

    from ..io import SequenceFileError, read_embeddings
    from ..species._saved import source_of_file
    from ..utils._messages import shorten
    from ..utils._rows import row_blocks

    ids, rows = read_embeddings(path, mmap_mode="r")
    for block in row_blocks(len(rows), rows.itemsize * rows.shape[1]):
        finite = np.isfinite(rows[block]).all(axis=1)
        if not finite.all():
            row = block.start + int(finite.argmin())
            which = f"the embedding of {shorten(ids[row])!r} (row {row + 1})"
            raise SequenceFileError(f"{path}: {which} is not finite.")
    logger.info("%s embeddings of %d columns.", f"{len(rows):,}", rows.shape[1])
    return ids, rows, source_of_file(path, rows)


def rows_of(
    ids: Sequence[str], row_ids: Sequence[str], rows: np.ndarray, *, where: str
) -> np.ndarray:
    """Return the rows of some identifiers, in their order."""
    from ..io import SequenceFileError
    from ..io._tables import in_order_of

    place = {identifier: i for i, identifier in enumerate(row_ids)}
    if len(place) < len(row_ids):
        raise SequenceFileError(f"{where}: two rows have one identifier.")
    return rows[in_order_of(ids, place, where=where, what="embedding")]
