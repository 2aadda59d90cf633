"""``dnaembed cluster``: a label for each sequence."""

from __future__ import annotations

import argparse
import logging
from typing import Any

from ._common import (
    READS_HELP,
    add_model_options,
    add_reading_options,
    embedder_of,
    new_parser,
    positive_int,
    read,
)

logger = logging.getLogger("dnaembed")

_EXAMPLES = """\
  dnaembed cluster reads.fasta.gz -k 10 -o clusters.tsv
  dnaembed cluster reads.fasta.gz -o clusters.tsv       the number of clusters is found
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
    parser.add_argument("reads", nargs="+", metavar="READS", help=READS_HELP)
    parser.add_argument("-o", "--output", required=True, metavar="LABELS.tsv", help="the table")
    parser.add_argument(
        "-k",
        "--n-clusters",
        type=positive_int,
        metavar="K",
        help="number of clusters; without it, clusters are grown as bins are (see dnaembed bin)",
    )
    add_model_options(parser)
    add_reading_options(parser)


def run(args: argparse.Namespace) -> int:
    """Cluster."""
    from .. import SpeciesClusterer
    from ..io import write_labels
    from ..io._atomic import check_output

    check_output(args.output)  # now, not after the work
    ids, sequences = read(args, args.reads)
    clusterer = SpeciesClusterer(
        args.n_clusters, embedder=embedder_of(args), random_state=args.seed
    )
    labels = clusterer.fit_predict(sequences)
    write_labels(args.output, ids, labels, columns=("id", "cluster"))
    logger.info(
        "Wrote %s: %d clusters, %d sequences in none.",
        args.output,
        len(set(labels[labels >= 0].tolist())),
        (labels < 0).sum(),
    )
    return 0
