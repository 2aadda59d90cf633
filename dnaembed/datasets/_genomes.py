"""Genomes on disk in two bits per base: a hundred thousand of them need no memory."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import dnaio
import numpy as np
from numpy.typing import NDArray

from .._sequences import normalize_sequence
from ..composition._counting import BASE_CODES
from ..io import SequenceFileError
from ..io._streams import name_of
from ..io._tables import lines_of
from ..utils._atomic import atomic_folder
from ..utils._compile import compiled
from ..utils._progress import progress
from ._read_errors import LETTERS

logger = logging.getLogger("dnaembed")

_FORMAT = 1
_SUFFIXES = (".fa", ".fna", ".fasta", ".fas")
_COMPRESSED = ("", ".gz", ".bz2", ".xz", ".zst")
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
        Name at each taxonomic rank that the catalogue has a column for, "" where unknown.
    """

    path: str
    label: str
    domain: str = ""
    lineage: Mapping[str, str] = field(default_factory=dict)


def list_genomes(
    folder: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    catalog: str | os.PathLike[str] | None = None,
    split: str | None = None,
    labels: Mapping[str, str] | None = None,
) -> list[GenomeRecord]:
    """List the genomes of one or several folders with their labels.

    Parameters
    ----------
    folder : path, or sequence of paths
        Folder with one FASTA file per genome (``.fa``, ``.fna``, ``.fasta``, ``.fas``, and these
        with ``.gz``, ``.bz2``, ``.xz`` or ``.zst``), in sub-folders or not. Several folders have a
        catalogue each, or none.
    catalog : path, default=None
        Tab-separated table with a header and at least the columns ``path`` (relative to `folder`)
        and ``label``; ``domain`` and ``split`` are used where they exist. None means
        ``catalog.tsv`` in `folder` if there is one and `labels` is None.
    split : str, default=None
        Take only the rows of the catalogue with this value in column ``split``.
    labels : mapping of str to str, default=None
        Label by path relative to `folder`, in place of a catalogue. With neither, each file is a
        species of its own, and its domain is the name of the sub-folder that it lies in.

    Returns
    -------
    list of GenomeRecord
        In the order of the catalogue, or of the sorted paths.

    Raises
    ------
    ValueError
        If a column is missing, a file has no label, or nothing is left.
    FileNotFoundError
        If a folder or a listed genome does not exist.
    """
    folders = [folder] if isinstance(folder, str | os.PathLike) else list(folder)
    if len(folders) > 1 and (catalog is not None or labels is not None):
        raise ValueError("A catalog or labels are for one folder; put a catalog.tsv into each.")
    records = [r for one in folders for r in _list_folder(Path(one), catalog, split, labels)]
    if not records:
        chosen = "" if split is None else f" with split {split!r}"
        raise ValueError(f"No genomes found in {', '.join(map(str, folders))}{chosen}.")
    return records


def _list_folder(
    folder: Path,
    catalog: str | os.PathLike[str] | None,
    split: str | None,
    labels: Mapping[str, str] | None,
) -> list[GenomeRecord]:
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: folder not found; a folder of genomes is expected.")
    if catalog is None and labels is None and (folder / "catalog.tsv").is_file():
        catalog = folder / "catalog.tsv"
    if catalog is not None:
        if labels is not None:
            raise ValueError("Give a catalog or labels, not both.")
        return _read_catalog(folder, Path(catalog), split)
    if split is not None:
        raise ValueError("A split can only be chosen with a catalog.")
    if labels is None:
        endings = tuple(a + b for a in _SUFFIXES for b in _COMPRESSED)
        paths = sorted(path for path in folder.rglob("*") if path.name.endswith(endings))
        names = [path.relative_to(folder).as_posix() for path in paths]
        labels = dict(zip(names, names, strict=True))
    return [
        GenomeRecord(_existing(folder / name), label, name.rpartition("/")[0].split("/")[0])
        for name, label in labels.items()
    ]


class GenomeStore:
    """Genomes in two bits per base, memory-mapped from disk.

    Opened read-only: any number of processes may share one. Make it with `build`.

    Parameters
    ----------
    folder : path
        Folder that `build` wrote.

    Attributes
    ----------
    labels : list of str
        Names of the labels; `genome_labels` holds positions in it.
    domains : list of str
        Domain of each label.
    genome_names : list of str
        File name of each genome.
    genome_labels : ndarray of shape (n_genomes,), int64
        Label of each genome.
    genome_pieces : ndarray of shape (n_genomes + 1,), int64
        Pieces of genome ``g`` are ``genome_pieces[g]`` to ``genome_pieces[g + 1]``, exclusive.
    piece_offsets : ndarray of shape (n_pieces + 1,), int64
        First base of each piece (a contiguous sequence of a genome).
    packed : ndarray of uint8, memory-mapped
        Four bases per byte, the first in the lowest bits; 0 stands where the base is not known.
    gaps : ndarray of shape (n_gaps, 2), int64
        First base and end of each run of N.
    checksum : str
        SHA-256 of the contents, labels included.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        try:
            index = json.loads((self.folder / "index.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise FileNotFoundError(
                f"{self.folder} does not hold a genome store: index.json expected."
            ) from None
        if index.get("format") != _FORMAT:
            raise ValueError(
                f"{self.folder} has genome store format {index.get('format')}, expected {_FORMAT}."
            )
        self.labels: list[str] = index["labels"]
        self.domains: list[str] = index["domains"]
        self.genome_names: list[str] = index["genomes"]
        self.checksum: str = index["checksum"]
        with np.load(self.folder / "index.npz") as arrays:
            self.genome_labels: NDArray[np.int64] = arrays["genome_labels"]
            self.genome_pieces: NDArray[np.int64] = arrays["genome_pieces"]
            self.piece_offsets: NDArray[np.int64] = arrays["piece_offsets"]
            self.gaps: NDArray[np.int64] = arrays["gaps"]
        self.packed: NDArray[np.uint8] = np.memmap(
            self.folder / "bases.2bit", dtype=np.uint8, mode="r"
        )
        if self.packed.size != -(-self.n_bases // 4):
            raise ValueError(
                f"{self.folder / 'bases.2bit'} has {self.packed.size} bytes, expected "
                f"{-(-self.n_bases // 4)}: the file is damaged."
            )

    @property
    def n_bases(self) -> int:
        """Bases of all genomes."""
        return int(self.piece_offsets[-1])

    @classmethod
    def build(
        cls,
        genomes: Iterable[GenomeRecord],
        folder: str | os.PathLike[str],
        *,
        min_piece: int = 500,
        overwrite: bool = False,
    ) -> GenomeStore:
        """Read genomes once and write the store.

        One genome at a time is in memory. The folder is written beside its place and renamed.

        Parameters
        ----------
        genomes : iterable of GenomeRecord
            See `list_genomes`.
        folder : path
            Where the store goes.
        min_piece : int, default=500
            Sequences of a genome shorter than this are left out.
        overwrite : bool, default=False
            Whether an existing store may be replaced.

        Returns
        -------
        GenomeStore
            The store, opened.

        Raises
        ------
        FileExistsError
            If `folder` exists and may not be replaced.
        ValueError
            If no genome has a sequence of `min_piece` bases, or one holds what is not DNA.

        Warns
        -----
        UserWarning
            If genomes without such a sequence were left out; the warning counts them.
        """
        if min_piece < 2:
            raise ValueError(f"min_piece must be at least 2, got {min_piece}.")
        folder = Path(folder)
        if folder.exists() and not overwrite:
            raise FileExistsError(f"{folder} exists; pass overwrite=True to replace it.")
        if folder.exists() and not (folder / "index.json").is_file():
            raise FileExistsError(f"{folder} is not a genome store, and is left as it is.")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with atomic_folder(folder) as beside:
            _write(list(genomes), beside, min_piece)
        return cls(folder)

    def sequence(self, start: int, stop: int) -> str:
        """Return the bases from `start` to `stop` (see `piece_offsets`) as a string."""
        if not 0 <= start <= stop <= self.n_bases:
            raise ValueError(f"Bases {start} to {stop} are not within 0 to {self.n_bases}.")
        codes = np.empty(stop - start, dtype=np.uint8)
        unpack(self.packed, self.gaps, start, stop, codes)
        return LETTERS[codes].tobytes().decode("ascii")


def _existing(path: Path) -> str:
    if not path.is_file():
        raise FileNotFoundError(f"Genome {path} does not exist.")
    return str(path)


def _read_catalog(folder: Path, catalog: Path, split: str | None) -> list[GenomeRecord]:
    records = []
    needed = ["path", "label"] + (["split"] if split is not None else [])
    for where, row in read_table(catalog, needed):
        if split is not None and row["split"] != split:
            continue
        if not row["label"]:
            raise ValueError(f"{where}: {row['path']} has no label.")
        lineage = {rank: row[rank] for rank in RANKS if rank in row}
        path = _existing(folder / row["path"])
        records.append(GenomeRecord(path, row["label"], row.get("domain", ""), lineage))
    return records


def read_table(
    path: str | os.PathLike[str], needed: Iterable[str]
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield where each row of a table stands, and its fields by the names of the header."""
    name = name_of(path)
    lines = lines_of(path, name)
    _, header = next(lines, (1, ""))
    columns = [column.strip().lower() for column in header.split("\t")]
    for column in needed:
        if column not in columns:
            raise SequenceFileError(
                f"{name}, line 1: no column {column!r}; expected a header with "
                f"{' and '.join(needed)}, got {header[:60]!r}."
            )
    for number, line in lines:
        fields = [field.strip() for field in line.split("\t")]
        where = f"{name}, line {number}"
        if len(fields) != len(columns):
            raise SequenceFileError(f"{where}: expected {len(columns)} columns, got {len(fields)}.")
        yield where, dict(zip(columns, fields, strict=True))


def _write(genomes: Sequence[GenomeRecord], folder: Path, min_piece: int) -> None:
    labels: dict[str, int] = {}
    domains: list[str] = []
    names: list[str] = []
    genome_labels, genome_pieces, offsets, gaps = [], [0], [0], []
    digest = hashlib.sha256()
    too_short: list[str] = []
    waiting = np.empty(0, dtype=np.uint8)  # bases that do not fill a byte yet
    with (folder / "bases.2bit").open("wb") as file:

        def write(codes: NDArray[np.uint8]) -> None:
            packed = _pack(codes).tobytes()
            digest.update(packed)
            file.write(packed)

        for genome in progress(
            genomes, total=len(genomes), description="Packing genomes", unit="genome"
        ):
            pieces = read_pieces(genome.path, min_piece)
            if not pieces:
                too_short.append(genome.path)
                continue
            label = labels.setdefault(genome.label, len(labels))
            if label == len(domains):
                domains.append(genome.domain)
            if domains[label] != genome.domain:
                raise ValueError(
                    f"Label {genome.label!r} has genomes of two domains: {domains[label]!r} and "
                    f"{genome.domain!r}."
                )
            for codes in pieces:
                gaps.append(_runs_of_n(codes) + offsets[-1])
                offsets.append(offsets[-1] + codes.size)
                codes = np.concatenate((waiting, np.where(codes > 3, 0, codes).astype(np.uint8)))
                whole = codes.size // 4 * 4
                write(codes[:whole])
                waiting = codes[whole:]
            names.append(Path(genome.path).name)
            genome_labels.append(label)
            genome_pieces.append(len(offsets) - 1)
        write(np.pad(waiting, (0, -waiting.size % 4)))
    if not names and too_short:
        raise ValueError(
            f"None of the {len(too_short)} genomes has a sequence of at least {min_piece} bases, "
            f"{too_short[0]} the first of them."
        )
    if not names:
        raise ValueError("At least one genome is required.")
    if too_short:
        warnings.warn(
            f"{len(too_short)} of {len(genomes)} genomes have no sequence of at least {min_piece} "
            f"bases and are left out, {too_short[0]} the first of them.",
            UserWarning,
            stacklevel=4,
        )
    arrays = {
        "genome_labels": np.array(genome_labels, dtype=np.int64),
        "genome_pieces": np.array(genome_pieces, dtype=np.int64),
        "piece_offsets": np.array(offsets, dtype=np.int64),
        "gaps": np.concatenate(gaps).astype(np.int64),
    }
    index = {"format": _FORMAT, "labels": list(labels), "domains": domains, "genomes": names}
    for name in sorted(arrays):
        digest.update(arrays[name].tobytes())
    digest.update(json.dumps(index).encode())
    index["checksum"] = digest.hexdigest()
    np.savez(folder / "index.npz", **arrays)  # type: ignore[arg-type]
    (folder / "index.json").write_text(json.dumps(index), encoding="utf-8")
    logger.info("Packed %d genomes of %d labels, %d bases.", len(names), len(labels), offsets[-1])


def read_pieces(path: str, min_piece: int) -> list[NDArray[np.uint8]]:
    """Read the sequences of a genome that have `min_piece` bases, as codes."""
    pieces = []
    with dnaio.open(path) as reader:
        for number, record in enumerate(reader, start=1):
            if len(record.sequence) < min_piece:
                continue
            where = f"{path}, record {record.name.split()[0]!r} (number {number})"
            text = normalize_sequence(record.sequence, where=where).encode("ascii")
            if len(text) >= min_piece:
                pieces.append(BASE_CODES[np.frombuffer(text, dtype=np.uint8)])
    return pieces


def pack_sequences(
    sequences: Sequence[str],
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """Pack sequences in memory; return what `GenomeStore` calls packed, gaps, piece_offsets."""
    text = "".join(sequences).encode("ascii")
    codes = BASE_CODES[np.frombuffer(text, dtype=np.uint8)]
    offsets = np.cumsum([0, *map(len, sequences)], dtype=np.int64)
    known = np.where(codes > 3, 0, codes).astype(np.uint8)
    return _pack(np.pad(known, (0, -codes.size % 4))), _runs_of_n(codes), offsets


def _runs_of_n(codes: NDArray[np.uint8]) -> NDArray[np.int64]:
    edges = np.flatnonzero(np.diff(np.concatenate(([0], codes > 3, [0])).astype(np.int8)))
    return edges.reshape(-1, 2).astype(np.int64)


def _pack(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    four = codes.reshape(-1, 4)
    return np.asarray(
        four[:, 0] | four[:, 1] << 2 | four[:, 2] << 4 | four[:, 3] << 6, dtype=np.uint8
    )


@compiled
def unpack(packed, gaps, start, stop, out):  # type: ignore[no-untyped-def]
    """Write the codes (A, C, G, T, N are 0..4) of the bases from `start` to `stop` to `out`."""
    for i in range(start, stop):
        out[i - start] = (packed[i >> 2] >> np.uint8(2 * (i & 3))) & np.uint8(3)
    low, high = 0, gaps.shape[0]
    while low < high:  # the first gap that ends after start
        middle = (low + high) // 2
        if gaps[middle, 1] <= start:
            low = middle + 1
        else:
            high = middle
    while low < gaps.shape[0] and gaps[low, 0] < stop:
        for i in range(max(start, gaps[low, 0]), min(stop, gaps[low, 1])):
            out[i - start] = 4
        low += 1
