"""Bins as FASTA files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ..utils._atomic import atomic_folder
from ._tables import open_table

_OURS = re.compile(r"bin_\d+\.fasta|bins\.tsv|contigs\.tsv")


def write_bins(
    folder: str | os.PathLike[str],
    ids: Sequence[str],
    sequences: Sequence[str],
    labels: Sequence[int] | np.ndarray,
    *,
    overwrite: bool = False,
) -> None:
    """Write one FASTA file a bin, and two tables.

    Parameters
    ----------
    folder : path-like
        Made if absent. Receives ``bin_0.fasta``, ``bin_1.fasta``, ... (numbers padded with zeros to
        one width), ``bins.tsv`` (bin, file, sequences, bases, n50, gc) and ``contigs.tsv`` (id,
        bin; -1 for what is in no bin). Written beside and renamed: complete or absent.
    ids : sequence of str, length n
        Identifiers.
    sequences : sequence of str, length n
        Normalised sequences.
    labels : array-like of int, shape (n,)
        The bin of each sequence; negative: in no bin, and in no FASTA file.
    overwrite : bool, default=False
        Replace a folder that an earlier call wrote. A folder with other files in it is never
        touched.

    Raises
    ------
    ValueError
        If the lengths differ or labels are not integers.
    FileExistsError
        If `folder` has files already (unless `overwrite`, and all of them are bins).

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from dnaembed.io import write_bins
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     folder = pathlib.Path(parent, "bins")
    ...     write_bins(folder, ["a", "b", "c"], ["ACGT", "GGGG", "AT"], [0, 1, -1])
    ...     sorted(path.name for path in folder.iterdir())
    ['bin_0.fasta', 'bin_1.fasta', 'bins.tsv', 'contigs.tsv']
    """
    numbers = np.asarray(labels)
    if numbers.shape != (len(ids),) or len(sequences) != len(ids):
        raise ValueError(
            f"Expected one identifier, sequence and label each, got {len(ids)}, {len(sequences)} "
            f"and labels of shape {numbers.shape}."
        )
    if len(ids) and not np.issubdtype(numbers.dtype, np.integer):
        raise ValueError(f"Bin labels must be integers, got {numbers.dtype}.")
    check_bins_folder(folder, overwrite=overwrite)
    bins = np.unique(numbers[numbers >= 0]).tolist()
    width = len(str(bins[-1])) if bins else 1
    with atomic_folder(folder) as beside:
        with open_table(
            beside / "bins.tsv", ("bin", "file", "sequences", "bases", "n50", "gc")
        ) as table:
            for number in bins:
                members = np.flatnonzero(numbers == number).tolist()
                file = f"bin_{number:0{width}d}.fasta"
                held = [sequences[i] for i in members]
                write_fasta(beside / file, [ids[i] for i in members], held)
                table.write_rows([(number, file, *_summary(held))])
        with open_table(beside / "contigs.tsv", ("id", "bin")) as table:
            table.write_rows(
                (i, number if number >= 0 else -1)
                for i, number in zip(ids, numbers.tolist(), strict=True)
            )


def check_bins_folder(folder: str | os.PathLike[str], *, overwrite: bool) -> None:
    """Raise if `write_bins` would refuse the folder: to be known before the work, not after it."""
    path = Path(folder)
    if not path.exists() and not path.resolve().parent.is_dir():
        raise FileNotFoundError(f"Cannot write {folder}: there is no folder {path.parent}.")
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(f"{folder} is a file; the name of a folder is expected.")
    if not path.exists():
        return
    present = sorted(entry.name for entry in path.iterdir())
    foreign = [name for name in present if not _OURS.fullmatch(name)]
    if foreign:
        raise FileExistsError(
            f"{folder} holds other files than bins ({foreign[0]}, ...); choose an empty or new one."
        )
    if present and not overwrite:
        raise FileExistsError(f"{folder} holds bins already; choose another or allow overwriting.")


def write_fasta(path: Path, ids: Iterable[str], sequences: Iterable[str]) -> None:
    """Write records, with at most 80 bases on a line."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for identifier, sequence in zip(ids, sequences, strict=True):
            file.write(f">{identifier}\n")
            for start in range(0, len(sequence), 80):
                file.write(sequence[start : start + 80] + "\n")


def _summary(sequences: Sequence[str]) -> tuple[int, int, int, str]:
    lengths = np.sort([len(s) for s in sequences])[::-1]
    bases = int(lengths.sum())
    n50 = int(lengths[np.searchsorted(np.cumsum(lengths), bases / 2)])
    gc = sum(s.count("G") + s.count("C") for s in sequences)
    known = bases - sum(s.count("N") for s in sequences)
    return len(sequences), bases, n50, f"{gc / known:.4f}" if known else "nan"
