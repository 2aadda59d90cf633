"""Open a file for reading: decompress by content, and hand plain ASCII to the parser."""

import bz2
import io
import logging
import lzma
import os
import re
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, BinaryIO

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

try:  # about three times as fast; not for all processors
    from isal import isal_zlib as gzip_zlib
except ImportError:
    import zlib as gzip_zlib  # type: ignore[no-redef]

from ._errors import SequenceFileError

logger = logging.getLogger("dnaembed")

Source = str | os.PathLike[str] | BinaryIO

_HEAD = 262  # bytes that tell one form from all others
_UTF8_BOM = b"\xef\xbb\xbf"
# A byte that is in no sequence file: stands, with two digits, for one outside ASCII.
NOT_ASCII = "\x1a"
_OUTSIDE = re.compile(rb"[\x1a\x80-\xff]")
_SPACE_BEFORE_LINE = re.compile(rb"\n\s")
_OLD_COMMENT = re.compile(rb"(?<=[\r\n]);")


class _Gunzip:
    """A decompressor of gzip with the interface of those of bz2, lzma and zstd."""

    def __init__(self) -> None:
        self._zlib = gzip_zlib.decompressobj(31)
        self.eof, self.needs_input, self.unused_data = False, True, b""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        found = self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)
        self.eof, self.unused_data = self._zlib.eof, self._zlib.unused_data
        # What fills the buffer may have more behind it.
        self.needs_input = len(found) < max_length and not self._zlib.unconsumed_tail
        return found


# The first bytes of each form, and what may fill up the space after its end.
_FORMS: dict[str, tuple[bytes, Callable[[], Any], bytes]] = {
    "gz": (b"\x1f\x8b", _Gunzip, b"\0"),
    "bz2": (b"BZh", bz2.BZ2Decompressor, b""),
    "xz": (b"\xfd7zXZ\x00", lzma.LZMADecompressor, b"\0"),
    "zst": (b"\x28\xb5\x2f\xfd", zstd.ZstdDecompressor, b""),
}
_ERRORS: Any = (OSError, lzma.LZMAError, zlib.error, gzip_zlib.error, zstd.ZstdError)
_ARCHIVES = {"zip": b"PK\x03\x04", "7z": b"7z\xbc\xaf", "rar": b"Rar!", ".Z": b"\x1f\x9d"}


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
    """Open a source decompressed; `on_read` is told how many bytes are taken, before that."""
    name = name_of(source)
    with ExitStack() as stack:
        raw: Any
        if source == "-":
            if sys.stdin is None:
                raise SequenceFileError("standard input is closed.")
            raw = sys.stdin.buffer
        elif isinstance(source, str | os.PathLike):
            raw = stack.enter_context(open(source, "rb", buffering=0))  # noqa: PTH123 - faster
        else:
            raw = source
        # Only looked into: it is given back open to whoever opened it.
        raw = io.BufferedReader(_Input(raw, on_read), 1 << 17)
        if form := _form_of(raw, name):
            raw = io.BufferedReader(_Input(_Decompressed(raw, name, form)), 1 << 17)
            if _form_of(raw, name):
                raise SequenceFileError(f"{name} is compressed twice; decompress it once.")
        yield raw


def _form_of(stream: Any, name: str) -> str:
    """Return how a stream is compressed, or ""; raise if it is an archive."""
    head = stream.peek(_HEAD)[:_HEAD]
    for archive, magic in _ARCHIVES.items():
        if head.startswith(magic):
            advice = "save it as CSV" if name.endswith((".xlsx", ".ods")) else "unpack it first"
            raise SequenceFileError(f"{name} is a {archive} file; {advice}.")
    if head[257:] == b"ustar":
        raise SequenceFileError(f"{name} is a tar archive; unpack it first.")
    return next((form for form, (magic, *_) in _FORMS.items() if head.startswith(magic)), "")


class _Transformed(io.RawIOBase):
    """What is read from another stream, after `_read` has done something to it."""

    _read: Callable[[int], bytes]

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class _Input(_Transformed):
    """What comes from outside: its first piece tells what it is, however little a pipe gives."""

    def __init__(self, raw: Any, on_read: Callable[[int], object] | None = None) -> None:
        self._raw, self._on_read, self._missing = raw, on_read, _HEAD

    def _read(self, size: int) -> bytes:
        data = piece = self._raw.read(size)
        if not isinstance(data, bytes):  # text, or nothing yet where nobody waits
            raise ValueError(f"An input that gives bytes is expected, got {type(data).__name__}.")
        while piece and len(data) < self._missing:
            data += (piece := self._raw.read(size - len(data)))
        self._missing = 0
        if self._on_read is not None:
            self._on_read(len(data))
        return data


class _Decompressed(_Transformed):
    """Decompresses all streams of a file; xopen takes a damaged second one for garbage."""

    def __init__(self, raw: BinaryIO, name: str, form: str) -> None:
        self._raw, self._name, self._form = raw, name, form
        self._magic, self._new, self._padding = _FORMS[form]
        self._decompressor = self._new()
        self._is_bgzf = form == "gz" and b"BC\x02\x00" in raw.peek(18)[:18]  # type: ignore[attr-defined]
        self._size = 0  # of the stream

    def _read(self, size: int) -> bytes:
        data = pending = b""
        while not data:
            if self._decompressor.eof:
                pending = self._next_stream()
                if not pending:
                    break
            elif self._decompressor.needs_input and not (pending := self._raw.read(1 << 16)):
                what = f"{self._name} is truncated: its {self._form} data ends before its end mark"
                raise SequenceFileError(f"{what}. Copy or download it again.")
            try:
                data = self._decompressor.decompress(pending, max_length=size)
            except _ERRORS as error:
                what = f"{self._name} is damaged: its {self._form} data cannot be read"
                raise SequenceFileError(f"{what} ({error}).") from error
            pending = b""
            self._size += len(data)
        return data

    def _next_stream(self) -> bytes:
        """Return the start of the stream after one that ended; b"" at the end of the file."""
        pending: bytes = self._decompressor.unused_data.lstrip(self._padding)
        while len(pending) < len(self._magic) and (block := self._raw.read(1 << 16)):
            pending = (pending + block).lstrip(self._padding)
        if pending and not pending.startswith(self._magic):
            what = f"{self._name} has other bytes after the end of its {self._form} data"
            raise SequenceFileError(f"{what}; remove them.")
        if pending:
            self._decompressor = self._new()
        elif self._is_bgzf and self._size:
            # A copy cut between two of its many streams is known by the empty one at the end alone,
            # which some sequencers never write.
            logger.warning("%s has no BGZF end mark: it may be truncated.", self._name)
        self._size = 0
        return pending


class AsciiStream(_Transformed):
    """FASTA or FASTQ as the parser takes it: in ASCII, with ``#`` for every comment.

    A byte order mark and white space before a record are dropped; other bytes outside ASCII are
    written in digits, which `as_text` undoes. `form` is "fasta", "fastq" or "" (no content).
    """

    def __init__(self, stream: Any, name: str) -> None:
        self._stream = stream
        self._last, self._rest, self._n_lines = b"\n", b"", 0
        self.n_dropped = 0  # blank lines
        if stream.peek(3).startswith((b"\xff\xfe", b"\xfe\xff")):
            raise SequenceFileError(f"{name} is UTF-16 text; save it as ASCII or UTF-8.")
        if stream.peek(3).startswith(_UTF8_BOM):
            stream.read(3)
        start = b""
        while not start and (head := stream.peek(1)):
            start = head.lstrip()
            self.n_dropped += stream.read(len(head) - len(start)).count(b"\n")
        if start.startswith((b"@HD\t", b"@SQ\t", b"@RG\t", b"@PG\t", b"@CO\t", b"BAM\x01")):
            kind = "BAM" if start.startswith(b"BAM") else "SAM"
            raise SequenceFileError(f"{name} is {kind}; convert it first: samtools fastq.")
        self.form = "fastq" if start.startswith(b"@") else "fasta" if start else ""
        if self.form == "fasta" and not start.startswith((b">", b"#", b";")):
            line = _OUTSIDE.sub(b"?", start.splitlines()[0][:40]).decode()
            what = f"{name} is neither FASTA nor FASTQ: it starts with {line!r}"
            raise SequenceFileError(f"{what}, where '>' or '@' is expected.")

    def _read(self, size: int) -> bytes:
        while not self._rest and (data := self._stream.read(size)):
            if not data.isascii() or b"\x1a" in data:
                data = _OUTSIDE.sub(lambda byte: b"\x1a%02x" % byte[0][0], data)
            if self.form == "fastq" and _SPACE_BEFORE_LINE.search(self._last + data):
                self._rest = b"".join(map(self._without_space, io.BytesIO(data)))
                continue
            if self.form == "fasta" and b";" in data:
                data = _OLD_COMMENT.sub(b"#", self._last + data)[len(self._last) :]
            self._n_lines += data.count(b"\n")
            self._last, self._rest = data[-1:], data
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    def _without_space(self, line: bytes) -> bytes:
        """Return a line of FASTQ, or a piece of one; without white space before a record.

        All records have four lines. Blank ones among these are a sequence without a base.
        """
        if self._last == b"\n" and self._n_lines % 4 == 0:
            text = line.lstrip()
            self.n_dropped += not text and line.endswith(b"\n")
            line = text
        self._n_lines += line.endswith(b"\n")
        self._last = line[-1:] or self._last
        return line


def as_text(header: str) -> str:
    """Return a header as it is in the file."""
    if NOT_ASCII not in header:
        return header
    data = re.sub(rb"\x1a(..)", lambda found: bytes.fromhex(found[1].decode()), header.encode())
    return data.decode("utf-8", "replace").strip()
