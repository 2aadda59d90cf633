"""Read FASTA and FASTQ into identifiers and sequences."""

from __future__ import annotations

import io
import logging
import os
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import dnaio
import numpy as np

from .._sequences import normalize_sequence
from ..utils._messages import printable, shorten
from ._errors import SequenceFileError, with_advice
from ._streams import NOT_ASCII, AsciiStream, Source, name_of, open_decompressed

logger = logging.getLogger("dnaembed")

Sources = Source | Iterable[Source]

_FIRST_CHECK = 1 << 16


def read_sequences(
    paths: Sources, *, skip_empty: bool = False, duplicate_ids: str = "error"
) -> tuple[list[str], list[str]]:
    r"""Read all sequences of FASTA or FASTQ files.

    Parameters
    ----------
    paths : path-like, binary file, or iterable of these
        One or several files, in the order wanted. ``"-"`` is standard input. FASTA or FASTQ, plain
        or compressed by gzip, bzip2, xz or zstd, is recognised from the content.
    skip_empty : bool, default=False
        Leave records without a base out and log how many, instead of raising.
    duplicate_ids : {"error", "allow"}, default="error"
        Whether two records may have one identifier, as the two files of paired reads do.

    Returns
    -------
    ids : list of str
        The first word of each header.
    sequences : list of str
        Normalised by `dnaembed.normalize_sequence`: upper case ``ACGTN``.

    Raises
    ------
    SequenceFileError
        If a file is not what it should be. See the notes.
    OSError
        If a file is missing, is a directory or may not be read.

    See Also
    --------
    iter_sequences : The same for files larger than memory.

    Notes
    -----
    ==========================================  =================================================
    In the file                                 What happens
    ==========================================  =================================================
    lower case, ``U``, IUPAC codes              upper case, ``T``, ``N``
    gaps ``-`` and ``.``                        removed
    ``*``, digits, amino acids, inner spaces    error: record and position
    empty record (or nothing but gaps)          error, or skipped and counted (`skip_empty`)
    duplicate identifier                        error: both records (unless `duplicate_ids`)
    record without identifier                   error: number of the record
    non-ASCII bytes or control characters       error in identifier, sequence and qualities;
                                                ignored in the rest of the header
    truncated or damaged gz, bz2, xz, zst       error; data is never silently short
    bgzip file without its end mark             read, with a warning
    truncated FASTQ, wrong quality length,      error: line
    FASTA inside FASTQ
    FASTQ inside FASTA                          error: record and position
    CRLF or CR line ends, UTF-8 BOM, blank      handled
    lines and ``#`` comments in FASTA
    UTF-16, SAM, BAM, GenBank, any other text   error
    no record at all, or none with a base       error
    ==========================================  =================================================

    Examples
    --------
    >>> import io
    >>> from dnaembed.io import read_sequences
    >>> read_sequences(io.BytesIO(b">contig_1 from a soil\nacgu\nNNRY\n"))
    (['contig_1'], ['ACGTNNNN'])
    """
    ids: list[str] = []
    sequences: list[str] = []
    for identifier, sequence in iter_sequences(
        paths, skip_empty=skip_empty, duplicate_ids=duplicate_ids
    ):
        ids.append(identifier)
        sequences.append(sequence)
    return ids, sequences


def iter_sequences(
    paths: Sources, *, skip_empty: bool = False, duplicate_ids: str = "error"
) -> Iterator[tuple[str, str]]:
    r"""Iterate over the records of FASTA or FASTQ files of any size.

    One record is in memory at a time, and 16 bytes per record to find duplicate identifiers (none
    with ``duplicate_ids="allow"``).

    Parameters
    ----------
    paths : path-like, binary file, or iterable of these
        One or several files, as for `read_sequences`, which lists what happens to malformed ones.
    skip_empty : bool, default=False
        Leave records without a base out and log how many, instead of raising.
    duplicate_ids : {"error", "allow"}, default="error"
        Whether two records may have one identifier.

    Returns
    -------
    iterator of (str, str)
        The first word of each header, and its sequence in upper case ``ACGTN``.

    Raises
    ------
    SequenceFileError, OSError
        As `read_sequences`. A duplicate identifier is reported when the iterator ends, or before.

    Examples
    --------
    >>> import io
    >>> from dnaembed.io import iter_sequences
    >>> file = io.BytesIO(b"@read_1\nACGT\n+\nIIII\n")
    >>> for identifier, sequence in iter_sequences(file):
    ...     print(identifier, len(sequence))
    read_1 4
    """
    return iter_records(paths, skip_empty, duplicate_ids)


def iter_records(
    paths: Sources,
    skip_empty: bool,
    duplicate_ids: str,
    on_read: Callable[[int], object] | None = None,
    on_record: Callable[[str, str], object] | None = None,
) -> Iterator[tuple[str, str]]:
    """Do as `iter_sequences`; `on_read` is told the bytes taken from a path, still compressed.

    `on_record` is told header and sequence as they stand in the file, just before the record.
    """
    if duplicate_ids not in ("error", "allow"):
        raise ValueError(f'duplicate_ids must be "error" or "allow", got {duplicate_ids!r}.')
    sources = as_sources(paths)
    seen = _SeenIds(sources) if duplicate_ids == "error" else None
    return _iterate(sources, skip_empty, seen, on_read, on_record)


def as_sources(paths: Sources) -> list[Source]:
    if isinstance(paths, str | os.PathLike) or hasattr(paths, "read"):
        return [paths]  # type: ignore[list-item]
    sources = list(paths)
    if not sources:
        raise ValueError("At least one sequence file is required, got none.")
    return sources


def _iterate(
    sources: Sequence[Source],
    skip_empty: bool,
    seen: _SeenIds | None,
    on_read: Callable[[int], object] | None,
    on_record: Callable[[str, str], object] | None,
) -> Iterator[tuple[str, str]]:
    for source in sources:
        tally = _Tally(name_of(source), skip_empty)
        yield from _clean(_records(source, on_read), tally, seen, on_record)
        tally.end_of_file()
        if seen is not None:
            seen.end_of_file()
    if seen is not None:
        seen.check()


@dataclass
class _Tally:
    """How far a file has been read, and what was left out of it."""

    name: str
    skip_empty: bool
    n_records: int = 0
    n_empty: int = 0

    def end_of_file(self) -> None:
        """Raise if there was no sequence; say how many records were skipped."""
        if self.n_records == self.n_empty:
            n = self.n_records
            reason = f": all {n} records are without a base" if n else ""
            raise SequenceFileError(f"{self.name} holds no sequence{reason}.")
        if self.n_empty:
            logger.warning(
                "%s: skipped %d of %d records: no base.", self.name, self.n_empty, self.n_records
            )


def _clean(
    records: Iterable[tuple[str, str]],
    tally: _Tally,
    seen: _SeenIds | None,
    on_record: Callable[[str, str], object] | None,
) -> Iterator[tuple[str, str]]:
    """Yield identifier and normalised sequence of each record that has a base."""
    for header, raw in records:
        tally.n_records += 1
        identifier = _identifier(header, tally.name, tally.n_records)
        if seen is not None:
            seen.add(identifier)
        where = f"{tally.name}, record {shorten(identifier)!r} (number {tally.n_records})"
        try:
            sequence = normalize_sequence(raw, where=where)
        except ValueError as error:
            if raw.translate(_GAPS).strip():
                message = str(error).replace(repr(NOT_ASCII), "'?'")
                raise SequenceFileError(f"{message}{_hint(raw)}") from None
            if not tally.skip_empty:
                raise with_advice(
                    SequenceFileError(str(error)),
                    "Records without a base can be left out with {}.",
                    "skip_empty=True",
                ) from None
            tally.n_empty += 1
            continue
        if on_record is not None:
            on_record(header, raw)
        yield identifier, sequence


_GAPS = str.maketrans("", "", "-.")


def _hint(sequence: str) -> str:
    if NOT_ASCII in sequence:
        return " The character is a byte outside ASCII: is the file damaged?"
    if "@" in sequence or "+" in sequence:
        return " Does the file mix FASTA and FASTQ?"
    return ""


def _shown(text: str) -> str:
    return text.replace(NOT_ASCII, "?")


def _identifier(header: str, name: str, number: int) -> str:
    words = header.split(None, 1)
    if not words or header[0].isspace():
        raise SequenceFileError(f"{name}, record number {number}: the header has no identifier.")
    identifier = words[0]
    if not identifier.isprintable():
        raise SequenceFileError(
            f"{name}, record number {number}: identifier {shorten(_shown(identifier))!r} has a "
            "character that is not printable ASCII."
        )
    return identifier


def _records(
    source: Source, on_read: Callable[[int], object] | None = None
) -> Iterator[tuple[str, str]]:
    """Yield header and sequence as they stand in the file."""
    name = name_of(source)
    with open_decompressed(source, on_read) as stream:
        file: Any = io.BufferedReader(AsciiStream(stream, name), 1 << 17)  # type: ignore[type-var]
        form = _format(file, name)
        if form is not None:
            yield from _parse(file, form, name)


def _parse(file: Any, form: str, name: str) -> Iterator[tuple[str, str]]:
    number = 0
    try:
        with dnaio.open(file, fileformat=form) as reader:
            for record in reader:
                number += 1
                qualities = record.qualities
                if qualities is not None and not qualities.isprintable():
                    raise SequenceFileError(
                        f"{name}, record number {number}: the quality line has a character "
                        "that is not printable ASCII."
                    )
                yield record.name, record.sequence
    except dnaio.FileFormatError as error:
        line = "" if error.line is None else f", line {error.line + 1}"
        message = printable(_shown(str(error.message)), 200).rstrip(".")
        raise SequenceFileError(
            f"{name}{line}: not valid {form.upper()} after {number} good records: {message}."
        ) from None


def _format(file: Any, name: str) -> str | None:
    """Return "fasta", "fastq", or None for an empty file; consume blank lines at the start."""
    while (head := file.peek(1)[:256]) and not head.strip():
        file.read(len(head))
    if not head:
        return None
    start = head.lstrip()
    if start.startswith((b">", b"#", b";")):
        return "fasta"
    if start.startswith((b"@HD\t", b"@SQ\t", b"@RG\t", b"@PG\t", b"@CO\t")):
        raise SequenceFileError(f"{name} is SAM; convert it first: samtools fastq.")
    if start.startswith(b"@"):
        file.read(len(head) - len(start))
        return "fastq"
    if start.startswith(b"BAM\x01"):
        raise SequenceFileError(f"{name} is BAM; convert it first: samtools fastq.")
    line = start.splitlines()[0][:40].decode("ascii")
    raise SequenceFileError(
        f"{name} is neither FASTA nor FASTQ: it starts with {_shown(line)!r}, where '>' or '@' is "
        "expected."
    )


class _SeenIds:
    """Finds equal identifiers in 8 bytes a record: digests are kept, not text.

    The digests are compared when their number has doubled and at the end; equal ones are looked up
    in the files again, so that the message can name them and a collision does no harm.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources
        self._digests = array("Q")
        self._ends: list[int] = []
        self._next_check = _FIRST_CHECK

    def add(self, identifier: str) -> None:
        digest = blake2b(identifier.encode(), digest_size=8).digest()
        self._digests.append(int.from_bytes(digest, "little"))
        if len(self._digests) >= self._next_check:
            self.check()
            self._next_check *= 2

    def end_of_file(self) -> None:
        self._ends.append(len(self._digests))

    def check(self) -> None:
        digests = np.array(self._digests, dtype=np.uint64)
        ordered = np.sort(digests)
        if not (ordered[1:] == ordered[:-1]).any():
            return
        # The pair that is complete first in the files, however digests are ordered.
        order = np.argsort(digests, kind="stable")
        again = np.sort(order[1:][ordered[1:] == ordered[:-1]])
        for later in again.tolist():
            self._compare(int(np.argmax(digests == digests[later])), later)

    def _compare(self, first: int, second: int) -> None:
        (name_a, number_a, a), (name_b, number_b, b) = self._find(first), self._find(second)
        if a is not None and b is not None and a != b:
            return
        identifier = "" if a is None and b is None else f" {shorten(a or b or '')!r}"
        place = f"record number {number_b}" + (f" of {name_b}" if name_b != name_a else "")
        error = SequenceFileError(
            f"{name_a}, record number {number_a} and {place} have the same identifier{identifier}."
        )
        raise with_advice(error, "Use {} to keep both.", 'duplicate_ids="allow"')

    def _find(self, ordinal: int) -> tuple[str, int, str | None]:
        file = int(np.searchsorted(self._ends, ordinal, side="right"))
        number = ordinal - (self._ends[file - 1] if file else 0) + 1
        source = self._sources[file]
        name = name_of(source)
        # Only a regular file can be read again.
        if not isinstance(source, str | os.PathLike) or not os.path.isfile(source):  # noqa: PTH113
            return name, number, None
        for at, (header, _) in enumerate(_records(source), 1):
            if at == number:
                return name, number, header.split(None, 1)[0]
        return name, number, None
