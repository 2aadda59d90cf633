"""``dnaembed cluster``: a label for each sequence."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ._common import (
    READS_HELP,
    add_model_options,
    add_reading_options,
    embedder_of,
    new_parser,
    positive_int,
    read_chunks,
)
from ._rows import add_row_options, check_source, open_rows, refuse_options, source_of_model

if TYPE_CHECKING:
    import numpy as np

    from ..species._saved import EmbeddingSource

logger = logging.getLogger("dnaembed")

_COLUMNS = ("id", "cluster")
_EXAMPLES = """\
  dnaembed cluster reads.fasta.gz -k 10 -o clusters.tsv
  dnaembed cluster reads.fasta.gz -o clusters.tsv       the number of clusters is found

  dnaembed embed reads.fastq.gz -o reads.npy
  dnaembed cluster --embeddings reads.npy -k 500 -o clusters.tsv   embedded once, on disk

  dnaembed cluster old.fq -k 10 -o old.tsv --save clusters.safetensors
  dnaembed cluster new.fq --assign clusters.safetensors -o new.tsv
"""


def add_parser(subparsers: Any) -> None:
    """Add the sub-command."""
    parser = new_parser(
        subparsers,
        "cluster",
        summary="group sequences by species",
        description="Group sequences by species, without labels. Writes a table of two columns: id "
        "and cluster (-1: in none).",
        examples=_EXAMPLES,
    )
    parser.add_argument("reads", nargs="*", metavar="READS", help=READS_HELP)
    parser.add_argument("-o", "--output", required=True, metavar="LABELS.tsv", help="the table")
    parser.add_argument(
        "-k",
        "--n-clusters",
        type=positive_int,
        metavar="K",
        help="number of clusters; without it, clusters are grown as bins are (see dnaembed bin)",
    )
    add_row_options(
        parser,
        what="clusters",
        rows_help="take the embeddings that dnaembed embed wrote, in place of READS; they stay on "
        "disk as far as possible",
    )
    add_model_options(parser)
    add_reading_options(parser)


def run(args: argparse.Namespace) -> int:
    """Cluster."""
    from .. import SpeciesClusterer
    from ..io import write_labels
    from ..species._saved import save_clusters
    from ..utils._atomic import check_output

    check_output(args.output)  # now, not after the work
    if bool(args.reads) == (args.embeddings is not None):
        raise ValueError("Either READS or --embeddings is expected.")
    refuse_options(args, {"--n-clusters": args.n_clusters is not None})
    if args.assign is not None:
        return _assign(args)
    if args.save is not None:
        check_output(args.save)
    ids, rows, source = _embedded(args)
    clusterer = SpeciesClusterer(args.n_clusters, random_state=args.seed)
    labels = clusterer.fit_predict(rows)
    if args.save is not None:
        save_clusters(args.save, clusterer, source)
    write_labels(args.output, ids, labels, columns=_COLUMNS)
    logger.info(
        "Wrote %s: %d clusters, %d sequences in none.",
        args.output,
        len(set(labels[labels >= 0].tolist())),
        (labels < 0).sum(),
    )
    return 0


def _pieces(
    args: argparse.Namespace,
) -> Iterator[tuple[list[str], np.ndarray, EmbeddingSource | None]]:
    """Give identifiers and embeddings: of a chunk of the reads at a time, or of a whole file."""
    if args.embeddings is not None:
        yield open_rows(args.embeddings)
        return
    embedder = embedder_of(args)
    # The sequences are not kept: all that is needed of them is their embeddings.
    for ids, sequences in read_chunks(args, args.reads):
        rows = embedder.fit(sequences[:1]).transform(sequences)
        yield ids, rows, source_of_model(args, embedder)


def _embedded(args: argparse.Namespace) -> tuple[list[str], np.ndarray, EmbeddingSource | None]:
    import numpy as np

    pieces = list(_pieces(args))
    if len(pieces) == 1:  # perhaps on disk
        return pieces[0]
    ids = [identifier for some, _, _ in pieces for identifier in some]
    return ids, np.concatenate([rows for _, rows, _ in pieces]), pieces[0][2]


def _assign(args: argparse.Namespace) -> int:
    from ..io._tables import open_table
    from ..species._saved import load_clusters

    clusterer, saved = load_clusters(args.assign)
    if hasattr(clusterer, "_abundance_scale"):
        raise ValueError(f"{args.assign} was made with abundances: use dnaembed bin --assign.")
    n_sequences = n_none = 0
    with open_table(args.output, _COLUMNS) as table:
        for ids, rows, source in _pieces(args):
            if not n_sequences:
                check_source(args.assign, clusterer, saved, source, rows.shape[1])
            labels = clusterer.predict(rows)
            table.write_rows(zip(ids, labels.tolist(), strict=True))
            n_sequences += len(ids)
            n_none += int((labels < 0).sum())
    logger.info(
        "Wrote %s: %d sequences assigned, %d in none.", args.output, n_sequences - n_none, n_none
    )
    return 0
