"""Embedding tables: .npy with a list of identifiers, .tsv, .csv and .parquet."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ..utils import _atomic
from ..utils._atomic import FilePath
from ..utils._messages import printable
from ._errors import SequenceFileError, import_optional
from ._tables import check_fields, check_identifier, is_number, rows_of

_Append = Callable[[Sequence[str], np.ndarray], object]


class EmbeddingWriter:
    """Takes embeddings piece by piece; see `open_embeddings`."""

    def __init__(self, open_file: Callable[[np.dtype, int], _Append]) -> None:
        self._open_file, self.n_columns = open_file, 0

    def start(self, dtype: np.dtype, n_columns: int) -> None:
        """Open the file, of which type and columns are known now."""
        self._dtype, self.n_columns = dtype, n_columns
        self._append = self._open_file(dtype, n_columns)

    def write(self, ids: Sequence[str], embeddings: np.ndarray) -> None:
        """Append one row per identifier."""
        if embeddings.ndim != 2 or len(embeddings) != len(ids):
            got = f"{len(ids)} identifiers and an array of shape {embeddings.shape}"
            raise ValueError(f"Expected one row per identifier, got {got}.")
        check_fields(ids)
        if not all(ids):
            raise ValueError("An identifier is empty.")
        if not self.n_columns:
            floating = np.issubdtype(embeddings.dtype, np.floating)
            self.start(embeddings.dtype if floating else np.dtype("f4"), embeddings.shape[1])
        if embeddings.shape[1] != self.n_columns:
            got = embeddings.shape[1]
            raise ValueError(f"Expected {self.n_columns} columns as before, got {got}.")
        self._append(ids, np.ascontiguousarray(embeddings, dtype=self._dtype))


def write_embeddings(path: FilePath, ids: Sequence[str], embeddings: np.ndarray) -> None:
    """Write embeddings with their identifiers.

    Parameters
    ----------
    path : path-like
        The suffix chooses the format. ``.npy``: the array alone, and beside it ``.ids.txt`` with
        one identifier per line. ``.tsv`` and ``.csv``: a header, a column ``id`` and one column per
        dimension. ``.parquet``: the same (needs the extra ``parquet``). Complete or absent.
    ids : sequence of str, length n
        Identifiers, none empty or with a control character.
    embeddings : ndarray of shape (n, d)
        Any float type; 32-bit floats survive the text format unchanged.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from dnaembed.io import read_embeddings, write_embeddings
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_embeddings(f"{folder}/reads.npy", ["r1", "r2"], np.eye(2, dtype=np.float32))
    ...     ids, embeddings = read_embeddings(f"{folder}/reads.npy")
    >>> ids, embeddings.shape
    (['r1', 'r2'], (2, 2))
    """
    with open_embeddings(path) as writer:
        writer.write(ids, np.asarray(embeddings))


def open_embeddings(path: FilePath) -> AbstractContextManager[EmbeddingWriter]:
    """Open an embedding file for writing piece by piece, in bounded memory.

    Parameters
    ----------
    path : path-like
        As for `write_embeddings`. It takes its name when the block ends; after an exception, or
        when nothing was written, there is no new file.

    Returns
    -------
    context manager of EmbeddingWriter
        Its ``write(ids, embeddings)`` appends rows; all pieces have the same number of columns.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from dnaembed.io import open_embeddings
    >>> with tempfile.TemporaryDirectory() as name, open_embeddings(f"{name}/x.npy") as writer:
    ...     for i in range(3):
    ...         writer.write([f"read_{i}"], np.full((1, 4), i))
    """
    return open_described(path)


@contextmanager
def open_described(
    path: FilePath, manifest: Any = None, folder: Path | None = None
) -> Iterator[EmbeddingWriter]:
    """Do as `open_embeddings`, with a manifest of a ``.npy`` file that is made in `folder`."""
    start = _FORMATS[_atomic.format_of(path, list(_FORMATS))][0]
    _atomic.check_outputs([path])
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
    path: FilePath, *, mmap_mode: str | None = None
) -> tuple[list[str], np.ndarray]:
    """Read embeddings written by `write_embeddings` or ``dnaembed embed``.

    Parameters
    ----------
    path : path-like
        A ``.npy`` file (with ``.ids.txt`` beside it), ``.tsv``, ``.csv`` or ``.parquet``.
    mmap_mode : {"r", "c"}, default=None
        Leave the rows of a ``.npy`` file on disk, as `numpy.load` does.

    Returns
    -------
    ids : list of str, length n
        Identifiers.
    embeddings : ndarray of shape (n, d)
        In the stored type; float32 from text. A damaged file raises `SequenceFileError`.
    """
    _, read = _FORMATS[_atomic.format_of(path, list(_FORMATS))]
    ids, embeddings = read(Path(path), mmap_mode)
    if 0 in embeddings.shape:
        raise SequenceFileError(f"{path} holds no embedding: its shape is {embeddings.shape}.")
    if embeddings.ndim != 2 or len(ids) != len(embeddings):
        shape = f"an array of shape {embeddings.shape}"
        raise SequenceFileError(f"{path}: {len(ids)} identifiers do not fit {shape}.")
    try:
        check_fields(ids)
    except ValueError as error:
        raise SequenceFileError(f"{path}: {error}") from error
    return ids, embeddings


def manifest_path(path: FilePath) -> Path:
    """Return where it is said what the rows of a ``.npy`` file were made by."""
    found = _atomic.companions(path)
    if not found:
        raise SequenceFileError(f"{path}: expected a .npy file, which can have a manifest.")
    return found[1]


@contextmanager
def _write_npy(
    path: Path, dtype: np.dtype, n_columns: int, manifest: Any, folder: Path | None
) -> Iterator[_Append]:
    target = Path(os.path.realpath(path))
    n_rows = 0

    def write_header() -> None:
        # Of one size, however many rows there are: numpy pads it for a first axis that grows.
        header = {"descr": dtype.str, "fortran_order": False, "shape": (n_rows, n_columns)}
        np.lib.format.write_array_header_1_0(array_file, header)

    def append(names: Sequence[str], embeddings: np.ndarray) -> None:
        nonlocal n_rows
        ids_file.writelines(f"{name}\n".encode() for name in names)
        array_file.write(embeddings.data)
        n_rows += len(names)

    with ExitStack() as stack:
        stack.enter_context(_atomic.naming(target))
        if folder is None:
            made = TemporaryDirectory(".tmp", ".dnaembed.", target.parent)
            folder = Path(stack.enter_context(made))
        array, ids, description = (folder / name for name in ("rows", "ids", "description"))
        for file in (array, ids, description):
            file.unlink(missing_ok=True)  # never written through: it may have another name, too
        with array.open("wb") as array_file, ids.open("wb") as ids_file:
            write_header()
            yield append
            array_file.seek(0)
            write_header()
        # Even if there is nothing to describe: all that lies beside a manifest is known as ours.
        note = {"input_checksum": None} if manifest is None else manifest
        description.write_text(json.dumps(note), encoding="utf-8")
        places = [target, *_atomic.companions(target)[:2]]
        for file in (array, ids, description):
            _atomic.flush_to_disk(file)
        with _atomic.alone_in(target.parent):
            _atomic.check_companions(target)
            for file, place in zip((array, ids, description), places, strict=True):
                _atomic.keep_mode(file, place)
            # The array is named last: it never lies beside identifiers of something else.
            description.replace(places[2])
            target.unlink(missing_ok=True)
            ids.replace(places[1])
            array.replace(target)
            if manifest is None:
                places[2].unlink()


def _column_names(n_columns: int) -> list[str]:
    width = len(str(n_columns - 1))
    return ["id", *(f"embedding_{i:0{width}d}" for i in range(n_columns))]


@contextmanager
def _write_tsv(path: Path, _: np.dtype, n_columns: int, *__: Any) -> Iterator[_Append]:
    separator = "," if Path(path).suffix.lower() == ".csv" else "\t"
    with _atomic.open_output(path) as file:

        def append(ids: Sequence[str], embeddings: np.ndarray) -> None:
            # str of a numpy float is the shortest text that reads back as the same value.
            for identifier, row in zip(ids, embeddings.astype(str), strict=True):
                name = '"' + identifier.replace('"', '""') + '"' if separator == "," else identifier
                file.write(separator.join([name, *row.tolist()]) + "\n")

        file.write(separator.join(_column_names(n_columns)) + "\n")
        yield append


@contextmanager
def _write_parquet(path: Path, dtype: np.dtype, n_columns: int, *_: Any) -> Iterator[_Append]:
    pyarrow = import_optional("pyarrow", extra="parquet", purpose="The .parquet format")
    from pyarrow import parquet

    types = [pyarrow.string(), *[pyarrow.from_numpy_dtype(dtype)] * n_columns]
    schema = pyarrow.schema(list(zip(_column_names(n_columns), types, strict=True)))

    def append(ids: Sequence[str], embeddings: np.ndarray) -> None:
        columns = [pyarrow.array(ids), *map(pyarrow.array, embeddings.T)]
        writer.write_table(pyarrow.table(columns, schema=schema))

    with _atomic.open_output(path, "wb") as file, parquet.ParquetWriter(file, schema) as writer:
        yield append


def _read_npy(path: Path, mmap_mode: Any) -> tuple[list[str], np.ndarray]:
    before = path.stat()
    embeddings = read_npy(path, mmap_mode)
    place = _atomic.companions(path)[0]
    try:
        text = place.read_text(encoding="utf-8").removesuffix("\n")
    except UnicodeDecodeError as error:
        raise SequenceFileError(f"{place}: not UTF-8 text.") from error
    after = path.stat()
    if (before.st_ino, before.st_mtime_ns) != (after.st_ino, after.st_mtime_ns):
        raise SequenceFileError(f"{path} was written while it was read; read it again.")
    # Before there is a list, which would be eight times as large as a file of line ends.
    framed = f"\n{text}\n"
    if "\n\n" in framed:
        number = framed.count("\n", 0, framed.index("\n\n") + 1)
        raise SequenceFileError(f"{place}, line {number}: the identifier is empty.")
    return text.split("\n"), embeddings


def read_npy(path: Path, mmap_mode: Any = None) -> np.ndarray:
    """Load an array of floats; raise if the header promises anything but what follows it."""
    try:
        # Mapped in any case, as numpy would first allocate what a header asks for.
        with np.errstate(over="raise"):
            array = np.lib.format.open_memmap(path, mode=mmap_mode or "r")
        if array.offset + array.nbytes != path.stat().st_size:
            raise ValueError("there are other bytes after its numbers")
    except OSError:
        raise
    except Exception as error:  # numpy raises a dozen kinds on damaged headers
        message = f"{path} is not a complete .npy file: {printable(str(error)).rstrip('.')}."
        raise SequenceFileError(message) from error
    if not np.issubdtype(array.dtype, np.floating):
        raise SequenceFileError(f"{path} does not hold an array of floating-point numbers.")
    return array if mmap_mode else np.array(array)


def _read_tsv(path: Path, _: Any) -> tuple[list[str], np.ndarray]:
    ids, rows, lines = [], [], rows_of(path)
    where, header = next(lines, ("", []))
    if len(header) > 1 and all(map(is_number, header[1:])):
        raise SequenceFileError(f"{where}: expected a header, got numbers.")
    for where, fields in lines:
        check_identifier(where, fields[0], ())
        try:
            rows.append(np.array(fields[1:], dtype=np.float32))
        except ValueError as error:
            raise SequenceFileError(f"{where}: {printable(str(error))}.") from error
        ids.append(fields[0])
    if not rows:
        raise SequenceFileError(f"{path} holds no embedding.")
    return ids, np.stack(rows)


def _read_parquet(path: Path, _: Any) -> tuple[list[str], np.ndarray]:
    pyarrow = import_optional("pyarrow", extra="parquet", purpose="The .parquet format")
    from pyarrow import parquet

    with path.open("rb") as file:
        try:
            # Names alone take a byte per row; equal ones can be promised without an end.
            if parquet.read_metadata(file).num_rows > path.stat().st_size:
                raise ValueError("it promises more rows than it has bytes.")
            table: Any = parquet.read_table(file)
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            why = printable(str(error), 200)
            raise SequenceFileError(f"{path} is not a .parquet file: {why}") from error
    if "id" not in table.column_names or table.num_columns < 2:
        raise SequenceFileError(f"{path} needs a column 'id' and columns of numbers.")
    columns = table.drop_columns(["id"]).columns
    are_numbers = all(pyarrow.types.is_floating(c.type) for c in columns)
    if not are_numbers or any(c.null_count for c in table.columns):
        raise SequenceFileError(f"{path}: a value is missing or no floating-point number.")
    ids = [str(identifier) for identifier in table.column("id").to_pylist()]
    return ids, np.column_stack([c.to_numpy() for c in columns])


_FORMATS: dict[str, tuple[Callable[..., AbstractContextManager[_Append]], Callable[..., Any]]] = {
    ".npy": (_write_npy, _read_npy),
    ".tsv": (_write_tsv, _read_tsv),
    ".csv": (_write_tsv, _read_tsv),
    ".parquet": (_write_parquet, _read_parquet),
}
