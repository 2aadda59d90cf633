"""``dnaembed classify``: species of reads from a few labelled ones."""

from __future__ import annotations

import argparse
import logging
from collections import Counter
from typing import Any

from ._common import (
    READS_HELP,
    add_model_options,
    add_reading_options,
    embedder_of,
    new_parser,
    read,
    read_chunks,
)

logger = logging.getLogger("dnaembed")

_EXAMPLES = """\
  dnaembed classify --train known.fasta --labels known.tsv reads.fastq.gz -o calls.tsv

known.tsv has one line a sequence of known.fasta: identifier, tab, species.
"""


def add_parser(subparsers: Any) -> None:
    """Add the sub-command."""
    parser = new_parser(
        subparsers,
        "classify",
        summary="name the species of sequences, from a few labelled ones",
        description="Learn from labelled sequences, a few a species, and name the species of "
        "others. Writes a table: id, species, probability. Queries of any size are read and "
        "written piece by piece.",
        examples=_EXAMPLES,
    )
    parser.add_argument("query", nargs="+", metavar="QUERY", help=READS_HELP)
    parser.add_argument(
        "--train",
        required=True,
        action="append",
        metavar="READS",
        help="labelled sequences, FASTA or FASTQ; may be given several times",
    )
    parser.add_argument(
        "--labels",
        required=True,
        metavar="LABELS.tsv",
        help="identifier, tab, species, one line for each of READS; a header is recognised",
    )
    parser.add_argument("-o", "--output", required=True, metavar="CALLS.tsv", help="the table")
    add_model_options(parser)
    add_reading_options(parser)


def run(args: argparse.Namespace) -> int:
    """Classify."""
    from .. import FewShotSpeciesClassifier
    from ..io import labels_of, read_labels
    from ..io._atomic import check_output
    from ..io._tables import open_table

    check_output(args.output)  # now, not after the work
    labels = read_labels(args.labels)
    ids, sequences = read(args, args.train)
    species = labels_of(ids, labels, where=args.labels)
    counts = Counter(species)
    if len(counts) < 2:
        raise ValueError(f"{args.labels}: at least 2 species are needed, got {species[0]!r} alone.")
    logger.info("%d species, %d or more sequences each.", len(counts), min(counts.values()))
    classifier = FewShotSpeciesClassifier(embedder_of(args)).fit(sequences, species)
    n_calls = 0
    with open_table(args.output, ("id", "species", "probability")) as table:
        for query_ids, queries in read_chunks(args, args.query):
            probabilities = classifier.predict_proba(queries)
            calls = classifier.classes_[probabilities.argmax(axis=1)]
            table.write_rows(
                (i, call, f"{p:.4f}")
                for i, call, p in zip(query_ids, calls, probabilities.max(axis=1), strict=True)
            )
            n_calls += len(query_ids)
            logger.info("%s sequences classified.", f"{n_calls:,}")
    logger.info("Wrote %s: %d calls.", args.output, n_calls)
    return 0
