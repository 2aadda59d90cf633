"""Labelled reads out of a folder of genomes, and the data files of the DNABERT-S paper."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch

from .._sequences import normalize_sequence
from ..io import SequenceFileError
from ..io._streams import name_of
from ..utils._progress import progress
from ._genomes import RANKS, list_genomes, read_pieces, read_table
from ._read_errors import LETTERS, ErrorModel, add_errors

logger = logging.getLogger("dnaembed")

_LOGNORMAL_SIGMA = 1.0
_COMPLEMENT = np.array([3, 2, 1, 0, 4], dtype=np.uint8)


@dataclass(frozen=True)
class Genome:
    """A genome in memory: one array of base codes (A, C, G, T, N are 0 to 4) per piece."""

    name: str
    label: str
    pieces: Sequence[NDArray[np.uint8]]
    domain: str = ""
    lineage: Mapping[str, str] = field(default_factory=dict)


def make_species_dataset(
    genomes_folder: str | os.PathLike[str],
    *,
    split: str | None = None,
    domains: Iterable[str] | None = None,
    n_reads: int = 100,
    min_reads: int = 1,
    length: tuple[int, int] = (2000, 10_000),
    error_rate: float | tuple[float, float] = 0.0,
    error_model: ErrorModel | None = None,
    abundance: Literal["even", "lognormal"] = "even",
    coverage: float = 1.0,
    random_state: int | np.random.Generator | None = 0,
) -> Bunch:
    r"""Cut labelled reads out of a folder of genomes.

    Parameters
    ----------
    genomes_folder : path
        One FASTA file per genome, with a ``catalog.tsv`` or without; see
        `dnaembed.training.list_genomes`.
    split : str, default=None
        Take only genomes with this value in column ``split`` of the catalogue.
    domains : iterable of str, default=None
        Take only genomes of these domains (column ``domain``, or names of sub-folders); all if
        None.
    n_reads : int, default=100
        Reads per label (a species), where its genomes are long enough; see Notes.
    min_reads : int, default=1
        Labels that give fewer are left out.
    length : tuple of int, default=(2000, 10000)
        Lengths in bp are log-uniform between these two, before errors.
    error_rate : float or tuple of float, default=0.0
        Errors per base of all reads; or uniform between two values, drawn for each read.
    error_model : ErrorModel, default=None
        How errors divide into kinds; None means ``ErrorModel()``.
    abundance : {"even", "lognormal"}, default="even"
        "lognormal": the number of reads of a label is log-normal with mean `n_reads` (sigma 1, as
        in communities with few common and many rare species).
    coverage : float, default=1.0
        Most bases of reads for each base of genome. At 1 and below no two reads overlap; above,
        reads overlap as little as they can.
    random_state : int, numpy Generator or None, default=0
        Same value, same reads.

    Returns
    -------
    Bunch
        With ``ids`` (list of str), ``sequences`` (list of str), ``labels`` (ndarray of str),
        ``groups`` (ndarray of str: the genome of origin), ``lineage`` (dict of ndarray of str:
        names at the ranks that the catalogue has, "" where unknown) and ``left_out`` (list of str:
        labels with fewer than `min_reads`).

    Raises
    ------
    ValueError
        If a parameter is out of range, or no label gives `min_reads` reads.

    Notes
    -----
    Reads come from either strand, at random places. A small genome gives fewer reads: about its
    length, times `coverage`, divided by the mean length of a read, ``(high - low) / log(high /
    low)``. The genomes of a label give reads in proportion to their length. Contigs shorter than
    the shortest read give none.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from dnaembed.datasets import make_species_dataset
    >>> rng = np.random.default_rng(0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("a", "b"):
    ...         genome = "".join(rng.choice(list("ACGT"), 5000))
    ...         _ = pathlib.Path(folder, f"{name}.fa").write_text(f">{name}\n{genome}\n")
    ...     reads = make_species_dataset(folder, n_reads=10, length=(100, 300))
    >>> len(reads.sequences), sorted(set(reads.labels.tolist()))
    (20, ['a.fa', 'b.fa'])
    """
    genomes = read_genomes(genomes_folder, split=split, domains=domains, min_piece=length[0])
    return sample_reads(
        genomes,
        n_reads=n_reads,
        min_reads=min_reads,
        length=length,
        error_rate=error_rate,
        error_model=error_model,
        abundance=abundance,
        coverage=coverage,
        random_state=random_state,
    )


def read_genomes(
    folder: str | os.PathLike[str],
    *,
    split: str | None = None,
    domains: Iterable[str] | None = None,
    min_piece: int = 2,
) -> list[Genome]:
    """Read the genomes of a folder that have a piece of `min_piece` bases into memory."""
    folder = Path(folder)
    records = list_genomes(folder, split=split)
    if domains is not None:
        wanted = {domains} if isinstance(domains, str) else set(domains)
        known = {record.domain for record in records}
        records = [record for record in records if record.domain in wanted]
        if not records:
            raise ValueError(f"No genomes of domains {sorted(wanted)}; there are {sorted(known)}.")
    genomes = []
    for record in progress(records, total=len(records), description="Genomes", unit="genome"):
        name = Path(record.path).relative_to(folder).as_posix()
        pieces = read_pieces(record.path, min_piece)
        if pieces:
            genomes.append(Genome(name, record.label, pieces, record.domain, record.lineage))
    return genomes


def sample_reads(
    genomes: Sequence[Genome],
    *,
    n_reads: int = 100,
    min_reads: int = 1,
    length: tuple[int, int] = (2000, 10_000),
    error_rate: float | tuple[float, float] = 0.0,
    error_model: ErrorModel | None = None,
    abundance: str = "even",
    coverage: float = 1.0,
    random_state: int | np.random.Generator | None = 0,
) -> Bunch:
    """Cut reads out of genomes in memory; see `make_species_dataset`."""
    low, high = length
    if not 1 <= low <= high:
        raise ValueError(f"length must be a pair 1 <= low <= high, got {length}.")
    if n_reads < 1 or not 1 <= min_reads <= n_reads:
        raise ValueError(
            f"1 <= min_reads <= n_reads is required, got min_reads={min_reads}, n_reads={n_reads}."
        )
    if abundance not in ("even", "lognormal"):
        raise ValueError(f'abundance must be "even" or "lognormal", got {abundance!r}.')
    if not coverage > 0:
        raise ValueError(f"coverage must be positive, got {coverage}.")
    least, most = np.broadcast_to(error_rate, 2).tolist()
    if not 0 <= least <= most <= 0.5:
        raise ValueError(f"error_rate must be from 0 to 0.5, low before high, got {error_rate}.")
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
            z = rng.normal(-(_LOGNORMAL_SIGMA**2) / 2, _LOGNORMAL_SIGMA)
            wanted = max(min_reads, round(n_reads * float(np.exp(z))))
        pieces = [(genome, piece) for genome in members for piece in genome.pieces]
        pieces = [(genome, piece) for genome, piece in pieces if piece.size >= low]
        spans = _place([piece.size for _, piece in pieces], wanted, (low, high), coverage, rng)
        if len(spans) < min_reads:
            left_out.append(label)
            continue
        for piece_number, start, stop in spans:
            genome, piece = pieces[piece_number]
            codes = piece[start:stop]
            if rng.random() < 0.5:
                codes = _COMPLEMENT[codes[::-1]]
            sequences.append(LETTERS[codes].tobytes().decode("ascii"))
            origins.append(genome)
    if not sequences:
        raise ValueError(f"No label has genomes that give {min_reads} reads of {low} bp or more.")
    if left_out:
        counts = len(left_out), len(by_label), min_reads
        logger.info("%d of %d labels give fewer than %d reads and are left out.", *counts)
    if most > 0:
        rate = rng.uniform(least, most, len(sequences))
        sequences = add_errors(sequences, rate, model=error_model, random_state=rng)
    ranks = [rank for rank in RANKS if any(rank in genome.lineage for genome in origins)]
    return Bunch(
        ids=[f"read_{i}" for i in range(1, len(sequences) + 1)],
        sequences=sequences,
        labels=np.array([genome.label for genome in origins]),
        groups=np.array([genome.name for genome in origins]),
        lineage={r: np.array([genome.lineage.get(r, "") for genome in origins]) for r in ranks},
        left_out=left_out,
    )


def _place(
    sizes: Sequence[int],
    n_reads: int,
    length: tuple[int, int],
    coverage: float,
    rng: np.random.Generator,
) -> list[tuple[int, int, int]]:
    """Lay reads out on pieces; return (piece, start, stop) of each, in random order.

    Above a coverage of one every piece counts several times, as layers: reads of one layer do not
    overlap.
    """
    if not sizes:
        return []
    low, high = length
    high = min(high, max(sizes))
    lengths = np.exp(rng.uniform(np.log(low), np.log(high), n_reads)).round().astype(np.int64)
    lengths = np.clip(lengths, low, high)
    lengths = lengths[np.cumsum(lengths) <= coverage * sum(sizes)]
    n_layers = max(1, int(np.ceil(coverage)))
    room = np.tile(np.asarray(sizes, dtype=np.int64), n_layers)
    placed: list[list[int]] = [[] for _ in room]
    for size in np.sort(lengths)[::-1].tolist():
        fits = np.flatnonzero(room >= size)
        if len(fits):
            line = int(rng.choice(fits, p=room[fits] / room[fits].sum()))
        else:  # what is left of the longest gap, if that is still a read
            line = int(room.argmax())
            size = int(room[line])
            if size < low:
                continue
        placed[line].append(size)
        room[line] -= size
    spans = []
    for line, (free, reads) in enumerate(zip(room.tolist(), placed, strict=True)):
        gaps = np.sort(rng.integers(0, free + 1, len(reads)))
        ends = np.cumsum(rng.permutation(reads)) if reads else np.empty(0, dtype=np.int64)
        starts = np.concatenate(([0], ends[:-1])) if reads else ends
        for gap, start, end in zip(gaps, starts, ends, strict=True):
            spans.append((line % len(sizes), int(gap + start), int(gap + end)))
    return [spans[i] for i in rng.permutation(len(spans))]


def load_dnabert_s_tsv(
    path: str | os.PathLike[str],
    *,
    min_length: int = 1,
    max_length: int | None = None,
    min_reads: int = 1,
) -> Bunch:
    r"""Load an evaluation file of the DNABERT-S paper.

    Parameters
    ----------
    path : path-like
        Table with a header and the columns ``sequence`` and ``label``, separated by tabs, such as
        ``clustering_0.tsv`` or ``binning_5.tsv``; plain or compressed.
    min_length : int, default=1
        Shorter sequences are left out; the paper bins sequences of 2,500 bp and more.
    max_length : int, default=None
        Longer sequences are cut to their first bases; the paper takes 10,000 bp for clustering
        the reference sets and 20,000 otherwise.
    min_reads : int, default=1
        Labels with fewer sequences are left out; the paper bins species with 10 and more.

    Returns
    -------
    Bunch
        With ``ids`` (list of str, ``line_2`` and so on), ``sequences`` (list of str) and
        ``labels`` (ndarray of str).

    Raises
    ------
    SequenceFileError
        If a column is missing, a line has another number of columns, a sequence is not DNA, or
        nothing is left; the message names the line.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from dnaembed.datasets import load_dnabert_s_tsv
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "clustering_0.tsv")
    ...     _ = path.write_text("sequence\tlabel\nACGTTG\t17\nGGCA\t4\n")
    ...     reads = load_dnabert_s_tsv(path, max_length=5)
    >>> reads.ids, reads.sequences, reads.labels.tolist()
    (['line_2', 'line_3'], ['ACGTT', 'GGCA'], ['17', '4'])
    """
    ids, sequences, labels = [], [], []
    for where, row in read_table(path, ["sequence", "label"]):
        label = row["label"]
        if not label:
            raise SequenceFileError(f"{where}: the label is empty.")
        try:
            sequence = normalize_sequence(row["sequence"], where=where)
        except ValueError as error:
            raise SequenceFileError(str(error)) from None
        if len(sequence) >= min_length:
            ids.append("line_" + where.rpartition(" ")[2])
            sequences.append(sequence[:max_length])
            labels.append(label)
    counts = Counter(labels)
    kept = [i for i, label in enumerate(labels) if counts[label] >= min_reads]
    if not kept:
        raise SequenceFileError(
            f"{name_of(path)} has no sequences of {min_length} bp or more in labels of {min_reads} "
            "or more."
        )
    return Bunch(
        ids=[ids[i] for i in kept],
        sequences=[sequences[i] for i in kept],
        labels=np.array(labels)[kept],
    )
