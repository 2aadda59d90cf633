"""Labelled reads out of a folder of genomes, and the data files of the DNABERT-S paper."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch

from .._sequences import normalize_sequence
from ..io import SequenceFileError
from ..io._streams import Source, name_of
from ..io._tables import named_rows
from ..utils._progress import progress
from ._genomes import RANKS, GenomeRecord, list_genomes, read_pieces
from ._read_errors import LETTERS, add_errors

_COMPLEMENT = np.array([3, 2, 1, 0, 4], dtype=np.uint8)


@dataclass(frozen=True)
class Genome(GenomeRecord):
    """A genome in memory: one array of base codes (A, C, G, T, N are 0 to 4) per piece."""

    pieces: Sequence[NDArray[np.uint8]] = ()


def make_species_dataset(
    genomes_folder: str | os.PathLike[str] | Sequence[Genome],
    *,
    split: str | None = None,
    n_reads: int = 100,
    min_reads: int = 1,
    length: tuple[int, int] = (2000, 10_000),
    error_rate: float | tuple[float, float] = 0.0,
    abundance: Literal["even", "lognormal"] = "even",
    random_state: int | np.random.Generator | None = 0,
) -> Bunch:
    r"""Cut labelled reads that do not overlap out of a folder of genomes.

    Reads come from either strand, at random places, and from the genomes of a label in proportion
    to their length. A small genome gives fewer: about its length, divided by the mean length of a
    read, ``(high - low) / log(high / low)``.

    Parameters
    ----------
    genomes_folder : path
        One FASTA file per genome; see `dnaembed.training.list_genomes`.
    split : str, default=None
        Take only genomes with this value in column ``split`` of the catalogue.
    n_reads : int, default=100
        Reads per label (a species), where its genomes are long enough.
    min_reads : int, default=1
        Labels that give fewer are left out.
    length : tuple of int, default=(2000, 10000)
        Lengths in bp are log-uniform between these two, before errors.
    error_rate : float or tuple of float, default=0.0
        Errors per base of all reads; or uniform between two values, drawn for each read.
    abundance : {"even", "lognormal"}, default="even"
        "lognormal": the number of reads of a label is log-normal with mean `n_reads` and sigma 1.
    random_state : int, numpy Generator or None, default=0
        Same value, same reads.

    Returns
    -------
    Bunch
        With ``ids`` and ``sequences`` (lists of str), ``labels`` and ``groups`` (ndarrays of str;
        groups are the genomes of origin), ``lineage`` (dict of ndarray of str: names at the ranks
        that the catalogue has, "" where unknown) and ``left_out`` (list of str: labels with too few
        reads).

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from dnaembed.datasets import make_species_dataset
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("a", "b"):
    ...         _ = pathlib.Path(folder, f"{name}.fa").write_text(f">{name}\n{'ACGTTGCA' * 600}\n")
    ...     reads = make_species_dataset(folder, n_reads=10, length=(100, 300))
    >>> len(reads.sequences), sorted(set(reads.labels.tolist()))
    (20, ['a.fa', 'b.fa'])
    """
    low, high = length
    if not 1 <= low <= high:
        raise ValueError(f"length must be a pair 1 <= low <= high, got {length}.")
    if n_reads < 1 or not 1 <= min_reads <= n_reads:
        got = f"min_reads={min_reads}, n_reads={n_reads}"
        raise ValueError(f"1 <= min_reads <= n_reads is required, got {got}.")
    if abundance not in ("even", "lognormal"):
        raise ValueError(f'abundance must be "even" or "lognormal", got {abundance!r}.')
    least, most = np.broadcast_to(error_rate, 2).tolist()
    if not 0 <= least <= most <= 0.5:
        raise ValueError(f"error_rate must be from 0 to 0.5, low before high, got {error_rate}.")
    genomes = genomes_folder
    if isinstance(genomes, str | os.PathLike):
        genomes = read_genomes(genomes, split=split, min_piece=low)
    rng = np.random.default_rng(random_state)
    by_label: dict[str, list[Genome]] = {}
    for genome in genomes:
        by_label.setdefault(genome.label, []).append(genome)
    sequences: list[str] = []
    origins: list[Genome] = []
    left_out = []
    for label, members in by_label.items():
        wanted = n_reads
        if abundance == "lognormal":
            wanted = max(min_reads, round(n_reads * float(np.exp(rng.normal(-0.5, 1.0)))))
        pieces = [(genome, p) for genome in members for p in genome.pieces if p.size >= low]
        spans = _place([piece.size for _, piece in pieces], wanted, length, rng)
        if len(spans) < min_reads:
            left_out.append(label)
            continue
        for number, start, stop in spans:
            genome, piece = pieces[number]
            codes = piece[start:stop]
            if rng.random() < 0.5:
                codes = _COMPLEMENT[codes[::-1]]
            sequences.append(LETTERS[codes].tobytes().decode("ascii"))
            origins.append(genome)
    if not sequences:
        raise ValueError(f"No label has genomes that give {min_reads} reads of {low} bp or more.")
    if most > 0:
        rate = rng.uniform(least, most, len(sequences))
        sequences = add_errors(sequences, rate, random_state=rng)
    ranks = [rank for rank in RANKS if any(rank in genome.lineage for genome in origins)]
    return Bunch(
        ids=[f"read_{i}" for i in range(1, len(sequences) + 1)],
        sequences=sequences,
        labels=np.array([genome.label for genome in origins]),
        groups=np.array([genome.path for genome in origins]),
        lineage={r: np.array([genome.lineage.get(r, "") for genome in origins]) for r in ranks},
        left_out=left_out,
    )


def read_genomes(
    folder: str | os.PathLike[str], *, split: str | None = None, min_piece: int = 2
) -> list[Genome]:
    """Read the genomes of a folder that have a piece of `min_piece` bases into memory."""
    records, genomes = list_genomes(folder, split=split), []
    for record in progress(records, total=len(records), description="Genomes", unit="genome"):
        path = Path(record.path).relative_to(folder).as_posix()
        if pieces := read_pieces(record.path, min_piece):
            genomes.append(Genome(path, record.label, record.domain, record.lineage, pieces))
    return genomes


def _place(
    sizes: Sequence[int], n_reads: int, length: tuple[int, int], rng: np.random.Generator
) -> list[tuple[int, int, int]]:
    """Lay reads out on pieces, none over another; return (piece, start, stop) in random order."""
    if not sizes:
        return []
    low, high = length[0], min(length[1], max(sizes))
    lengths = np.exp(rng.uniform(np.log(low), np.log(high), n_reads)).round().astype(np.int64)
    lengths = np.clip(lengths, low, high)
    lengths = lengths[np.cumsum(lengths) <= sum(sizes)]
    room = np.array(sizes, dtype=np.int64)
    placed: list[list[int]] = [[] for _ in sizes]
    for size in np.sort(lengths)[::-1].tolist():
        fits = np.flatnonzero(room >= size)
        if len(fits):
            piece = int(rng.choice(fits, p=room[fits] / room[fits].sum()))
        else:  # what is left of the longest gap, if that is still a read
            piece = int(room.argmax())
            size = int(room[piece])
            if size < low:
                continue
        placed[piece].append(size)
        room[piece] -= size
    spans: list[tuple[int, int, int]] = []
    for piece, (free, held) in enumerate(zip(room.tolist(), placed, strict=True)):
        gaps = np.sort(rng.integers(0, free + 1, len(held)))
        reads = rng.permutation(np.array(held, dtype=np.int64))
        stops = np.cumsum(reads) + gaps
        spans += zip(repeat(piece), (stops - reads).tolist(), stops.tolist(), strict=False)
    return [spans[i] for i in rng.permutation(len(spans))]


def load_dnabert_s_tsv(
    path: Source, *, min_length: int = 1, max_length: int | None = None, min_reads: int = 1
) -> Bunch:
    r"""Load an evaluation file of the DNABERT-S paper.

    Parameters
    ----------
    path : path-like or binary file
        Table, plain or compressed, with a header and the columns ``sequence`` and ``label``, such
        as ``clustering_0.tsv`` or ``binning_5.tsv``.
    min_length, max_length : int, default=1, None
        Shorter sequences are left out; longer ones are cut to their first bases.
    min_reads : int, default=1
        Labels with fewer sequences are left out.

    Returns
    -------
    Bunch
        With ``ids`` (``line_2`` and so on) and ``sequences`` (lists of str) and ``labels`` (ndarray
        of str). A `SequenceFileError` names the line of what is not such a table.

    Examples
    --------
    >>> import io
    >>> from dnaembed.datasets import load_dnabert_s_tsv
    >>> file = io.BytesIO(b"sequence\tlabel\nACGTTG\t17\nGGCA\t4\n")
    >>> reads = load_dnabert_s_tsv(file, max_length=5)
    >>> reads.ids, reads.sequences, reads.labels.tolist()
    (['line_2', 'line_3'], ['ACGTT', 'GGCA'], ['17', '4'])
    """
    ids, sequences, labels = [], [], []
    for where, row in named_rows(path, ["sequence", "label"]):
        if not row["label"]:
            raise SequenceFileError(f"{where}: the label is empty.")
        try:
            sequence = normalize_sequence(row["sequence"], where=where)
        except ValueError as error:
            raise SequenceFileError(str(error)) from None
        if len(sequence) >= min_length:
            ids.append("line_" + where.rpartition(" ")[2])
            sequences.append(sequence[:max_length])
            labels.append(row["label"])
    counts = Counter(labels)
    kept = [i for i, label in enumerate(labels) if counts[label] >= min_reads]
    if not kept:
        lack = f"no sequences of {min_length} bp or more in labels of {min_reads} or more"
        raise SequenceFileError(f"{name_of(path)} has {lack}.")
    ids, sequences = ([texts[i] for i in kept] for texts in (ids, sequences))
    return Bunch(ids=ids, sequences=sequences, labels=np.array(labels)[kept])
