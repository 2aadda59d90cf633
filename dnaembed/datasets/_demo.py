"""The reads that come with the package."""

import gzip
import os
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from ..io import read_frame, write_labels
from ..io._bins import write_fasta
from ..io._tables import open_table
from ..utils._atomic import atomic_folder

_KNOWN = 5  # labelled reads per species
_SAMPLES = 3  # columns of the made-up coverages


def load_demo_reads(*, return_X_y: bool = False, as_frame: bool = False) -> Any:
    """Load real genome fragments of 10 bacteria.

    Fragments of 2 to 6 kb from either strand, 40 per species, with three pairs of close species.

    Parameters
    ----------
    return_X_y : bool, default=False
        Return sequences and species alone.
    as_frame : bool, default=False
        Return sequences and species as pandas Series with the identifiers as index.

    Returns
    -------
    Bunch
        With ``ids`` and ``sequences`` (lists of str), ``labels`` (ndarray of str, the species of
        each), ``DESCR`` (str, the provenance) and, if `as_frame`, ``frame`` (DataFrame of sequences
        and species). If `return_X_y`, ``(sequences, labels)`` instead.

    Examples
    --------
    >>> from dnaembed.datasets import load_demo_reads
    >>> reads = load_demo_reads()
    >>> len(reads.sequences), len(set(reads.labels))
    (400, 10)
    """
    folder = files(__package__) / "data"
    with as_file(folder / "demo_reads.fasta.gz") as reads, as_file(folder / "demo_labels.tsv") as t:
        frame = read_frame(reads, t).rename(columns={"label": "species"})[["sequence", "species"]]
    sequences, labels = frame["sequence"], frame["species"]
    found = Bunch(ids=list(frame.index), sequences=list(sequences), labels=np.array(list(labels)))
    if as_frame:
        found |= {"frame": frame, "sequences": sequences, "labels": labels}
    if return_X_y:
        return found.sequences, found.labels
    found.DESCR = (folder / "README.md").read_text(encoding="utf-8")
    return found


def save_demo_reads(folder: str | os.PathLike[str]) -> None:
    """Write the reads of `load_demo_reads` as files, to try the command line on.

    Parameters
    ----------
    folder : path-like
        A new folder; its ``README.md`` says what the files are. One that an earlier call wrote
        stays as it is, and anything else of this name raises FileExistsError.

    Examples
    --------
    >>> import os, tempfile
    >>> from dnaembed.datasets import save_demo_reads
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_demo_reads(f"{folder}/demo")
    ...     sorted(name for name in os.listdir(f"{folder}/demo") if name.endswith(".tsv"))
    ['coverage.tsv', 'known.tsv', 'species.tsv']
    """
    target = Path(folder)
    readme, about = target / "README.md", (files(__package__) / "data" / "SAVED.md").read_bytes()
    if readme.is_file() and readme.read_bytes() == about:
        return
    if os.path.lexists(target):
        raise FileExistsError(f"{target} exists; a new folder is expected.")
    reads = load_demo_reads()
    ids, sequences, labels = np.array(reads.ids), np.array(reads.sequences), reads.labels
    rng = np.random.default_rng(0)
    order = rng.permutation(len(ids))
    known = np.concatenate([order[labels[order] == name][:_KNOWN] for name in np.unique(labels)])
    rest = order[~np.isin(order, known)]
    codes = np.unique(labels[rest], return_inverse=True)[1]
    coverage = 20 * np.exp(rng.normal(0, 1, (codes.max() + 1, _SAMPLES)))[codes]
    coverage *= rng.lognormal(0, 0.3, coverage.shape)
    with atomic_folder(target) as path:
        (path / "README.md").write_bytes(about)
        records = zip(ids[rest], sequences[rest], strict=True)
        fastq = "".join(f"@{i}\n{text}\n+\n{'I' * len(text)}\n" for i, text in records)
        # No time in the header: the same bytes whenever it is written.
        (path / "reads.fastq.gz").write_bytes(gzip.compress(fastq.encode("ascii"), 6, mtime=0))
        for name, some in (("species", rest), ("known", known)):
            columns = ("id", "species")
            write_labels(path / f"{name}.tsv", ids[some].tolist(), labels[some], columns=columns)
        write_fasta(path / "known.fasta", ids[known], sequences[known])
        samples = [f"sample{i + 1}" for i in range(_SAMPLES)]
        with open_table(path / "coverage.tsv", ["id", *samples]) as write_rows:
            texts = np.char.mod("%.2f", coverage).tolist()
            write_rows([i, *row] for i, row in zip(ids[rest], texts, strict=True))
        (path / "genomes").mkdir()
        with open_table(path / "genomes" / "catalog.tsv", ["path", "label"]) as write_rows:
            for name in np.unique(labels).tolist():
                file = name.replace(" ", "_") + ".fasta"
                write_fasta(path / "genomes" / file, ids[labels == name], sequences[labels == name])
                write_rows([[file, name]])
