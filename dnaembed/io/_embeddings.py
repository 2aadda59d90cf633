"""Embedding tables: .npy with a list of identifiers, .tsv and .parquet."""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from io import BytesIO
from math import prod
from pathlib import Path
from tokenize import TokenError
from typing import Any, Protocol

import numpy as np

from ..utils._atomic import atomic_output
from ..utils._messages import printable
from ._errors import SequenceFileError
from ._streams import name_of, open_decompressed
from ._tables import is_number

_SUFFIXES = ".npy, .tsv or .parquet"
# What numpy was seen to raise on damaged headers.
_DAMAGED_NPY = (
    ValueError,
    EOFError,
    LookupError,
    MemoryError,
    OverflowError,
    RecursionError,
    SyntaxError,
    TokenError,
    TypeError,
)


class EmbeddingWriter(Protocol):
    """What `open_embeddings` gives."""

    def write(self, ids: Sequence[str], embeddings: np.ndarray) -> None:
        """Append one row per identifier."""


def write_embeddings(
    path: str | os.PathLike[str], ids: Sequence[str], embeddings: np.ndarray
) -> None:
    """Write embeddings with their identifiers.

    Parameters
    ----------
    path : path-like
        The suffix chooses the format. ``.npy``: the array alone, and beside it ``.ids.txt`` with
        one identifier a line. ``.tsv``: a column ``id`` and one column a dimension, with a header.
        ``.parquet``: the same columns (needs the extra ``parquet``). Complete or absent.
    ids : sequence of str, length n
        Identifiers.
    embeddings : ndarray of shape (n, d)
        Any float type; 32-bit floats survive the text format unchanged.

    Raises
    ------
    ValueError
        If the suffix is another one or the lengths differ.
    ImportError
        If ``.parquet`` is asked for without pyarrow.

    See Also
    --------
    open_embeddings : The same piece by piece, for more rows than memory holds.
    read_embeddings : Read them back.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from dnaembed.io import read_embeddings, write_embeddings
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "reads.npy")
    ...     write_embeddings(path, ["r1", "r2"], np.eye(2, dtype=np.float32))
    ...     ids, embeddings = read_embeddings(path)
    >>> ids, embeddings.shape
    (['r1', 'r2'], (2, 2))
    """
    with open_embeddings(path) as writer:
        writer.write(ids, np.asarray(embeddings))


@contextmanager
def open_embeddings(path: str | os.PathLike[str]) -> Iterator[EmbeddingWriter]:
    """Open an embedding file for writing piece by piece, in bounded memory.

    Parameters
    ----------
    path : path-like
        As for `write_embeddings`. It takes its name when the block ends; after an exception, or
        when nothing was written, there is no new file.

    Yields
    ------
    EmbeddingWriter
        Its ``write(ids, embeddings)`` appends rows; all pieces have the same number of columns.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from dnaembed.io import open_embeddings
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "reads.npy")
    ...     with open_embeddings(path) as writer:
    ...         for i in range(3):
    ...             writer.write([f"read_{i}"], np.full((1, 4), i))
    ...     np.load(path).shape
    (3, 4)
    """
    target = Path(path)
    make = _WRITERS.get(target.suffix.lower())
    if make is None:
        raise ValueError(f"Cannot tell the format of {path}: expected {_SUFFIXES}.")
    with ExitStack() as stack:
        yield make(target, stack)


def read_embeddings(
    path: str | os.PathLike[str], *, mmap_mode: str | None = None
) -> tuple[list[str], np.ndarray]:
    """Read embeddings written by `write_embeddings` or ``dnaembed embed``.

    Parameters
    ----------
    path : path-like
        A ``.npy`` file (with ``.ids.txt`` beside it), ``.tsv`` or ``.parquet``.
    mmap_mode : {"r", "c"}, default=None
        Leave the rows of a ``.npy`` file on disk and read them when they are used, as `numpy.load`
        does: for files larger than memory. No effect on the other formats.

    Returns
    -------
    ids : list of str, length n
        Identifiers.
    embeddings : ndarray of shape (n, d)
        In the stored type; float32 from text.

    Raises
    ------
    SequenceFileError
        If the file is damaged, or identifiers and rows differ in number.
    OSError
        If a file is missing or may not be read.
    """
    target = Path(path)
    read = _READERS.get(target.suffix.lower())
    if read is None:
        raise ValueError(f"Cannot tell the format of {path}: expected {_SUFFIXES}.")
    ids, embeddings = _read_npy(target, mmap_mode) if read is _read_npy else read(target)
    if 0 in embeddings.shape:
        raise SequenceFileError(f"{path} holds no embedding: its shape is {embeddings.shape}.")
    if embeddings.ndim != 2 or len(ids) != len(embeddings):
        raise SequenceFileError(
            f"{path}: {len(ids)} identifiers do not fit an array of shape {embeddings.shape}."
        )
    return ids, embeddings


def ids_path(path: str | os.PathLike[str]) -> Path:
    """Return where the identifiers of a ``.npy`` file are: ``OUT.npy`` has ``OUT.ids.txt``.

    Beside the file itself, where `path` is a link to it.
    """
    return _itself(path).with_suffix(".ids.txt")


def manifest_path(path: str | os.PathLike[str]) -> Path:
    """Return where it is said what the rows of a ``.npy`` file were made by."""
    return _itself(path).with_suffix(".manifest.json")


def _itself(path: str | os.PathLike[str]) -> Path:
    return Path(os.path.realpath(path)) if Path(path).is_symlink() else Path(path)


def _drop_manifest(path: Path) -> None:
    """Remove a manifest that ``dnaembed embed`` wrote: the rows beside it are others now."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return  # none, or a file of something else
    if isinstance(found, dict) and {"settings", "n_columns", "input_checksum"} <= found.keys():
        path.unlink()


def npy_header(dtype: np.dtype, n_rows: int, n_columns: int) -> bytes:
    """Return the start of a ``.npy`` file; of one size, however many rows there are."""
    # numpy pads the header for a first axis that grows.
    buffer = BytesIO()
    header = {"descr": dtype.str, "fortran_order": False, "shape": (n_rows, n_columns)}
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue()


def _column_names(n_columns: int) -> list[str]:
    width = len(str(n_columns - 1))
    return [f"embedding_{i:0{width}d}" for i in range(n_columns)]


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        message = 'The .parquet format needs pyarrow: pip install "dnaembed[parquet]".'
        raise ImportError(message) from error
    return pyarrow, pyarrow.parquet


class _Writer(ABC):
    """Checks pieces; a format fills in ``_start`` and ``_append``."""

    def __init__(self) -> None:
        self._shape: tuple[int, int] | None = None
        self._dtype = np.dtype(np.float32)

    def write(self, ids: Sequence[str], embeddings: np.ndarray) -> None:
        if embeddings.ndim != 2 or len(embeddings) != len(ids):
            raise ValueError(
                f"Expected one row per identifier, got {len(ids)} identifiers and an array of "
                f"shape {embeddings.shape}."
            )
        for identifier in ids:
            if not identifier or any(c in identifier for c in "\t\n\r"):
                raise ValueError(f"Not an identifier (empty, tab or line break): {identifier!r}.")
        if self._shape is None:
            floating = np.issubdtype(embeddings.dtype, np.floating)
            self._dtype = embeddings.dtype if floating else np.dtype(np.float32)
            self._shape = (0, embeddings.shape[1])
            self._start(embeddings.shape[1])
        rows, columns = self._shape
        if embeddings.shape[1] != columns:
            raise ValueError(f"Expected {columns} columns as before, got {embeddings.shape[1]}.")
        self._append(list(ids), np.ascontiguousarray(embeddings, dtype=self._dtype))
        self._shape = (rows + len(ids), columns)

    @abstractmethod
    def _start(self, n_columns: int) -> None: ...

    @abstractmethod
    def _append(self, ids: list[str], embeddings: np.ndarray) -> None: ...

    def close(self) -> None:
        if self._shape is None:
            raise ValueError("No embedding was written.")


class _NpyWriter(_Writer):
    def __init__(self, path: Path, stack: ExitStack) -> None:
        super().__init__()
        self._manifest = manifest_path(path)
        ids = stack.enter_context(atomic_output(ids_path(path)))
        array = stack.enter_context(atomic_output(path))
        self._ids = stack.enter_context(ids.open("w", encoding="utf-8", newline="\n"))
        self._array = stack.enter_context(array.open("wb"))
        stack.push(lambda kind, *_: self.close() if kind is None else None)

    def _start(self, n_columns: int) -> None:
        self._header_size = self._array.write(npy_header(self._dtype, 0, n_columns))

    def _append(self, ids: list[str], embeddings: np.ndarray) -> None:
        self._ids.writelines(f"{identifier}\n" for identifier in ids)
        self._array.write(embeddings.data)

    def close(self) -> None:
        super().close()
        assert self._shape is not None
        header = npy_header(self._dtype, *self._shape)
        assert len(header) == self._header_size
        self._array.seek(0)
        self._array.write(header)
        _drop_manifest(self._manifest)


class _TsvWriter(_Writer):
    def __init__(self, path: Path, stack: ExitStack) -> None:
        super().__init__()
        beside = stack.enter_context(atomic_output(path))
        self._file = stack.enter_context(beside.open("w", encoding="utf-8", newline="\n"))
        stack.push(lambda kind, *_: self.close() if kind is None else None)

    def _start(self, n_columns: int) -> None:
        self._file.write("\t".join(["id", *_column_names(n_columns)]) + "\n")

    def _append(self, ids: list[str], embeddings: np.ndarray) -> None:
        # str of a numpy float is the shortest text that reads back as the same value.
        for identifier, row in zip(ids, embeddings.astype(str), strict=True):
            self._file.write("\t".join([identifier, *row.tolist()]) + "\n")


class _ParquetWriter(_Writer):
    def __init__(self, path: Path, stack: ExitStack) -> None:
        super().__init__()
        self._pyarrow, self._parquet = _pyarrow()
        self._stack = stack
        self._path = stack.enter_context(atomic_output(path))
        stack.push(lambda kind, *_: self.close() if kind is None else None)

    def _start(self, n_columns: int) -> None:
        value = self._pyarrow.from_numpy_dtype(self._dtype)
        fields = [("id", self._pyarrow.string())]
        fields += [(name, value) for name in _column_names(n_columns)]
        self._schema = self._pyarrow.schema(fields)
        self._file = self._stack.enter_context(
            self._parquet.ParquetWriter(self._path, self._schema)
        )

    def _append(self, ids: list[str], embeddings: np.ndarray) -> None:
        columns = [self._pyarrow.array(ids), *map(self._pyarrow.array, embeddings.T)]
        self._file.write_table(self._pyarrow.table(columns, schema=self._schema))


_WRITERS: dict[str, Callable[[Path, ExitStack], _Writer]] = {
    ".npy": _NpyWriter,
    ".tsv": _TsvWriter,
    ".parquet": _ParquetWriter,
}


def _read_npy(path: Path, mmap_mode: Any = None) -> tuple[list[str], np.ndarray]:
    embeddings = read_npy(path, mmap_mode)
    try:
        text = ids_path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SequenceFileError(f"{ids_path(path)}: not UTF-8 text.") from error
    ids = text.removesuffix("\n").split("\n")
    if "" in ids:
        raise SequenceFileError(
            f"{ids_path(path)}, line {ids.index('') + 1}: the identifier is empty."
        )
    return ids, embeddings


def read_npy(path: Path, mmap_mode: Any = None) -> np.ndarray:
    """Load an array; raise if its header promises anything but the numbers that follow it.

    numpy would first allocate what the header asks for.
    """
    with path.open("rb") as file:
        try:
            major, _ = np.lib.format.read_magic(file)
            if major not in (1, 2):
                raise ValueError(f"version {major} of the format is not supported")
            read_header = getattr(np.lib.format, f"read_array_header_{major}_0")
            shape, _, dtype = read_header(file)
        except _DAMAGED_NPY as error:
            raise SequenceFileError(
                f"{path} is not a complete .npy file: {printable(str(error))}"
            ) from error
        size = os.fstat(file.fileno()).st_size - file.tell()
    if not np.issubdtype(dtype, np.floating):
        raise SequenceFileError(f"{path} does not hold an array of floating-point numbers.")
    if min(shape, default=0) < 0 or prod(shape) * dtype.itemsize != size:
        raise SequenceFileError(
            f"{path} is not a complete .npy file: {printable(str(shape))} numbers of "
            f"{dtype.itemsize} bytes do not fit the {size} bytes after its header."
        )
    array: np.ndarray = np.load(path, mmap_mode=mmap_mode, allow_pickle=False)
    return array


def _read_tsv(path: Path) -> tuple[list[str], np.ndarray]:
    ids, rows = [], []
    with open_decompressed(path) as stream:
        header = next(iter(stream), b"").rstrip(b"\r\n").split(b"\t")
        n_columns = len(header)
        if n_columns > 1 and all(map(is_number, header[1:])):
            raise SequenceFileError(f"{name_of(path)}, line 1: expected a header, got numbers.")
        for number, line in enumerate(stream, 2):
            try:
                fields = line.decode("utf-8").rstrip("\r\n").split("\t")
                if len(fields) != n_columns:
                    raise ValueError(f"expected {n_columns} columns, got {len(fields)}")
                if not fields[0]:
                    raise ValueError("the identifier is empty")
                rows.append(np.array(fields[1:], dtype=np.float32))
            except ValueError as error:
                raise SequenceFileError(
                    f"{name_of(path)}, line {number}: {printable(str(error))}."
                ) from error
            ids.append(fields[0])
    if not rows:
        raise SequenceFileError(f"{path} holds no embedding.")
    return ids, np.stack(rows)


def _read_parquet(path: Path) -> tuple[list[str], np.ndarray]:
    pyarrow, parquet = _pyarrow()
    with path.open("rb") as file:
        try:
            table: Any = parquet.read_table(file)
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            raise SequenceFileError(
                f"{path} is not a .parquet file: {printable(str(error), 200)}"
            ) from error
    if "id" not in table.column_names or table.num_columns < 2:
        raise SequenceFileError(f"{path} needs a column 'id' and columns of numbers.")
    columns = table.drop_columns(["id"]).columns
    if any(c.null_count for c in table.columns) or not all(
        pyarrow.types.is_floating(c.type) for c in columns
    ):
        raise SequenceFileError(f"{path}: a value is missing or no floating-point number.")
    return table.column("id").to_pylist(), np.column_stack([c.to_numpy() for c in columns])


_READERS: dict[str, Callable[[Path], tuple[list[str], np.ndarray]]] = {
    ".npy": _read_npy,
    ".tsv": _read_tsv,
    ".parquet": _read_parquet,
}
