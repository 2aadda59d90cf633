"""Contigs as they are in files, and their bins as FASTA files and tables."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from xopen import xopen

from .._sequences import gc_and_known_bases
from ..utils._atomic import FilePath, atomic_folder, check_folder
from ..utils._messages import shorten
from ._errors import SequenceFileError, with_advice
from ._readers import Sources, iter_records, sequence_files
from ._streams import Source, name_of
from ._tables import first_word, lines_of, open_table

_TABLES = r"bins\.tsv|contigs\.tsv|contigs2bin\.tsv|cami\.binning"
_OURS = re.compile(rf"(bin_\d+|unbinned)\.fasta(\.gz)?|{_TABLES}")
# A name as hifiasm and older metaMDBG give it, and what others write after or into the name.
_CIRCULAR = re.compile(
    r"^(s\d+\.)?[a-z]*(ctg|tg)\d+c\b|(?<![a-z])(suggest)?circular[=:-](y|yes|true)(?![a-z])"
    r"|topology=circular",
    re.IGNORECASE,
)


class Contigs(NamedTuple):
    """Records of an assembly: normalised, and as they are in the file."""

    ids: list[str]
    sequences: list[str]
    headers: list[str]
    records: list[str]


def read_contigs(paths: Sources, *, skip_empty: bool = False, prefix: bool = False) -> Contigs:
    """Read contigs, whose identifiers must differ; `prefix` puts the names of files before them."""
    contigs, start = Contigs([], [], [], []), ""

    def keep(header: str, raw: str) -> None:
        contigs.headers.append(start + header)
        contigs.records.append(raw)

    for source in sequence_files(paths):
        start = Path(name_of(source)).name.split(".")[0] + ":" if prefix else ""
        for identifier, sequence in iter_records(source, skip_empty, "allow", None, keep):
            contigs.ids.append(start + identifier)
            contigs.sequences.append(sequence)
            if contigs.records[-1] == sequence:
                contigs.records[-1] = sequence  # held once
    twice = [identifier for identifier, n in Counter(contigs.ids).items() if n > 1]
    if twice:
        error = SequenceFileError(f"Two contigs have the same identifier {shorten(twice[0])!r}.")
        if prefix:
            raise error
        sentence = "Put the name of its file before the name of each contig with {}."
        raise with_advice(error, sentence, "prefix=True")
    return contigs


def circular_contigs(contigs: Contigs, table: Source | None = None) -> np.ndarray:
    """Tell which contigs their headers, or a list or table of Flye, say to be circular."""
    circular = np.array([bool(_CIRCULAR.search(header)) for header in contigs.headers], dtype=bool)
    if table is None:
        return circular
    rows = [line.split("\t") for _, line in lines_of(table)]
    column = rows[0].index("circ.") if rows and "circ." in rows[0] else None
    named = {first_word(r[0]) for r in rows if column is None or "Y" in r[column : column + 1]}
    if not named & set(contigs.ids):
        raise SequenceFileError(f"{name_of(table)} names none of the contigs as circular.")
    return circular | np.array([identifier in named for identifier in contigs.ids])


def write_bins(
    folder: FilePath,
    ids: Sequence[str],
    sequences: Sequence[str],
    labels: Sequence[int] | np.ndarray,
    *,
    overwrite: bool = False,
    headers: Sequence[str] | None = None,
    reasons: Sequence[str] | None = None,
    confidence: np.ndarray | None = None,
    circular: np.ndarray | None = None,
    abundance: Any = None,
    compress: bool = False,
) -> None:
    """Write one FASTA file per bin, one of the contigs in no bin, and tables.

    Parameters
    ----------
    folder : path-like
        Made if absent; it appears complete. :doc:`/guide/binning` says what it holds.
    ids, sequences : sequence of str, length n
        Identifiers and sequences, which are written letter by letter as they are.
    labels : array-like of int, shape (n,)
        The bin of each sequence; negative: in no bin.
    overwrite : bool, default=False
        Replace a folder that holds nothing but bins; FileExistsError if it holds anything else.
    headers, reasons : sequence of str, length n, default=None
        Headers of the FASTA records (None: the identifiers); why a sequence is in no bin.
    confidence, circular : array-like of shape (n,), default=None
        From `dnaembed.species.bin_confidence`; whether a sequence is circular.
    abundance : array-like or DataFrame of shape (n, n_profiles), default=None
        Mean coverages; the columns of a frame are names of samples.
    compress : bool, default=False
        Compress FASTA files by gzip; their names end in ``.gz``.

    Examples
    --------
    >>> import os, tempfile
    >>> from dnaembed.io import write_bins
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     write_bins(f"{parent}/bins", ["a", "b", "c"], ["ACGT", "GGGG", "AT"], [0, 1, -1])
    ...     sorted(name for name in os.listdir(f"{parent}/bins") if name.endswith(".fasta"))
    ['bin_0.fasta', 'bin_1.fasta', 'unbinned.fasta']
    """
    numbers, n = np.asarray(labels), len(ids)
    if numbers.shape != (n,) or len(sequences) != n:
        got = f"{n}, {len(sequences)} and labels of shape {numbers.shape}"
        raise ValueError(f"Expected one identifier, sequence and label each, got {got}.")
    if n and not np.issubdtype(numbers.dtype, np.integer):
        raise ValueError(f"Bin labels must be integers, got {numbers.dtype}.")
    numbers = np.maximum(numbers, -1)
    headers = ids if headers is None else headers
    coverage = np.empty((n, 0)) if abundance is None else np.asarray(abundance)
    samples = getattr(abundance, "columns", range(1, coverage.shape[1] + 1))
    confidence = np.full(n, np.nan) if confidence is None else np.asarray(confidence)
    rings = np.zeros(n, dtype=bool) if circular is None else np.asarray(circular)
    lengths = np.array(list(map(len, sequences)))
    gc_bases, known_bases = gc_and_known_bases(sequences)
    bins = np.unique(numbers[numbers >= 0]).tolist()
    width = len(str(bins[-1])) if bins else 1
    ending = ".fasta.gz" if compress else ".fasta"
    names = {number: f"bin_{number:0{width}d}" for number in bins} | {-1: "unbinned"}
    columns = ["bin", "file", "sequences", "bases", "n50", "gc", "gc_sd", "circular", "confidence"]
    columns += [f"coverage {sample}" for sample in samples]
    with atomic_folder(folder, overwrite=overwrite, check=check_bins_folder) as beside:
        with open_table(beside / "bins.tsv", columns) as write_rows:
            for number, name in names.items():
                own = np.flatnonzero(numbers == number)
                held = ([texts[i] for i in own.tolist()] for texts in (headers, sequences))
                write_fasta(beside / (name + ending), *held)
                if number < 0:
                    continue
                sizes = np.sort(lengths[own])[::-1]
                n50 = sizes[np.searchsorted(np.cumsum(sizes), sizes.sum() / 2)]
                gc, known = gc_bases[own], known_bases[own]
                mean = gc.sum() / known.sum() if known.any() else np.nan
                shares = np.where(known > 0, gc / np.maximum(known, 1), mean)
                values = np.column_stack([(shares - mean) ** 2, confidence[own], coverage[own]])
                spread, sure, *depths = np.average(values, axis=0, weights=lengths[own])
                row = [number, name + ending, len(own), sizes.sum(), n50]
                row += [f"{mean:.4f}", f"{np.sqrt(spread):.4f}"]
                row += ["yes" if rings[own].all() else "no", _shown(sure)]
                write_rows([row + [f"{depth:.4g}" for depth in depths]])
        columns = ["id", "bin", "confidence", "reason"]
        with open_table(beside / "contigs.tsv", columns) as write_rows:
            shown, why = map(_shown, confidence), [""] * n if reasons is None else reasons
            write_rows(zip(ids, numbers.tolist(), shown, why, strict=True))
        binned = np.flatnonzero(numbers >= 0).tolist()
        in_bins = [(ids[i], names[int(numbers[i])], lengths[i]) for i in binned]
        with open_table(beside / "contigs2bin.tsv") as write_rows:
            write_rows(row[:2] for row in in_bins)
        with open_table(beside / "cami.binning") as write_rows:
            write_rows([["@Version:0.9.0"], [f"@SampleID:{Path(folder).name}"]])
            write_rows([["@@SEQUENCEID", "BINID", "_LENGTH"], *in_bins])


def check_bins_folder(folder: FilePath, *, overwrite: bool) -> Path:
    """Return where a folder of bins leads to; raise if `write_bins` would refuse it."""
    target = check_folder(folder)
    present = sorted(target.iterdir()) if target.is_dir() else []
    for entry in present:
        # What has gone since belonged to another process that replaces these bins.
        is_other = not entry.is_file() and os.path.lexists(entry)
        if is_other or not _OURS.fullmatch(entry.name):
            other = f"holds other files than bins ({entry.name}, ...)"
            raise FileExistsError(f"{folder} {other}; choose an empty or new one.")
    if present and not overwrite:
        error = FileExistsError(f"{folder} holds bins already; choose another folder.")
        raise with_advice(error, "Use {} to replace them.", "overwrite=True")
    return target


def write_fasta(path: Path, ids: Iterable[str], sequences: Iterable[str]) -> None:
    """Write records, with at most 80 bases on a line; compressed if the name ends in ``.gz``."""
    with xopen(path, "wt", threads=0, encoding="utf-8", newline="\n") as file:
        for identifier, sequence in zip(ids, sequences, strict=True):
            file.write(f">{identifier}\n")
            for start in range(0, len(sequence), 80):
                file.write(sequence[start : start + 80] + "\n")


def _shown(confidence: float) -> str:
    return "" if np.isnan(confidence) else f"{confidence:.3f}"
