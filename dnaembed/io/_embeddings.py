"""Embedding tables: .npy with a list of identifiers, .tsv and .parquet."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from io import BytesIO
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from tokenize import TokenError
from typing import Any

import numpy as np

from ..utils._atomic import (
    check_outputs,
    companions,
    descriptor_of,
    flush_to_disk,
    keep_mode,
    open_output,
)
from ..utils._messages import printable
from ._errors import SequenceFileError, import_optional
from ._streams import name_of
from ._tables import is_number, lines_of

# What numpy was seen to raise on damaged headers.
_DAMAGED_NPY = (
    ArithmeticError,
    EOFError,
    LookupError,
    MemoryError,
    RecursionError,
    SyntaxError,
    TokenError,
    TypeError,
    ValueError,
)


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
    with open_described(path) as writer:
        yield writer


@contextmanager
def open_described(
    path: str | os.PathLike[str],
    manifest: Mapping[str, Any] | None = None,
    folder: Path | None = None,
) -> Iterator[EmbeddingWriter]:
    """Do as `open_embeddings`, with a manifest of a ``.npy`` file that is made in `folder`."""
    start = _format_of(path, _WRITERS)
    check_outputs([path])
    with ExitStack() as stack:
        writer = EmbeddingWriter(
            lambda *shape: stack.enter_context(start(path, *shape, manifest, folder))
        )
        if manifest is not None:
            writer.start(np.dtype(manifest["dtype"]), manifest["n_columns"])
        yield writer
        if not writer.n_columns:
            raise ValueError("No embedding was written.")


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
    ids, embeddings = _format_of(path, _READERS)(Path(path), mmap_mode)
    if 0 in embeddings.shape:
        raise SequenceFileError(f"{path} holds no embedding: its shape is {embeddings.shape}.")
    if embeddings.ndim != 2 or len(ids) != len(embeddings):
        raise SequenceFileError(
            f"{path}: {len(ids)} identifiers do not fit an array of shape {embeddings.shape}."
        )
    return ids, embeddings


def _format_of(path: str | os.PathLike[str], formats: dict[str, Callable]) -> Callable:
    suffix = ".tsv" if descriptor_of(path) is not None else Path(path).suffix.lower()
    if suffix not in formats:
        raise ValueError(f"Cannot tell the format of {path}: expected .npy, .tsv or .parquet.")
    return formats[suffix]


def manifest_path(path: str | os.PathLike[str]) -> Path:
    """Return where it is said what the rows of a ``.npy`` file were made by."""
    found = companions(path)
    if not found:
        raise SequenceFileError(f"{path}: expected a .npy file, which can have a manifest.")
    return found[1]


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


_Append = Callable[[list[str], np.ndarray], object]


class EmbeddingWriter:
    """Takes embeddings piece by piece; see `open_embeddings`."""

    def __init__(self, open_file: Callable[[np.dtype, int], _Append]) -> None:
        self._open_file = open_file
        self.n_columns = 0

    def start(self, dtype: np.dtype, n_columns: int) -> None:
        """Open the file, of which type and columns are known now."""
        self._dtype, self.n_columns = dtype, n_columns
        self._append = self._open_file(dtype, n_columns)

    def write(self, ids: Sequence[str], embeddings: np.ndarray) -> None:
        """Append one row per identifier."""
        if embeddings.ndim != 2 or len(embeddings) != len(ids):
            raise ValueError(
                f"Expected one row per identifier, got {len(ids)} identifiers and an array of "
                f"shape {embeddings.shape}."
            )
        for identifier in ids:
            if not identifier or any(c in identifier for c in "\t\n\r"):
                raise ValueError(f"Not an identifier (empty, tab or line break): {identifier!r}.")
        if not self.n_columns:
            floating = np.issubdtype(embeddings.dtype, np.floating)
            self.start(embeddings.dtype if floating else np.dtype("f4"), embeddings.shape[1])
        if embeddings.shape[1] != self.n_columns:
            raise ValueError(
                f"Expected {self.n_columns} columns as before, got {embeddings.shape[1]}."
            )
        self._append(list(ids), np.ascontiguousarray(embeddings, dtype=self._dtype))


@contextmanager
def _write_npy(
    path: Path,
    dtype: np.dtype,
    n_columns: int,
    manifest: Mapping[str, Any] | None,
    folder: Path | None,
) -> Iterator[_Append]:
    target = Path(os.path.realpath(path))
    n_rows = 0

    def append(names: list[str], embeddings: np.ndarray) -> None:
        nonlocal n_rows
        ids_file.writelines(f"{name}\n" for name in names)
        array_file.write(embeddings.data)
        n_rows += len(names)

    with ExitStack() as stack:
        if folder is None:
            temporary = TemporaryDirectory(".tmp", ".dnaembed.", target.parent)
            folder = Path(stack.enter_context(temporary))
        array, ids, description = (folder / name for name in ("rows", "ids", "description"))
        with (
            array.open("wb") as array_file,
            ids.open("w", encoding="utf-8", newline="\n") as ids_file,
        ):
            array_file.write(npy_header(dtype, 0, n_columns))
            yield append
            array_file.seek(0)
            array_file.write(npy_header(dtype, n_rows, n_columns))
        description.write_text(json.dumps(manifest), encoding="utf-8")
        files = dict(zip((ids, description, array), [*companions(target)[:2], target], strict=True))
        for file, place in files.items():
            keep_mode(file, place)
            flush_to_disk(file)
        # The array is named last: it never lies beside identifiers of something else.
        target.unlink(missing_ok=True)
        for file, place in files.items():
            if file == description and manifest is None:
                place.unlink(missing_ok=True)
            else:
                file.replace(place)


@contextmanager
def _write_tsv(path: Path, _: np.dtype, n_columns: int, *__: Any) -> Iterator[_Append]:
    with open_output(path) as file:

        def append(ids: list[str], embeddings: np.ndarray) -> None:
            # str of a numpy float is the shortest text that reads back as the same value.
            for identifier, row in zip(ids, embeddings.astype(str), strict=True):
                file.write("\t".join([identifier, *row.tolist()]) + "\n")

        file.write("\t".join(["id", *_column_names(n_columns)]) + "\n")
        yield append


@contextmanager
def _write_parquet(path: Path, dtype: np.dtype, n_columns: int, *_: Any) -> Iterator[_Append]:
    pyarrow = import_optional("pyarrow", extra="parquet", purpose="The .parquet format")
    from pyarrow import parquet

    value = pyarrow.from_numpy_dtype(dtype)
    fields = [("id", pyarrow.string()), *((name, value) for name in _column_names(n_columns))]
    schema = pyarrow.schema(fields)

    def append(ids: list[str], embeddings: np.ndarray) -> None:
        columns = [pyarrow.array(ids), *map(pyarrow.array, embeddings.T)]
        writer.write_table(pyarrow.table(columns, schema=schema))

    with open_output(path, "wb") as file, parquet.ParquetWriter(file, schema) as writer:
        yield append


_WRITERS: dict[str, Callable[..., AbstractContextManager[_Append]]] = {
    ".npy": _write_npy,
    ".tsv": _write_tsv,
    ".parquet": _write_parquet,
}


def _read_npy(path: Path, mmap_mode: Any) -> tuple[list[str], np.ndarray]:
    embeddings = read_npy(path, mmap_mode)
    place = companions(path)[0]
    try:
        text = place.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SequenceFileError(f"{place}: not UTF-8 text.") from error
    ids = text.removesuffix("\n").split("\n")
    if "" in ids:
        raise SequenceFileError(f"{place}, line {ids.index('') + 1}: the identifier is empty.")
    return ids, embeddings


def read_npy(path: Path, mmap_mode: Any = None) -> np.ndarray:
    """Load an array; raise if its header promises anything but the numbers that follow it.

    numpy would first allocate what the header asks for.
    """
    with path.open("rb") as file:
        try:
            version = np.lib.format.read_magic(file)
            if version not in ((1, 0), (2, 0)):
                raise ValueError(f"version {version} of the format is not supported")
            shape, _, dtype = getattr(np.lib.format, f"read_array_header_{version[0]}_0")(file)
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


def _read_tsv(path: Path, _: Any) -> tuple[list[str], np.ndarray]:
    ids: list[str] = []
    rows = []
    n_columns = 0
    for number, line in lines_of(path, name_of(path)):
        fields = line.split("\t")
        try:
            if not n_columns:
                n_columns = len(fields)
                if n_columns > 1 and all(map(is_number, fields[1:])):
                    raise ValueError("expected a header, got numbers")
                continue
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


def _read_parquet(path: Path, _: Any) -> tuple[list[str], np.ndarray]:
    pyarrow = import_optional("pyarrow", extra="parquet", purpose="The .parquet format")
    from pyarrow import parquet

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


_READERS: dict[str, Callable[[Path, Any], tuple[list[str], np.ndarray]]] = {
    ".npy": _read_npy,
    ".tsv": _read_tsv,
    ".parquet": _read_parquet,
}
