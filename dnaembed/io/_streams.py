"""Open a file for reading: decompress by content, and hand plain ASCII to the parser."""

from __future__ import annotations

import bz2
import io
import logging
import lzma
import os
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

from xopen import xopen

from ._errors import SequenceFileError

logger = logging.getLogger("dnaembed")

Source = str | os.PathLike[str] | BinaryIO

_MAGIC = {b"\x1f\x8b": "gz", b"BZh": "bz2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zst"}
_BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_UTF8_BOM = b"\xef\xbb\xbf"
# A byte that is in no sequence file: marks where a non-ASCII byte was, for the reader to refuse or
# (in the free text after an identifier) to ignore.
NOT_ASCII = "\x1a"
_TO_ASCII = bytes(range(128)) + NOT_ASCII.encode() * 128


def _decompression_errors() -> tuple[type[Exception], ...]:
    errors: list[type[Exception]] = [OSError, EOFError, lzma.LZMAError, zlib.error]
    for module, name in (  # what xopen may use, depending on what is installed
        ("isal.isal_zlib", "error"),
        ("zlib_ng.zlib_ng", "error"),
        ("compression.zstd", "ZstdError"),
        ("backports.zstd", "ZstdError"),
        ("zstandard", "ZstdError"),
    ):
        with suppress(ImportError):
            errors.append(getattr(import_module(module), name))
    return tuple(errors)


_DECOMPRESSION_ERRORS = _decompression_errors()


def name_of(source: Source) -> str:
    """Return how messages call a source."""
    if isinstance(source, str | os.PathLike):
        return "standard input" if source == "-" else os.fspath(source)
    name = getattr(source, "name", None)
    return name if isinstance(name, str) else "input stream"


@contextmanager
def open_decompressed(
    source: Source, on_read: Callable[[int], object] | None = None
) -> Iterator[BinaryIO]:
    """Open a path, ``"-"`` or a binary file for reading, decompressed by what it holds.

    The stream raises `SequenceFileError` when the compressed data is broken or ends too early.
    `on_read` is told the bytes that are taken from a path, before they are decompressed.
    """
    name = name_of(source)
    with ExitStack() as stack:
        raw: Any
        if isinstance(source, str | os.PathLike):
            if source == "-":
                raw = sys.stdin.buffer
            else:
                raw = stack.enter_context(Path(source).open("rb"))
                if on_read is not None:
                    raw = io.BufferedReader(_Watched(raw, on_read), 1 << 17)  # type: ignore[type-var]
        else:
            # Wrapped only to look ahead; given back open to whoever opened it.
            raw = io.BufferedReader(source)  # type: ignore[arg-type]
            stack.callback(raw.detach)
        head = raw.peek(6)[:6]
        form = next((f for magic, f in _MAGIC.items() if head.startswith(magic)), None)
        if form is None:
            yield raw
            return
        if form == "gz":
            _warn_of_lost_blocks(raw, name)
        opened: Any
        if form in ("bz2", "xz"):
            opened = _Streams(raw, form)
        else:
            try:
                opened = stack.enter_context(xopen(raw, "rb", threads=0, format=form))
            except _DECOMPRESSION_ERRORS as error:
                raise _broken(name, form, error) from error
        yield io.BufferedReader(_Decompressed(opened, name, form), 1 << 17)  # type: ignore[type-var]


def _broken(name: str, form: str, error: Exception) -> SequenceFileError:
    if isinstance(error, EOFError):
        return SequenceFileError(
            f"{name} is truncated: its {form} data ends before its end mark. Copy or download it "
            "again."
        )
    return SequenceFileError(f"{name} is damaged: its {form} data cannot be read ({error}).")


def _warn_of_lost_blocks(raw: Any, name: str) -> None:
    # bgzip writes many small gzip members, so a copy cut between two of them decompresses without
    # complaint; only the missing empty last block tells. Some sequencers never write that block,
    # which is why this is no error.
    if not raw.seekable() or b"BC\x02\x00" not in raw.peek(18)[:18]:
        return
    start = raw.tell()
    size = raw.seek(0, os.SEEK_END)
    raw.seek(max(start, size - len(_BGZF_END)))
    if raw.read() != _BGZF_END:
        logger.warning("%s has no BGZF end mark: it may be truncated.", name)
    raw.seek(start)


class _Watched(io.RawIOBase):
    """Tells how many bytes are read."""

    def __init__(self, stream: BinaryIO, on_read: Callable[[int], object]) -> None:
        self._stream, self._on_read = stream, on_read

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._stream.seekable()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def readinto(self, buffer: Any) -> int:
        n: int = self._stream.readinto(buffer)  # type: ignore[attr-defined]
        self._on_read(n)
        return n


class _Decompressed(io.RawIOBase):
    """Turns the errors of four decompressors into one."""

    def __init__(self, stream: BinaryIO, name: str, form: str) -> None:
        self._stream, self._name, self._form = stream, name, form

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._stream.read(len(buffer))
        except _DECOMPRESSION_ERRORS as error:
            raise _broken(self._name, self._form, error) from error
        buffer[: len(data)] = data
        return len(data)


class _Streams(io.RawIOBase):
    """Decompresses all streams of a bz2 or xz file.

    The file classes of Python's standard library take a damaged second stream, as parallel
    compressors write by the hundred, for garbage after the first, and stop without a word.
    """

    def __init__(self, raw: BinaryIO, form: str) -> None:
        self._raw = raw
        self._new: Any = bz2.BZ2Decompressor if form == "bz2" else lzma.LZMADecompressor
        self._padding = b"" if form == "bz2" else b"\0"
        self._decompressor = self._new()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while True:
            pending = b""
            if self._decompressor.eof:
                pending = self._decompressor.unused_data.lstrip(self._padding)
                while not pending:
                    block = self._raw.read(1 << 16)
                    if not block:
                        return 0
                    pending = block.lstrip(self._padding)
                self._decompressor = self._new()
            elif self._decompressor.needs_input:
                pending = self._raw.read(1 << 16)
                if not pending:
                    raise EOFError
            data = self._decompressor.decompress(pending, max_length=len(buffer))
            if data:
                buffer[: len(data)] = data
                return len(data)


class AsciiStream(io.RawIOBase):
    """Drops a UTF-8 byte order mark and replaces every other non-ASCII byte by `NOT_ASCII`."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._stream = stream
        start = stream.peek(3)[:3]  # type: ignore[attr-defined]
        if start.startswith(_UTF16):
            raise SequenceFileError(f"{name} is UTF-16 text; save it as ASCII or UTF-8.")
        if start == _UTF8_BOM:
            stream.read(3)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        if not data.isascii():
            data = data.translate(_TO_ASCII)
        buffer[: len(data)] = data
        return len(data)
