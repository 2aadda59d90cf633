"""Genomes on disk in two bits per base: a hundred thousand of them need no memory."""

import json
import logging
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .._sequences import normalize_sequence
from ..composition._counting import BASE_CODES
from ..io._readers import PACKED, raw_records
from ..io._tables import named_rows
from ..utils._atomic import atomic_folder
from ..utils._compile import compiled
from ..utils._messages import shorten
from ..utils._progress import progress

logger = logging.getLogger("dnaembed")

_FORMAT = 1
_SHORTEST_PIECE = 500
_ENDINGS = tuple(kind + more for kind in (".fa", ".fna", ".fasta", ".fas") for more in PACKED)
RANKS = ("superkingdom", "kingdom", "phylum", "class", "order", "family", "genus")


@dataclass(frozen=True)
class GenomeRecord:
    """A genome file and what is known of it.

    Attributes
    ----------
    path : str
        FASTA file, compressed or not.
    label : str
        Species: genomes of one label make positive pairs with each other.
    domain : str, default=""
        Coarse group by which labels can be weighted, for example ``"virus"``.
    lineage : mapping of str to str, default={}
        Name at each taxonomic rank of the catalogue, "" where unknown.
    """

    path: str
    label: str
    domain: str = ""
    lineage: Mapping[str, str] = field(default_factory=dict)


def list_genomes(
    folder: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], *, split: str | None = None
) -> list[GenomeRecord]:
    """List the genomes of one or several folders with their labels.

    Parameters
    ----------
    folder : path, or sequence of paths
        Folder with one FASTA file per genome, maybe compressed, in sub-folders or not, and
        ``catalog.tsv``, a table with the columns ``path`` (relative to the folder), ``label`` and,
        where known, ``domain``, ``split`` and ranks. Without it, each file is a species of its own,
        and its domain is the name of the sub-folder that it lies in.
    split : str, default=None
        Take only the rows of the catalogue with this value in column ``split``.

    Returns
    -------
    list of GenomeRecord
        In the order of the catalogue, or of the sorted paths; at least one.
    """
    folders = [folder] if isinstance(folder, str | os.PathLike) else list(folder)
    records: list[GenomeRecord] = []
    for root in map(Path, folders):
        if not root.is_dir():
            raise FileNotFoundError(f"{root}: folder not found; a folder of genomes is expected.")
        if (root / "catalog.tsv").is_file():
            records += _read_catalog(root, root / "catalog.tsv", split)
            continue
        if split is not None:
            raise ValueError("A split can only be chosen with a catalog.")
        if inner := next(root.rglob("catalog.tsv"), None):
            raise ValueError(f"{root} has no catalog.tsv, but {inner.parent} has: give that.")
        logger.info("%s has no catalog.tsv: each file is taken for a species.", root)
        paths = sorted(path for path in root.rglob("*") if path.name.endswith(_ENDINGS))
        for path in paths:
            name = path.relative_to(root).as_posix()
            domain = name.rpartition("/")[0].split("/")[0]
            records.append(GenomeRecord(str(path), name, domain))
    if not records:
        chosen = "" if split is None else f" with split {split!r}"
        raise ValueError(f"No genomes found in {', '.join(map(str, folders))}{chosen}.")
    for record in records:
        if not Path(record.path).is_file():
            raise FileNotFoundError(f"Genome {record.path} does not exist.")
    return records


def _read_catalog(folder: Path, catalog: Path, split: str | None) -> list[GenomeRecord]:
    records = []
    needed = ["path", "label"] + (["split"] if split is not None else [])
    for where, row in named_rows(catalog, needed):
        if split is not None and row["split"] != split:
            continue
        if not row["label"]:
            raise ValueError(f"{where}: {row['path']} has no label.")
        lineage = {rank: row[rank] for rank in RANKS if rank in row}
        path, domain = str(folder / row["path"]), row.get("domain", "")
        records.append(GenomeRecord(path, row["label"], domain, lineage))
    return records


def domain_of_labels(genomes: Iterable[GenomeRecord]) -> dict[str, str]:
    """Return the domain of each label; raise if one has two."""
    domains: dict[str, str] = {}
    for genome in genomes:
        domain = domains.setdefault(genome.label, genome.domain)
        if domain != genome.domain:
            label, *both = (repr(shorten(x)) for x in (genome.label, domain, genome.domain))
            raise ValueError(f"Label {label} has genomes of two domains: {' and '.join(both)}.")
    return domains


class GenomeStore:
    """Genomes in two bits per base, memory-mapped from disk.

    Opened read-only: any number of processes may share one.

    Parameters
    ----------
    folder : path
        Folder that `build` wrote.

    Attributes
    ----------
    labels, domains : list of str
        Name and domain of each label.
    genome_labels : ndarray of shape (n_genomes,), int64
        Label of each genome, as a position in `labels`.
    genome_pieces : ndarray of shape (n_genomes + 1,), int64
        Pieces of genome ``g`` are ``genome_pieces[g]`` to ``genome_pieces[g + 1]``, exclusive.
    piece_offsets : ndarray of shape (n_pieces + 1,), int64
        First base of each piece (a contiguous sequence of a genome).
    packed : ndarray of uint8, memory-mapped
        Four bases per byte, the first in the lowest bits; 0 stands where the base is not known.
    gaps : ndarray of shape (n_gaps, 2), int64
        First base and end of each run of N.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        index = json.loads((self.folder / "index.json").read_text(encoding="utf-8"))
        if (found := index.get("format")) != _FORMAT:
            raise ValueError(f"{folder} has genome store format {found}, expected {_FORMAT}.")
        self.labels: list[str] = index["labels"]
        self.domains: list[str] = index["domains"]
        with np.load(self.folder / "index.npz") as arrays:
            self.genome_labels: NDArray[np.int64] = arrays["genome_labels"]
            self.genome_pieces: NDArray[np.int64] = arrays["genome_pieces"]
            self.piece_offsets: NDArray[np.int64] = arrays["piece_offsets"]
            self.gaps: NDArray[np.int64] = arrays["gaps"]
        place = self.folder / "bases.2bit"
        self.packed: NDArray[np.uint8] = np.memmap(place, dtype=np.uint8, mode="r")
        expected, size = -(-self.n_bases // 4), self.packed.size
        if size != expected:
            raise ValueError(f"{place} has {size} bytes, expected {expected}: the file is damaged.")

    @property
    def n_bases(self) -> int:
        """Bases of all genomes."""
        return int(self.piece_offsets[-1])

    @classmethod
    def build(cls, genomes: Iterable[GenomeRecord], folder: str | os.PathLike[str]) -> Self:
        """Read genomes, one at a time, and write a new store, which is complete or absent.

        Sequences shorter than 500 bases are left out; a warning counts the genomes that have no
        other.

        Parameters
        ----------
        genomes : iterable of GenomeRecord
            See `list_genomes`.
        folder : path
            A new or empty folder.

        Returns
        -------
        GenomeStore
            The store, opened; ValueError if no genome is left, or one holds what is not DNA.
        """
        Path(folder).parent.mkdir(parents=True, exist_ok=True)
        with atomic_folder(folder, overwrite=False) as beside:
            _write(list(genomes), beside)
        return cls(folder)


def _write(genomes: Sequence[GenomeRecord], folder: Path) -> None:
    labels: dict[str, int] = {}
    domains = domain_of_labels(genomes)
    too_short = []
    genome_labels, genome_pieces, offsets, gaps = [], [0], [0], []
    waiting = np.empty(0, dtype=np.uint8)  # bases that do not fill a byte yet
    with (folder / "bases.2bit").open("wb") as file:
        for genome in progress(genomes, description="Packing genomes", unit="genome"):
            pieces = read_pieces(genome.path, _SHORTEST_PIECE)
            if not pieces:
                too_short.append(genome.path)
                continue
            for codes in pieces:
                gaps.append(_runs_of_n(codes) + offsets[-1])
                offsets.append(offsets[-1] + codes.size)
            codes = np.concatenate((waiting, *pieces))
            whole = codes.size // 4 * 4
            file.write(_pack(codes[:whole]).tobytes())
            waiting = codes[whole:]
            genome_labels.append(labels.setdefault(genome.label, len(labels)))
            genome_pieces.append(len(offsets) - 1)
        file.write(_pack(waiting).tobytes())
    if not genomes:
        raise ValueError("At least one genome is required.")
    if too_short:
        lack = f"genomes have no sequence of at least {_SHORTEST_PIECE} bases"
        problem = f"{len(too_short)} of {len(genomes)} {lack}, {too_short[0]} the first of them."
        if not labels:
            raise ValueError(problem)
        warnings.warn(f"{problem} They are left out.", UserWarning, stacklevel=4)
    numbers = {"genome_labels": genome_labels, "genome_pieces": genome_pieces}
    numbers["piece_offsets"] = offsets
    arrays: Any = {name: np.array(some, dtype=np.int64) for name, some in numbers.items()}
    np.savez(folder / "index.npz", **arrays, gaps=np.concatenate(gaps))
    names = list(labels)
    index = {"format": _FORMAT, "labels": names, "domains": [domains[name] for name in names]}
    (folder / "index.json").write_text(json.dumps(index), encoding="utf-8")
    counts = len(genome_labels), len(labels), offsets[-1]
    logger.info("Packed %s genomes of %s labels, %s bases.", *(f"{n:,}" for n in counts))


def read_pieces(path: str, min_piece: int) -> list[NDArray[np.uint8]]:
    """Read the sequences of a genome that have `min_piece` bases, as codes."""
    pieces = []
    for number, (header, sequence) in enumerate(raw_records(path), start=1):
        if len(sequence) < min_piece:
            continue
        where = f"{path}, record {shorten(header)!r} (number {number})"
        text = normalize_sequence(sequence, where=where).encode("ascii")
        if len(text) >= min_piece:
            pieces.append(BASE_CODES[np.frombuffer(text, dtype=np.uint8)])
    return pieces


def pack_sequences(
    sequences: Sequence[str],
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """Pack sequences in memory; return what `GenomeStore` calls packed, gaps, piece_offsets."""
    codes = BASE_CODES[np.frombuffer("".join(sequences).encode("ascii"), dtype=np.uint8)]
    offsets = np.cumsum([0, *map(len, sequences)], dtype=np.int64)
    return _pack(codes), _runs_of_n(codes), offsets


def _runs_of_n(codes: NDArray[np.uint8]) -> NDArray[np.int64]:
    edges = np.flatnonzero(np.diff(np.concatenate(([0], codes > 3, [0])).astype(np.int8)))
    return edges.reshape(-1, 2).astype(np.int64)


def _pack(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    known = np.where(codes > 3, np.uint8(0), codes)
    a, b, c, d = np.pad(known, (0, -codes.size % 4)).reshape(-1, 4).T
    return np.asarray(a | b << 2 | c << 4 | d << 6, dtype=np.uint8)


@compiled
def unpack(packed, gaps, start, stop, out):  # type: ignore[no-untyped-def]
    """Write the codes (A, C, G, T, N are 0..4) of the bases from `start` to `stop` to `out`."""
    for i in range(start, stop):
        out[i - start] = (packed[i >> 2] >> np.uint8(2 * (i & 3))) & np.uint8(3)
    gap = np.searchsorted(gaps[:, 1], start, side="right")  # the first that ends after start
    while gap < gaps.shape[0] and gaps[gap, 0] < stop:
        for i in range(max(start, gaps[gap, 0]), min(stop, gaps[gap, 1])):
            out[i - start] = 4
        gap += 1
