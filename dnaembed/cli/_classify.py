"""``dnaembed classify``: species of reads from a few labelled ones."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from ._app import Command, command
from ._options import READS_HELP, Embedding, Reading, Table, naming

if TYPE_CHECKING:
    import numpy as np

    from .. import FewShotSpeciesClassifier

logger = logging.getLogger("dnaembed")

_EXAMPLES = """\
  dnaembed classify --train known.fasta --labels known.tsv reads.fq.gz -o calls.tsv

  dnaembed classify --train known.fasta --labels known.tsv reads.fq.gz -o calls.tsv \\
      --unknown --calibrate          reads far from every known species: "unknown"
  dnaembed classify --train known.fasta --labels known.tsv contigs.fa -o calls.tsv \\
      --consensus 5000               by windows; contigs whose windows disagree: flagged

known.tsv has one line per sequence of known.fasta: identifier, tab, species.
"""


class _Classify(Command):
    """The command, whose option --unknown may come without a name."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Give --unknown its name; typer has no options with an optional value."""
        if "--unknown" in args:
            after = args.index("--unknown") + 1
            if after == len(args) or args[after].startswith("-"):
                args = [*args[:after], "unknown", *args[after:]]
        return super().parse_args(ctx, args)


@command(_EXAMPLES, cls=_Classify)
def classify(
    query: Annotated[list[str], Argument(metavar="QUERY", help=READS_HELP)],
    train: Annotated[
        list[str],
        Option(
            metavar="READS", help="Labelled sequences, FASTA or FASTQ; may be given several times."
        ),
    ],
    labels: Annotated[
        str,
        Option(
            metavar="LABELS.tsv",
            help="Identifier, tab, species, one line for each of READS; a header is recognised.",
        ),
    ],
    output: Table,
    embedding: Embedding,
    reading: Reading,
    unknown: Annotated[
        str | None,
        Option(
            metavar="[NAME]",
            help="Name of sequences that are far from every known species ('unknown' if no name is "
            "given; without the option each gets a species); needs two training sequences of some "
            "species.",
        ),
    ] = None,
    false_unknown_rate: Annotated[
        float,
        Option(
            min=0,
            max=1,
            metavar="X",
            help="Share of sequences of known species that --unknown may miss.",
        ),
    ] = 0.05,
    calibrate: Annotated[
        bool,
        Option(
            "--calibrate",
            help="Probabilities that say how often a call is right, by cross-validation.",
        ),
    ] = False,
    consensus: Annotated[
        int | None,
        Option(
            min=1,
            metavar="BP",
            help="Call windows of at most BP, and the sequence by their mean; a sequence whose "
            "windows disagree has the flag possible_chimera.",
        ),
    ] = None,
    min_agreement: Annotated[
        float,
        Option(
            min=0, max=1, metavar="X", help="Share of a sequence that must be called as the whole."
        ),
    ] = 0.7,
) -> None:
    """Name the species of sequences, from a few labelled ones.

    Learn from a few labelled sequences per species, and name the species of others. Writes a table:
    id, species, probability; with --unknown also confidence, with --consensus also agreement,
    windows, flag. Queries of any size are read and written piece by piece.
    """
    from .. import FewShotSpeciesClassifier
    from ..io import labels_of, read_labels
    from ..io._tables import check_fields, open_table

    check_fields([unknown or ""])
    table = read_labels(labels)
    ids, sequences = reading.read(train)
    species = labels_of(ids, table, where=labels)
    counts = Counter(species)
    if len(counts) < 2:
        raise ValueError(f"{labels}: at least 2 species are needed, got {species[0]!r} alone.")
    logger.info("%d species, %d or more sequences each.", len(counts), min(counts.values()))
    embedder = embedding.embedder()
    classifier = FewShotSpeciesClassifier(
        embedder, unknown=unknown, false_unknown_rate=false_unknown_rate, calibrate=calibrate
    )
    columns = ["id", "species", "probability"]
    if consensus is not None:
        with naming(ids):
            classifier.fit(sequences, species)
        columns += ["agreement", "windows", "flag"]
    else:  # embeddings are made once, and asked several questions
        classifier.fit(embedding.rows(embedder, ids, sequences), species)
        columns += ["confidence"] if unknown is not None else []
    n_calls = 0
    with open_table(output, columns) as write_rows:
        for query_ids, queries in reading.chunks(query):
            if consensus is not None:
                with naming(query_ids):
                    found = classifier.consensus(
                        queries, window_size=consensus, min_agreement=min_agreement
                    )
                lines = _consensus(found)
            else:
                lines = _calls(classifier, embedding.rows(embedder, query_ids, queries))
            write_rows((i, *line) for i, line in zip(query_ids, lines, strict=True))
            n_calls += len(query_ids)
            logger.info("%s sequences classified.", f"{n_calls:,}")
    logger.info("Wrote %s: %d calls.", output, n_calls)


def _calls(classifier: FewShotSpeciesClassifier, embeddings: np.ndarray) -> Iterator[list[str]]:
    species = classifier.predict(embeddings)
    columns = [classifier.predict_proba(embeddings).max(axis=1)]
    if classifier.unknown is not None:
        columns.append(classifier.confidence(embeddings))
    for name, *numbers in zip(species, *columns, strict=True):
        yield [str(name), *(f"{number:.4f}" for number in numbers)]


def _consensus(found: Any) -> Iterator[list[str]]:
    for i, name in enumerate(found.labels):
        yield [
            str(name),
            f"{found.probability[i]:.4f}",
            f"{found.agreement[i]:.4f}",
            str(found.n_windows[i]),
            "possible_chimera" if found.flagged[i] else "",
        ]
