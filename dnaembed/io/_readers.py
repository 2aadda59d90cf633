"""Read FASTA and FASTQ into identifiers and sequences."""

import io
import logging
import os
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from glob import glob, has_magic
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any

import dnaio
import numpy as np

from .._sequences import normalize_sequence
from ..utils._messages import printable, shorten
from ._errors import SequenceFileError, with_advice
from ._streams import NOT_ASCII, AsciiStream, Source, as_text, name_of, open_decompressed

logger = logging.getLogger("dnaembed")

Sources = Source | Iterable[Source]

_FIRST_CHECK = 1 << 16
_NOT_UTF8 = "\ufffd"  # what other bytes are decoded to
_SUFFIXES = (".fa", ".fasta", ".fna", ".fq", ".fastq")
PACKED = ("", ".gz", ".bz2", ".xz", ".zst")
_NAMES = tuple(suffix + more for suffix in _SUFFIXES for more in PACKED)


def read_sequences(
    paths: Sources, *, skip_empty: bool = False, duplicate_ids: str = "error"
) -> tuple[list[str], list[str]]:
    r"""Read all sequences of FASTA or FASTQ files.

    Parameters
    ----------
    paths : path-like, binary file, or iterable of these
        One or several files, in the order wanted. ``"-"`` is standard input. FASTA or FASTQ, plain
        or compressed by gzip, bzip2, xz or zstd, is recognised from the content. A folder stands
        for the files in it that are named like these, and a pattern, such as ``"run1/*.fq.gz"``,
        for the files that it matches, sorted by name.
    skip_empty : bool, default=False
        Leave records without a base out and log how many, instead of raising.
    duplicate_ids : {"error", "allow"}, default="error"
        Whether two records may have one identifier, as the two files of paired reads do.

    Returns
    -------
    ids : list of str
        The first word of each header.
    sequences : list of str
        Normalised by `dnaembed.normalize_sequence`: ``ACGTN``.

    Raises
    ------
    SequenceFileError
        If a file is not what it should be; data is never silently short. :doc:`/malformed_files`
        has the messages, which name the file and the record or line, and what is read over.
    OSError
        If a file is missing, is a directory or may not be read.

    Examples
    --------
    >>> import io
    >>> from dnaembed.io import read_sequences
    >>> read_sequences(io.BytesIO(b">contig_1 from a soil\nacgu\nNNRY\n"))
    (['contig_1'], ['ACGTNNNN'])
    """
    ids, sequences = [], []
    for identifier, sequence in iter_records(paths, skip_empty, duplicate_ids):
        ids.append(identifier)
        sequences.append(sequence)
    return ids, sequences


def iter_sequences(
    paths: Sources, *, skip_empty: bool = False, duplicate_ids: str = "error"
) -> Iterator[tuple[str, str]]:
    r"""Iterate over the records of FASTA or FASTQ files of any size.

    One record is in memory at a time, and 16 bytes per record to find duplicate identifiers (none
    with ``duplicate_ids="allow"``), which are reported at the end, or before.

    Parameters
    ----------
    paths, skip_empty, duplicate_ids : path-like or others, bool, and {"error", "allow"}
        As for `read_sequences`, and so are the errors.

    Returns
    -------
    iterator of (str, str)
        The first word of each header, and its sequence in upper case ``ACGTN``.

    Examples
    --------
    >>> import io
    >>> from dnaembed.io import iter_sequences
    >>> for identifier, sequence in iter_sequences(io.BytesIO(b"@read_1\nACGT\n+\nIIII\n")):
    ...     print(identifier, len(sequence))
    read_1 4
    """
    return iter_records(paths, skip_empty, duplicate_ids)


def as_sources(paths: Sources) -> list[Source]:
    """Return a list of files, whether one or several were given."""
    if isinstance(paths, str | os.PathLike) or hasattr(paths, "read"):
        return [paths]  # type: ignore[list-item]
    sources = list(paths)
    if not sources:
        raise ValueError("At least one sequence file is required, got none.")
    return sources


def sequence_files(paths: Sources) -> list[Source]:
    """Return a list of files, for one or several files, folders of files and patterns."""
    return [source for path in as_sources(paths) for source in _expanded(path)]


def _expanded(path: Source) -> list[Source]:
    if not isinstance(path, str | os.PathLike):
        return [path]
    place = Path(path)
    if place.is_dir():
        names = sorted(n.name for n in place.iterdir() if n.name.lower().endswith(_NAMES))
        found: list[Source] = [str(place / name) for name in names if (place / name).is_file()]
        what = f"{path}: the folder holds no FASTA or FASTQ file ({', '.join(_SUFFIXES)})."
    elif has_magic(text := os.fspath(path)) and not place.exists():
        matches = sorted(glob(text))  # noqa: PTH207, as the pattern may be absolute
        found = [name for name in matches if Path(name).is_file()]
        what = f"No file matches the pattern {path}."
    else:
        return [path]
    if not found:
        raise SequenceFileError(what)
    return found


def iter_records(
    paths: Sources,
    skip_empty: bool,
    duplicate_ids: str,
    on_read: Callable[[int], object] | None = None,
    keep: Callable[[str, str], object] | None = None,
) -> Iterator[tuple[str, str]]:
    """Do as `iter_sequences`; `on_read` is told of bytes read, `keep` of records as they are."""
    if duplicate_ids not in ("error", "allow"):
        raise ValueError(f'duplicate_ids must be "error" or "allow", got {duplicate_ids!r}.')
    sources = sequence_files(paths)
    seen = _SeenIds(sources)
    for source in sources:
        name = name_of(source)
        number = n_empty = 0
        for number, (header, raw) in enumerate(raw_records(source, on_read), 1):
            identifier = "".join(header.split(None, 1)[:1])
            if duplicate_ids == "error":
                seen.add(identifier or f" {name} {number}")
            sequence = _clean(identifier, raw, name, number, skip_empty)
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
        seen.ends.append(len(seen.digests))
    seen.check()


def _clean(identifier: str, raw: str, name: str, number: int, skip_empty: bool) -> str:
    """Return the normalised sequence of a record; "" if it has no base and may be skipped."""
    where = f"{name}, record number {number}"
    if not identifier.isprintable() or _NOT_UTF8 in identifier:
        shown = shorten(identifier.replace(_NOT_UTF8, "?"))
        why = "has a character that is not printable, or not UTF-8"
        raise SequenceFileError(f"{where}: identifier {shown!r} {why}.")
    label = f"{name}, record {shorten(identifier)!r} (number {number})"
    try:
        sequence = normalize_sequence(raw, where=label if identifier else where)
    except ValueError as error:
        hint = " Does the file mix FASTA and FASTQ?" if "@" in raw or "+" in raw else ""
        if NOT_ASCII in raw:
            hint = " The character is a byte outside ASCII: is the file damaged?"
        problem = SequenceFileError(str(error).replace(repr(NOT_ASCII), "'?'") + hint)
        if not raw.replace("-", "").replace(".", "").strip():
            if skip_empty:
                return ""
            sentence = "Records without a base can be left out with {}."
            problem = with_advice(problem, sentence, "skip_empty=True")
        raise problem from None
    if not identifier:
        raise SequenceFileError(f"{where}: the header has no identifier.")
    return sequence


def raw_records(
    source: Source, on_read: Callable[[int], object] | None = None
) -> Iterator[tuple[str, str]]:
    """Yield header and sequence as they stand in the file."""
    name = name_of(source)
    number = 0
    with open_decompressed(source, on_read) as stream:
        text = AsciiStream(stream, name)
        file: Any = io.BufferedReader(text, 1 << 17)  # type: ignore[type-var]
        if not text.form:
            return
        try:
            with dnaio.open(file, fileformat=text.form) as reader:
                for record in reader:
                    number += 1
                    qualities = record.qualities
                    if qualities is not None and not qualities.isprintable():
                        problem = "the quality line has a character that is not printable ASCII"
                        raise SequenceFileError(f"{name}, record number {number}: {problem}.")
                    yield as_text(record.name), record.sequence
        except dnaio.FileFormatError as error:
            line = "" if error.line is None else f", line {error.line + 1}"
            if line and text.n_dropped:
                line += " (blank ones between records not counted)"
            message = printable(str(error.message), 200).rstrip(".")
            if "with '+'" in message:
                message += ". FASTQ with several lines per sequence"
                message += ", or blank lines in a record, is not read"
            where = f"{name}{line}: not valid {text.form.upper()} after {number} good records"
            raise SequenceFileError(f"{where}: {message}.") from None


class _SeenIds:
    """Finds equal identifiers in 8 bytes per record: digests, compared at each doubled number.

    Equal ones are looked up in the files again: to be named, and as they may be a collision.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources, self._next_check = sources, _FIRST_CHECK
        self.digests = array("Q")
        self.ends: list[int] = []  # of each file

    def add(self, identifier: str) -> None:
        self.digests.frombytes(blake2b(identifier.encode(), digest_size=8).digest())
        if len(self.digests) >= self._next_check:
            self.check()
            self._next_check *= 2

    def check(self) -> None:
        digests = np.array(self.digests, dtype=np.uint64)
        ordered = np.sort(digests)
        if np.all(ordered[1:] != ordered[:-1]):
            return
        # The pair that is complete first in the files, however digests are ordered.
        order = np.argsort(digests, kind="stable")
        for later in np.sort(order[1:][ordered[1:] == ordered[:-1]]).tolist():
            name_a, number_a, a = self._find(int(np.argmax(digests == digests[later])))
            name_b, number_b, b = self._find(later)
            if a and b and a != b:
                continue
            other = f"record number {number_b}" + (f" of {name_b}" if name_b != name_a else "")
            shown = f"same identifier {shorten(a or b)!r}" if a or b else "same identifier"
            where = f"{name_a}, record number {number_a} and {other}"
            error = SequenceFileError(f"{where} have the {shown}.")
            raise with_advice(error, "Use {} to keep both.", 'duplicate_ids="allow"')

    def _find(self, ordinal: int) -> tuple[str, int, str]:
        """Return the file, the number and (if it can be read again) the identifier of a record."""
        file = int(np.searchsorted(self.ends, ordinal, side="right"))
        index = ordinal - (self.ends[file - 1] if file else 0)
        source, words = self._sources[file], [""]
        if isinstance(source, str | os.PathLike) and Path(source).is_file():
            words = next(islice(raw_records(source), index, None))[0].split(None, 1)
        return name_of(source), index + 1, "".join(words[:1])
