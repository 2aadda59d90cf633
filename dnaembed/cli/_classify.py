"""``dnaembed classify``: species of reads from a few labelled ones."""

from __future__ import annotations

import argparse
import logging
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ._common import (
    READS_HELP,
    add_model_options,
    add_reading_options,
    embedder_of,
    new_parser,
    positive_int,
    read,
    read_chunks,
)

if TYPE_CHECKING:
    import numpy as np

    from .. import FewShotSpeciesClassifier

logger = logging.getLogger("dnaembed")

_EXAMPLES = """\
  dnaembed classify --train known.fasta --labels known.tsv reads.fastq.gz -o calls.tsv

  dnaembed classify --train known.fasta --labels known.tsv reads.fastq.gz -o calls.tsv \
      --unknown --calibrate          reads far from every known species are "unknown"
  dnaembed classify --train known.fasta --labels known.tsv contigs.fasta -o calls.tsv \
      --consensus 5000               by windows; contigs whose windows disagree are flagged

known.tsv has one line a sequence of known.fasta: identifier, tab, species.
"""


def add_parser(subparsers: Any) -> None:
    """Add the sub-command."""
    parser = new_parser(
        subparsers,
        "classify",
        summary="name the species of sequences, from a few labelled ones",
        description="Learn from labelled sequences, a few a species, and name the species of "
        "others. Writes a table: id, species, probability; with --unknown also confidence, with "
        "--consensus also agreement, windows, flag. Queries of any size are read and written "
        "piece by piece.",
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
    parser.add_argument(
        "--unknown",
        nargs="?",
        const="unknown",
        metavar="NAME",
        help="name of sequences that are far from every known species (default: unknown; without "
        "the option each gets a species); needs two sequences of a species to learn from",
    )
    parser.add_argument(
        "--false-unknown-rate",
        type=_rate,
        default=0.05,
        metavar="X",
        help="share of sequences of known species that --unknown may miss (default: 0.05)",
    )
    parser.add_argument(
        "--calibrate",
        action="store_true",
        help="probabilities that say how often a call is right, by cross-validation",
    )
    parser.add_argument(
        "--consensus",
        type=positive_int,
        metavar="BP",
        help="call windows of at most BP, and the sequence by their mean; a sequence whose windows "
        "disagree has the flag possible_chimera",
    )
    parser.add_argument(
        "--min-agreement",
        type=_rate,
        default=0.7,
        metavar="X",
        help="share of a sequence that must be called as the whole (default: 0.7)",
    )
    add_model_options(parser)
    add_reading_options(parser)


def _rate(text: str) -> float:
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"expected a number between 0 and 1, got {text}")
    return value


_rate.__name__ = "number"


def run(args: argparse.Namespace) -> int:
    """Classify."""
    from .. import FewShotSpeciesClassifier
    from ..io import labels_of, read_labels
    from ..io._tables import open_table
    from ..utils._atomic import check_output

    check_output(args.output)  # now, not after the work
    labels = read_labels(args.labels)
    ids, sequences = read(args, args.train)
    species = labels_of(ids, labels, where=args.labels)
    counts = Counter(species)
    if len(counts) < 2:
        raise ValueError(f"{args.labels}: at least 2 species are needed, got {species[0]!r} alone.")
    logger.info("%d species, %d or more sequences each.", len(counts), min(counts.values()))
    embedder = embedder_of(args)
    classifier = FewShotSpeciesClassifier(
        embedder,
        unknown=args.unknown,
        false_unknown_rate=args.false_unknown_rate,
        calibrate=args.calibrate,
    )
    columns = ["id", "species", "probability"]
    if args.consensus is not None:
        classifier.fit(sequences, species)
        columns += ["agreement", "windows", "flag"]
    else:  # embeddings are made once, and asked several questions
        classifier.fit(embedder.fit(sequences).transform(sequences), species)
        columns += ["confidence"] if args.unknown is not None else []
    n_calls = 0
    with open_table(args.output, columns) as table:
        for query_ids, queries in read_chunks(args, args.query):
            if args.consensus is not None:
                found = _consensus(classifier, queries, args)
            else:
                found = _calls(classifier, embedder.transform(queries))
            table.write_rows((i, *row) for i, row in zip(query_ids, found, strict=True))
            n_calls += len(query_ids)
            logger.info("%s sequences classified.", f"{n_calls:,}")
    logger.info("Wrote %s: %d calls.", args.output, n_calls)
    return 0


def _calls(classifier: FewShotSpeciesClassifier, embeddings: np.ndarray) -> Iterator[list[str]]:
    species = classifier.predict(embeddings)
    columns = [classifier.predict_proba(embeddings).max(axis=1)]
    if classifier.unknown is not None:
        columns.append(classifier.confidence(embeddings))
    for name, *numbers in zip(species, *columns, strict=True):
        yield [str(name), *(f"{number:.4f}" for number in numbers)]


def _consensus(
    classifier: FewShotSpeciesClassifier, sequences: list[str], args: argparse.Namespace
) -> Iterator[list[str]]:
    found = classifier.consensus(
        sequences, window_size=args.consensus, min_agreement=args.min_agreement
    )
    for i, name in enumerate(found.labels):
        yield [
            str(name),
            f"{found.probability[i]:.4f}",
            f"{found.agreement[i]:.4f}",
            str(found.n_windows[i]),
            "possible_chimera" if found.flagged[i] else "",
        ]
