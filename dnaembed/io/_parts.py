"""An output made of parts, each a file that is there whole or not at all.

Until it is complete, ``OUT.npy`` is a folder ``OUT.npy.parts``: a manifest of the settings that
decide the rows, and one file per part of the input. Resuming skips the parts that are there; a
shard skips those of other shards; both end in joining parts.
"""

import json
import logging
import os
import re
import zlib
from collections import Counter
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from ..utils import _atomic
from ..utils._atomic import FilePath
from ..utils._messages import printable, shorten
from ._embeddings import manifest_path, open_described, read_npy
from ._errors import SequenceFileError, with_advice

logger = logging.getLogger("dnaembed")

_FORMAT = 3
_DESCRIBED = ("format", "dtype", "n_columns", "settings")
_ADVICE = (
    "Give the same as before to continue, choose another output, or start again with {}, which "
    "deletes the parts in that folder."
)
_TEMPORARY = re.compile(r"\.dnaembed\.[0-9a-f]{8}\.tmp")
_OURS = re.compile(rf"manifest\.json|lock|rows|ids|description|\d{{8}}\.part|{_TEMPORARY.pattern}")


@dataclass(frozen=True)
class Shard:
    """The parts of an input that one of `count` machines embeds; `index` is counted from 1."""

    index: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``"3/64"``."""
        match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
        if not match or not 1 <= int(match[1]) <= int(match[2]):
            raise ValueError(f"shard must be I/N with I from 1 to N, as 3/64; got {text!r}.")
        return cls(int(match[1]), int(match[2]))

    def has(self, number: int) -> bool:
        """Tell whether part `number`, counted from 0, is in the shard."""
        return number % self.count == self.index - 1

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


@dataclass(frozen=True)
class Part:
    """What is known of a part without its rows; checksums are CRC-32."""

    number: int
    rows: int
    input_checksum: str
    rows_checksum: int
    ids_checksum: int

    def check(self, where: str, rows: np.ndarray, ids: bytes) -> None:
        """Raise if rows or identifiers are not those that were written, or not finite."""
        why = "are not those that its manifest names: the file is damaged or was changed"
        problem = "" if np.isfinite(rows).all() else "a row is not finite"
        if zlib.crc32(_data(rows)) != self.rows_checksum:
            problem = f"its rows {why}"
        elif zlib.crc32(ids) != self.ids_checksum or ids.count(b"\n") != self.rows:
            problem = f"its identifiers {why}"
        if problem:
            raise SequenceFileError(f"{where}, part {self.number}: {problem}.")


class PartedEmbeddings:
    """The parts of ``OUT.npy``; a context that holds the lock on them.

    Only work with equal `settings` is continued. Without `resume`, earlier parts are deleted.
    """

    def __init__(
        self, path: FilePath, settings: Any, n_columns: int, dtype: np.dtype, resume: bool = True
    ) -> None:
        self.path = _atomic.check_output(path)
        self.folder = _atomic.companions(self.path)[2]
        self._manifest = self.folder / "manifest.json"
        self._dtype, self._resume, self._stack = np.dtype(dtype), resume, ExitStack()
        values = (_FORMAT, self._dtype.name, n_columns, dict(settings))
        self._text = json.dumps(dict(zip(_DESCRIBED, values, strict=True)))
        self._described = json.loads(self._text)

    def __enter__(self) -> Self:
        is_new = False
        try:
            with _atomic.alone_in(self.path.parent), self._stack:
                is_new = not os.path.lexists(self.folder)
                if self.folder.is_dir() and not self.folder.is_symlink():
                    # A kill at the very start or end leaves nothing else.
                    is_new = all(_TEMPORARY.fullmatch(p.name) for p in self.folder.iterdir())
                if is_new:
                    self.folder.mkdir(exist_ok=True)
                    self._describe()
                self._check_folder()
                self._lock()
                if self._resume:
                    self._check_settings()
                else:
                    self._remove(keep="lock")
                    self._describe()
                self._stack = self._stack.pop_all()
        except BaseException:  # a signal or a full disk, before there is any work to keep
            if is_new and self.folder.exists() and not self._numbers():
                self._remove()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._stack, _atomic.alone_in(self.path.parent):
            n_parts = len(self._numbers())
            if kind is None or not n_parts:
                self._remove()
            else:
                # What is wrong with the data stays wrong until somebody mends it.
                first = "once the data are mended, " if issubclass(kind, ValueError) else ""
                message = "%d parts are kept in %s; %sthe same call continues from there."
                logger.warning(message, n_parts, self.folder, first)

    def _describe(self) -> None:
        with _atomic.written_beside(self._manifest) as beside:
            beside.write_text(self._text, "utf-8")

    def find(self, number: int, input_checksum: str) -> Part | None:
        """Return a part of earlier work, None if there is none; raise if its input was another."""
        try:
            part, _, _ = self._read(number)
        except FileNotFoundError:
            return None
        except SequenceFileError as error:
            logger.warning("%s It is made again.", error)
            return None
        if part.input_checksum != input_checksum:
            raise self._other_input()
        return part

    def write(self, number: int, ids: Sequence[str], rows: np.ndarray, input_checksum: str) -> Part:
        """Write a part; raise if the type of the file cannot hold a value."""
        with np.errstate(over="ignore"):
            values = np.ascontiguousarray(rows, dtype=self._dtype)
        if not (finite := np.isfinite(values).all(axis=1)).all():
            which = f"The embedding of {shorten(ids[int(finite.argmin())])!r}"
            raise ValueError(f"{which} has a value that {self._dtype.name} cannot hold.")
        text = "".join(f"{identifier}\n" for identifier in ids).encode()
        part = Part(number, len(ids), input_checksum, zlib.crc32(_data(values)), zlib.crc32(text))
        # Not flushed: a part that a power cut leaves half-written is noticed, and made again.
        with _atomic.written_beside(self._place(number), flush=False) as beside:
            header = json.dumps(asdict(part)).encode()
            beside.write_bytes(b"".join([header, b"\n", _data(values), text]))
        return part

    def join(self, parts: list[Part], input_checksum: str) -> None:
        """Write the output and its manifest from all parts, and check each."""
        if set(self._numbers()) - {part.number for part in parts}:
            raise self._other_input()
        manifest = _manifest_of(self._described, parts, input_checksum)
        with open_described(self.path, manifest, self.folder) as writer:
            for expected in parts:
                part, rows, ids = self._read(expected.number)
                if part != expected:
                    raise SequenceFileError(f"{self._place(part.number)} was changed meanwhile.")
                writer.write(ids.decode().split("\n")[:-1], rows)

    def _read(self, number: int) -> tuple[Part, np.ndarray, bytes]:
        place = self._place(number)
        with place.open("rb") as file:
            try:
                part = Part(**json.loads(file.readline(1000)))
                n_columns = self._described["n_columns"]
                data = file.read(part.rows * n_columns * self._dtype.itemsize)
                rows = np.frombuffer(data, self._dtype).reshape(part.rows, n_columns)
                if part.number != number:
                    raise ValueError(f"it is part {part.number}")
            except (ValueError, TypeError, RecursionError, MemoryError, OverflowError) as error:
                message = f"{place} cannot be read: {printable(str(error))}."
                raise SequenceFileError(message) from error
            ids = file.read()
        part.check(str(self.folder), rows, ids)
        return part, rows, ids

    def _place(self, number: int) -> Path:
        return self.folder / f"{number:08d}.part"

    def _numbers(self) -> list[int]:
        return [int(path.stem) for path in self.folder.glob("*.part")]

    def _other_input(self) -> ValueError:
        message = f"The sequences are not those that {self.folder} was made from."
        return with_advice(SequenceFileError(message), _ADVICE, "resume=False")

    def _check_folder(self) -> None:
        """Raise if the folder is not ours, with nothing in it that could lead elsewhere."""
        foreign = "" if self._manifest.exists() else "no manifest.json"
        if self.folder.is_symlink() or not self.folder.is_dir() or _atomic.holds_mount(self.folder):
            foreign = "a link, a file or a mount point"
        else:
            for path in sorted(self.folder.iterdir()):
                is_file = path.is_file() or not path.exists()  # not any more: others are at work
                if not _OURS.fullmatch(path.name) or path.is_symlink() or not is_file:
                    foreign = path.name
        if foreign:
            why = f"is not a working folder of dnaembed ({foreign})"
            raise FileExistsError(f"{self.folder} {why}. Move it, or choose another output.")

    def _check_settings(self) -> None:
        try:
            found = json.loads(self._manifest.read_text("utf-8"))
            before = {**{k: found[k] for k in _DESCRIBED}, **found["settings"]}
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            message = f"{self._manifest} cannot be read ({type(error).__name__})."
            raise with_advice(SequenceFileError(message), _ADVICE, "resume=False") from error
        now = {**self._described, **self._described["settings"]}
        for name in sorted({*before, *now} - {"settings"}):
            if before.get(name) != now.get(name):
                then, new = (printable(f"{name}={x.get(name)!r}") for x in (before, now))
                message = f"{self.folder} holds work with {then}, and now {new}."
                raise with_advice(ValueError(message), _ADVICE, "resume=False")

    def _lock(self) -> None:
        with suppress(ImportError):  # Windows
            import fcntl

            file = self._stack.enter_context((self.folder / "lock").open("a"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._stack.callback(fcntl.flock, file, fcntl.LOCK_UN)  # also for forked children
            except BlockingIOError as error:
                raise BlockingIOError(f"Another process is writing {self.path}.") from error

    def _remove(self, *, keep: str = "") -> None:
        # The manifest last: without it, the folder would not be known as ours.
        for path in sorted(self.folder.iterdir(), key=lambda path: path == self._manifest):
            if _OURS.fullmatch(path.name) and path.name != keep:
                path.unlink()
        if not keep:
            self.folder.rmdir()


def _data(rows: np.ndarray) -> memoryview:
    return np.ascontiguousarray(rows).reshape(-1).view(np.uint8).data


def _manifest_of(described: Mapping[str, Any], parts: list[Part], checksum: str) -> dict[str, Any]:
    return {
        **{name: described[name] for name in _DESCRIBED},
        "rows": sum(part.rows for part in parts),
        "input_checksum": checksum,
        "parts": [asdict(part) for part in parts],
    }


class Finished(NamedTuple):
    """An output with its manifest."""

    path: Path
    shard: Shard
    manifest: dict[str, Any]
    parts: list[Part]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the manifest; raise if it does not describe an array of this shape."""
        place = manifest_path(path)
        try:
            manifest = json.loads(place.read_text(encoding="utf-8"))
            shard = Shard.parse({name: manifest[name] for name in _DESCRIBED}["settings"]["shard"])
            parts = [Part(**part) for part in manifest["parts"]]
            expected = (sum(part.rows for part in parts), manifest["n_columns"])
            if manifest["dtype"] not in ("float16", "float32", "float64"):
                raise ValueError("its rows are of no type that is written")
            dtype = np.dtype(manifest["dtype"])
            if manifest["rows"] != expected[0] or not isinstance(manifest["input_checksum"], str):
                raise ValueError("its parts do not add up to its rows")
            numbers = [part.number for part in parts if part.rows > 0 and shard.has(part.number)]
            if numbers != sorted({part.number for part in parts}) or len(numbers) != len(parts):
                raise ValueError(f"it lists parts that shard {shard} does not have")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            message = f"{place} is not a manifest of dnaembed embed: {printable(repr(error))}"
            raise SequenceFileError(message) from error
        array = read_npy(path, mmap_mode="r")
        if (array.shape, array.dtype) != (expected, dtype):
            has = f"{path} has shape {array.shape} of {array.dtype}"
            raise SequenceFileError(f"{has}, where its manifest says {expected} of {dtype}.")
        return cls(path, shard, manifest, parts)

    def made_by(self) -> list[Any]:
        """Return what the shards of one output share."""
        settings = {**self.manifest["settings"], "shard": self.shard.count}
        return [settings, *(self.manifest[x] for x in ("input_checksum", "dtype", "n_columns"))]

    def pieces(self, array: np.ndarray | None = None) -> Generator[tuple[np.ndarray, bytes]]:
        """Yield rows (of an array read before) and identifiers of each part, once checked."""
        array = read_npy(self.path, mmap_mode="r") if array is None else array
        start = 0
        with _atomic.companions(self.path)[0].open("rb") as lines:
            for part in self.parts:
                rows = array[start : start + part.rows]
                start += part.rows
                ids = b"".join(islice(lines, part.rows))
                if start == len(array):
                    ids += lines.read()
                part.check(str(self.path), rows, ids)
                yield rows, ids


def merge_shards(paths: Iterable[FilePath], output: FilePath) -> int:
    r"""Join what ``dnaembed embed --shard`` wrote, in the order of the input.

    Parameters
    ----------
    paths : iterable of path-like
        The ``.npy`` files of all shards, in any order, with ``.ids.txt`` and ``.manifest.json``.
    output : path-like
        A new file, as for `dnaembed.io.write_embeddings`.

    Returns
    -------
    int
        Rows; SequenceFileError if a shard is missing, there twice, of another input, model or
        setting, or does not hold what its manifest says.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from dnaembed import DNABertSEmbedder
    >>> from dnaembed.io import merge_shards
    >>> with tempfile.TemporaryDirectory() as name:
    ...     reads, one, two = (pathlib.Path(name, file) for file in ("reads.fa", "1.npy", "2.npy"))
    ...     _ = reads.write_text(">a\nACGTTAGC\n>b\nGGATTACA\n")
    ...     for shard, part in (("1/2", one), ("2/2", two)):
    ...         _ = DNABertSEmbedder().embed_file(reads, part, shard=shard)
    ...     merge_shards([one, two], pathlib.Path(name, "all.npy"))
    2
    """
    places = [Path(path) for path in paths]
    _atomic.check_outputs([output], places)
    shards = sorted(map(Finished.read, places), key=lambda shard: shard.shard.index)
    if not shards:
        raise ValueError("At least one shard is required, got none.")
    first, count = shards[0], shards[0].shard.count
    for other in shards:
        if other.made_by() != first.made_by():
            why = "they are of other sequences, models or settings (see their .manifest.json)"
            raise SequenceFileError(f"{first.path} and {other.path} do not belong together: {why}.")
    found = Counter(shard.shard.index for shard in shards)
    for index in range(1, count + 1):
        if found[index] != 1:
            problem = "is there twice" if found[index] else "is missing"
            message = f"Of {count} shards, number {index} {problem}; the first is {first.path}."
            raise SequenceFileError(message)
    parts = sorted((part for s in shards for part in s.parts), key=lambda part: part.number)
    if [part.number for part in parts] != list(range(len(parts))):
        raise SequenceFileError(f"The shards of {first.path} do not add up to one input.")
    settings = {**first.manifest["settings"], "shard": str(Shard())}
    described = {**first.manifest, "settings": settings}
    manifest = _manifest_of(described, parts, first.manifest["input_checksum"])
    with ExitStack() as stack:
        pieces = [stack.enter_context(closing(shard.pieces())) for shard in shards]
        writer = stack.enter_context(open_described(output, manifest))
        for part in parts:
            rows, ids = next(pieces[part.number % len(shards)])
            writer.write(ids.decode().split("\n")[:-1], rows)
    return sum(part.rows for part in parts)
