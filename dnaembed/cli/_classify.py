"""``dnaembed classify``: species of reads from a few labelled ones."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from ._app import READS_FILES, REQUIRED, command, flag, group, logger, option
from ._options import LABELS_HELP, Columns, Embedding, Queries, Reading, Table, naming
from ._report import Reporting, Sequences

_EXAMPLES = """\
  dnaembed classify --train known.fasta --labels known.tsv reads.fq.gz -o calls.tsv

  dnaembed classify --train known.fasta --labels known.tsv reads.fq.gz -o calls.tsv \\
      --unknown --calibrate          reads far from every known species: "unknown"
  dnaembed classify --train known.fasta --labels known.tsv contigs.fa -o calls.tsv \\
      --consensus 5000               by windows; contigs whose windows disagree: flagged
  dnaembed classify --train known.fasta --labels known.csv --id-column read \\
      --label-column genus reads/ -o calls.csv --report calls.html

known.tsv has one line per sequence of known.fasta: identifier and species, with a tab, a comma
or a semicolon between them.
"""


@group()
class Calling(Columns):
    """What is learnt from, and what is called."""

    train: list[str] = option(
        *("Labelled sequences, FASTA or FASTQ; may be repeated.", "READS"),
        default=REQUIRED,
        mark=READS_FILES,
    )
    labels: str = option(LABELS_HELP, "LABELS.tsv", default=REQUIRED)
    unknown: bool = flag(
        'Call reads "unknown" that are far from every species; one needs two labelled sequences.'
    )
    false_unknown_rate: float | None = option(
        "With --unknown: share of known reads called so (default: 0.05).", "X", min=1e-4, max=0.9999
    )
    calibrate: bool = flag("Fit probabilities to how often calls are right, by cross-validation.")
    consensus: int | None = option(
        "Call by windows of this length; flag possible_chimera if they disagree.", "BP", min=1
    )
    min_agreement: float | None = option(
        "With --consensus: share of windows that must agree (default: 0.7).", "X", min=0, max=1
    )


@command(_EXAMPLES)
def classify(
    query: Queries,
    output: Table,
    calling: Calling,
    embedding: Embedding,
    reading: Reading,
    reporting: Reporting,
) -> None:
    """Name the species of sequences, from a few labelled ones.

    Learn from a few labelled sequences per species, and name the species of others. Writes a table:
    id, species, probability; with --unknown also confidence, or with --consensus agreement,
    windows, flag. In a row called unknown, the probability is that of the most similar species.
    The confidence falls with the distance from the training sequences. Files may be of any size.
    """
    import numpy as np

    from .. import FewShotSpeciesClassifier
    from ..io import labels_of
    from ..io._tables import open_table

    unknown = "unknown" if calling.unknown else None
    window, page = calling.consensus, reporting.report
    rate, agreement = calling.false_unknown_rate, calling.min_agreement
    if rate is not None and unknown is None:
        raise ValueError("--false-unknown-rate needs --unknown.")
    if agreement is not None and window is None:
        raise ValueError("--min-agreement needs --consensus.")
    agreement = 0.7 if agreement is None else agreement
    if page is not None and window is not None:
        raise ValueError("--report shows calls of whole sequences: leave --consensus out.")
    table = calling.labels_of(calling.labels)
    ids, sequences = reading.read(calling.train)
    species = labels_of(ids, table, where=calling.labels)
    counts = Counter(species)
    if len(counts) < 2:
        only = repr(species[0])
        raise ValueError(f"{calling.labels}: at least 2 species are needed, got {only} alone.")
    logger.info("%d species, %d or more sequences each.", len(counts), min(counts.values()))
    how: Any = {"calibrate": calling.calibrate, "false_unknown_rate": rate or 0.05}
    classifier = FewShotSpeciesClassifier(embedding.embedder, unknown=unknown, **how)
    if calling.calibrate and min(counts.values()) < 2:
        logger.warning("--calibrate needs 2 sequences of each species: probabilities stay.")
    columns = ["id", "species", "probability"]
    if window is not None:
        with naming(ids):
            classifier.fit(sequences, species)
        columns += ["agreement", "windows", "flag"]
    else:
        classifier.fit(_embedded(embedding, ids, sequences), species)
        columns += ["confidence"] if unknown is not None else []
    shown, n_calls = Sequences(), 0
    with open_table(output, columns) as write_rows:
        for query_ids, queries in reading.chunks(query):
            if window is None:
                rows = _embedded(embedding, query_ids, queries)
                names, shares = classifier.predict_top_k(rows, 2)
                called, sure = classifier.predict(rows).astype(str), [shares[:, 0]]
                sure += [classifier.confidence(rows)] if unknown is not None else []
                texts = ([f"{number:.4f}" for number in numbers] for numbers in sure)
                found: Any = zip(called, *texts, strict=True)
                if page is not None:
                    # Of what is called unknown, the runner-up is the most probable species.
                    second = np.arange(len(queries)), (called == names[:, 0]).astype(int)
                    about = {"species": called, "probability": sure[0], columns[-1]: sure[-1]}
                    about |= {"runner-up": names[second], "its probability": shares[second]}
                    shown.add(query_ids, rows.rows, queries, **about)
            else:
                with naming(query_ids):
                    found = _consensus(classifier, queries, window, agreement)
            write_rows((i, *row) for i, row in zip(query_ids, found, strict=True))
            n_calls += len(query_ids)
            logger.info("%s sequences classified.", f"{n_calls:,}")
    if page is not None:
        shown.write_report(page, "dnaembed classify", "species", columns[-1])
    logger.info("Wrote %s: %s calls.", output, f"{n_calls:,}")


def _embedded(embedding: Embedding, ids: list[str], sequences: list[str]) -> Any:
    from ..species._inputs import Embedded, lengths_of

    return Embedded(embedding.rows(ids, sequences), lengths_of(sequences), embedding.source())


def _consensus(
    classifier: Any, queries: list[str], window: int, min_agreement: float
) -> Iterable[tuple[str, ...]]:
    found = classifier.consensus(queries, window_size=window, min_agreement=min_agreement)
    flags = ["possible_chimera" if flagged else "" for flagged in found.flagged]
    shares = ([f"{share:.4f}" for share in s] for s in (found.probability, found.agreement))
    columns = (map(str, found.labels), *shares, map(str, found.n_windows), flags)
    return zip(*columns, strict=True)
