"""The reads that come with the package."""

from __future__ import annotations

from importlib.resources import as_file, files

import numpy as np
from sklearn.utils import Bunch

from ..io import labels_of, read_labels, read_sequences


def load_demo_reads(*, errors: bool = False) -> Bunch:
    """Load real genome fragments of 10 bacteria.

    Fragments of 2 to 6 kb from either strand, 40 a species. Three pairs of close species are among
    them. No download: the reads are part of the package, with their provenance in ``README.md``
    beside them.

    Parameters
    ----------
    errors : bool, default=False
        Load every fourth fragment only, with 2, 5 or 10 % sequencing errors.

    Returns
    -------
    Bunch
        With ``ids`` (list of str), ``sequences`` (list of str), ``labels`` (ndarray of str, the
        species of each) and ``DESCR`` (str). 400 reads, or 100 with `errors`.

    Examples
    --------
    >>> from dnaembed.datasets import load_demo_reads
    >>> reads = load_demo_reads()
    >>> len(reads.sequences), len(set(reads.labels))
    (400, 10)
    """
    folder = files(__package__) / "data"
    name = "demo_reads_errors.fastq.gz" if errors else "demo_reads.fasta.gz"
    with as_file(folder / name) as reads, as_file(folder / "demo_labels.tsv") as table:
        ids, sequences = read_sequences(reads)
        labels = labels_of(ids, read_labels(table))
    return Bunch(
        ids=ids,
        sequences=sequences,
        labels=np.array(labels),
        DESCR=(folder / "README.md").read_text(encoding="utf-8"),
    )
