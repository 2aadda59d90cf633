"""Sequence files as blocks of bases: files of any size at the speed of compiled code."""

from __future__ import annotations

import io
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._parse import checksum, digest_ids, parse_records
from ._readers import SeenIds, Sources, Tally, as_sources, clean_records, open_records, parse_stream
from ._streams import Source, name_of

# Of text: large enough that what is done a block costs nothing, small enough for any memory.
BLOCK_BYTES = 1 << 22


@dataclass(frozen=True)
class SequenceBlock:
    """Some consecutive records of a file.

    Attributes
    ----------
    bases : ndarray, uint8
        The sequences one after the other, in upper case ``ACGTN``.
    lengths : ndarray, int64
        Bases of each; at least one.
    ids : bytes
        Each identifier and a line feed.
    """

    bases: np.ndarray
    lengths: np.ndarray
    ids: bytes

    def __len__(self) -> int:
        return len(self.lengths)

    def sequences(self) -> list[str]:
        """Return the sequences as strings."""
        text = self.bases.tobytes().decode("ascii")
        ends = np.cumsum(self.lengths)
        return [text[a:b] for a, b in zip(ends - self.lengths, ends, strict=True)]

    def checksum(self, start: int) -> int:
        """Return a checksum of the records, after what came before them."""
        state = checksum(self.bases, start)
        state = checksum(self.lengths.view(np.uint8), state)
        return checksum(np.frombuffer(self.ids, dtype=np.uint8), state)

    def take(self, kept: np.ndarray) -> SequenceBlock:
        """Return the records where a mask is true."""
        if kept.all():
            return self
        ids = self.ids.split(b"\n")
        return SequenceBlock(
            self.bases[np.repeat(kept, self.lengths)],
            self.lengths[kept],
            b"".join(ids[i] + b"\n" for i in np.flatnonzero(kept)),
        )


def iter_blocks(
    paths: Sources,
    *,
    skip_empty: bool = False,
    duplicate_ids: str = "error",
    block_bytes: int = BLOCK_BYTES,
    on_read: Callable[[int], object] | None = None,
) -> Iterator[SequenceBlock]:
    """Iterate over the records of files as `iter_sequences` does, many at a time.

    Cuts between blocks depend on the content of the files alone. Memory is that of a few blocks, or
    of a few times the longest record, and 8 bytes a record to find duplicate identifiers.

    Parameters
    ----------
    paths, skip_empty, duplicate_ids
        As for `iter_sequences`, which gives the same records and the same errors.
    block_bytes : int
        Text that makes a block.
    on_read : callable, default=None
        Called with the number of bytes taken from a path, before they are decompressed.

    Yields
    ------
    SequenceBlock
        At least one record.
    """
    if duplicate_ids not in ("error", "allow"):
        raise ValueError(f'duplicate_ids must be "error" or "allow", got {duplicate_ids!r}.')
    sources = as_sources(paths)
    seen = SeenIds(sources) if duplicate_ids == "error" else None
    for source in sources:
        with closing(_file_blocks(source, skip_empty, seen, block_bytes, on_read)) as blocks:
            yield from blocks
        if seen is not None:
            seen.end_of_file()
    if seen is not None:
        seen.check()


def _file_blocks(
    source: Source,
    skip_empty: bool,
    seen: SeenIds | None,
    block_bytes: int,
    on_read: Callable[[int], object] | None,
) -> Generator[SequenceBlock]:
    tally = Tally(name_of(source), skip_empty)
    lines = 0
    with open_records(source, on_read) as (file, form):
        if form is None:
            tally.end_of_file()
            return
        buffer = np.empty(block_bytes, dtype=np.uint8)
        held = 0
        at_end = False
        while not at_end:
            held += _fill(file, buffer[held:])
            at_end = held < len(buffer)
            parsed = parse_records(buffer[:held], form, at_end=at_end)
            if not parsed.is_regular:
                # From the start of the buffer: a mended file has the same blocks up to here.
                start = io.BytesIO(buffer[:held].tobytes())
                stream: Any = io.BufferedReader(_Chained(start, file))  # type: ignore[type-var]
                records = parse_stream(
                    stream, form, tally.name, n_before=tally.n_records, lines_before=lines
                )
                yield from _slow_blocks(records, tally, seen, block_bytes)
                break
            if len(parsed.lengths):
                if seen is not None:
                    seen.extend(parsed.digests)
                tally.n_records += len(parsed.lengths)
                lines += parsed.lines
                yield SequenceBlock(parsed.bases, parsed.lengths, parsed.ids)
            rest = buffer[parsed.consumed : held]
            if len(rest) == len(buffer):  # a record longer than the buffer
                buffer = np.concatenate([buffer, np.empty_like(buffer)])
            else:
                buffer[: len(rest)] = rest.copy()
            held = len(rest)
    tally.end_of_file()


def _fill(file: Any, buffer: np.ndarray) -> int:
    """Read until the buffer is full or the file ends."""
    view = memoryview(buffer.data)
    filled = 0
    while filled < len(view):
        n = file.readinto(view[filled:])
        if not n:
            break
        filled += n
    return filled


def _slow_blocks(
    records: Iterator[tuple[str, str]], tally: Tally, seen: SeenIds | None, block_bytes: int
) -> Iterator[SequenceBlock]:
    """Blocks of what the careful reader reads, for the rest of a file."""
    clean = clean_records(records, tally, None if seen is None else _AsParsed(seen))
    pending: list[tuple[str, str]] = []
    size = 0
    for record in clean:
        pending.append(record)
        size += sum(map(len, record))
        if size >= block_bytes:
            yield _block_of(pending)
            pending, size = [], 0
    if pending:
        yield _block_of(pending)


class _AsParsed:
    """Keeps identifiers, those of skipped records too, by the digests of compiled code."""

    def __init__(self, seen: SeenIds) -> None:
        self._seen = seen

    def add(self, identifier: str) -> None:
        self._seen.extend(digest_ids(f"{identifier}\n".encode(), 1))


def _block_of(records: Sequence[tuple[str, str]]) -> SequenceBlock:
    ids = "".join(f"{identifier}\n" for identifier, _ in records).encode()
    text = "".join(sequence for _, sequence in records).encode()
    lengths = np.fromiter((len(sequence) for _, sequence in records), dtype=np.int64)
    return SequenceBlock(np.frombuffer(text, dtype=np.uint8), lengths, ids)


class _Chained(io.RawIOBase):
    """One stream after the other."""

    def __init__(self, *streams: Any) -> None:
        self._streams = list(streams)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while self._streams:
            n: int = self._streams[0].readinto(buffer)
            if n:
                return n
            self._streams.pop(0)
        return 0
