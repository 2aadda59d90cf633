"""Read FASTA and FASTQ into identifiers and sequences."""

from __future__ import annotations

import io
import logging
import os
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import islice
from pathlib import Path
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
    Lower case, ``U``, IUPAC codes and gaps are normalised; non-ASCII text after an identifier, line
    ends of any system, ``#`` and ``;`` comments and blank lines in FASTA, and blank lines at the
    start or end of FASTQ are read over. A BGZF file without its end mark is read with a warning.

    Everything else is an error that names the file and the record or line: other characters, empty
    records (unless `skip_empty`), equal identifiers (unless `duplicate_ids`), headers without
    identifier, compressed data that is truncated, damaged, packed twice or followed by other bytes,
    archives, SAM, BAM, UTF-16, FASTQ with several lines per sequence, no record at all. Data is
    never silently short. :doc:`/malformed_files` has the messages.

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
    keep: Callable[[str, str], object] | None = None,
) -> Iterator[tuple[str, str]]:
    """Do as `iter_sequences`; `on_read` is told the bytes taken from a path, still compressed.

    `keep` is given the header and the sequence of each record as they are in the file.
    """
    if duplicate_ids not in ("error", "allow"):
        raise ValueError(f'duplicate_ids must be "error" or "allow", got {duplicate_ids!r}.')
    sources = as_sources(paths)
    return _iterate(sources, skip_empty, duplicate_ids == "error", on_read, keep)


def as_sources(paths: Sources) -> list[Source]:
    """Return a list of files, whether one or several were given."""
    if isinstance(paths, str | os.PathLike) or hasattr(paths, "read"):
        return [paths]  # type: ignore[list-item]
    sources = list(paths)
    if not sources:
        raise ValueError("At least one sequence file is required, got none.")
    return sources


def _iterate(
    sources: Sequence[Source],
    skip_empty: bool,
    unique: bool,
    on_read: Callable[[int], object] | None,
    keep: Callable[[str, str], object] | None,
) -> Iterator[tuple[str, str]]:
    seen = _SeenIds(sources)
    for source in sources:
        name = name_of(source)
        number = n_empty = 0
        for number, (header, raw) in enumerate(_records(source, on_read), 1):
            identifier = _first_word(header)
            if unique:
                seen.add(identifier or f" {name} {number}")
            sequence = _clean(identifier, raw, f"{name}, record", number, skip_empty)
            if sequence:
                if keep is not None:
                    keep(header, raw)
                yield identifier, sequence
            else:
                n_empty += 1
        if number == n_empty:
            reason = f": all {number} records are without a base" if number else ""
            raise SequenceFileError(f"{name} holds no sequence{reason}.")
        if n_empty:
            logger.warning("%s: skipped %d of %d records: no base.", name, n_empty, number)
        seen.end_of_file()
    seen.check()


def _first_word(header: str) -> str:
    return next(iter(header.split(None, 1)), "")


def _clean(identifier: str, raw: str, where: str, number: int, skip_empty: bool) -> str:
    """Return the normalised sequence of a record; "" if it has no base and may be skipped."""
    label = f"{where} {shorten(identifier)!r} (number {number})"
    where = f"{where} number {number}"
    if not identifier.isprintable():
        raise SequenceFileError(
            f"{where}: identifier {shorten(_shown(identifier))!r} has a character that is not "
            "printable ASCII."
        )
    try:
        sequence = normalize_sequence(raw, where=label if identifier else where)
    except ValueError as error:
        if raw.translate(_GAPS).strip():
            message = str(error).replace(repr(NOT_ASCII), "'?'")
            raise SequenceFileError(f"{message}{_hint(raw)}") from None
        if not skip_empty:
            raise with_advice(
                SequenceFileError(str(error)),
                "Records without a base can be left out with {}.",
                "skip_empty=True",
            ) from None
        return ""
    if not identifier:
        raise SequenceFileError(f"{where}: the header has no identifier.")
    return sequence


_GAPS = str.maketrans("", "", "-.")


def _hint(sequence: str) -> str:
    if NOT_ASCII in sequence:
        return " The character is a byte outside ASCII: is the file damaged?"
    if "@" in sequence or "+" in sequence:
        return " Does the file mix FASTA and FASTQ?"
    return ""


def _shown(text: str) -> str:
    return text.replace(NOT_ASCII, "?")


def _records(
    source: Source, on_read: Callable[[int], object] | None = None
) -> Iterator[tuple[str, str]]:
    """Yield header and sequence as they stand in the file."""
    name = name_of(source)
    number = 0
    with open_decompressed(source, on_read) as stream:
        text = AsciiStream(stream, name)
        file: Any = io.BufferedReader(text, 1 << 17)  # type: ignore[type-var]
        form, n_blank = _format(file, name)
        if not form:
            return
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
            while file.read(1 << 17):
                pass
            if form == "fastq" and text.n_lines <= n_blank + 4 * number:
                return  # nothing but blank lines follows the last record
            line = "" if error.line is None else f", line {error.line + 1 + n_blank}"
            message = printable(_shown(str(error.message)), 200).rstrip(".")
            hint = " FASTQ with several lines per sequence is not read." * ("with '+'" in message)
            raise SequenceFileError(
                f"{name}{line}: not valid {form.upper()} after {number} good records: {message}."
                f"{hint}"
            ) from None


def _format(file: Any, name: str) -> tuple[str, int]:
    """Return "fasta", "fastq" or "" for an empty file, and the number of blank lines skipped."""
    n_blank = 0
    while (head := file.peek(1)[:256]) and not head.strip():
        n_blank += file.read(len(head)).count(b"\n")
    start = head.lstrip()
    if start.startswith((b"@HD\t", b"@SQ\t", b"@RG\t", b"@PG\t", b"@CO\t", b"BAM\x01")):
        kind = "BAM" if start.startswith(b"BAM") else "SAM"
        raise SequenceFileError(f"{name} is {kind}; convert it first: samtools fastq.")
    if start.startswith(b"@"):
        return "fastq", n_blank + file.read(len(head) - len(start)).count(b"\n")
    if start and not start.startswith((b">", b"#")):
        line = _shown(start.splitlines()[0][:40].decode("ascii"))
        raise SequenceFileError(
            f"{name} is neither FASTA nor FASTQ: it starts with {line!r}, where '>' or '@' is "
            "expected."
        )
    return "fasta" if start else "", n_blank


class _SeenIds:
    """Finds equal identifiers in 8 bytes per record: digests are kept, not text.

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
            name_a, number_a, a = self._find(int(np.argmax(digests == digests[later])))
            name_b, number_b, b = self._find(later)
            if a and b and a != b:
                continue
            identifier = f" {shorten(a or b)!r}" if a or b else ""
            place = f"record number {number_b}" + (f" of {name_b}" if name_b != name_a else "")
            message = (
                f"{name_a}, record number {number_a} and {place} have the same identifier"
                f"{identifier}."
            )
            error = SequenceFileError(message)
            raise with_advice(error, "Use {} to keep both.", 'duplicate_ids="allow"')

    def _find(self, ordinal: int) -> tuple[str, int, str]:
        file = int(np.searchsorted(self._ends, ordinal, side="right"))
        index = ordinal - (self._ends[file - 1] if file else 0)
        source = self._sources[file]
        identifier = ""
        # Only a regular file can be read again.
        if isinstance(source, str | os.PathLike) and Path(source).is_file():
            identifier = _first_word(next(islice(_records(source), index, None))[0])
        return name_of(source), index + 1, identifier
