"""An embedding file that grows piece by piece and survives being killed at any moment.

While it grows it is a folder ``OUT.npy.partial``: the rows, the identifiers, and a small file that
says how much of both is certain. That file is replaced as a whole, after the other two have reached
the disk; whatever lies behind what it says is cut off when the work goes on.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
import zlib
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np

from ..utils._atomic import atomic_output, check_output
from ._embeddings import ids_path, manifest_path, npy_header

logger = logging.getLogger("dnaembed")

_FORMAT = 1
_SECONDS_BETWEEN_COMMITS = 5.0
_READ = 1 << 24


@dataclass(frozen=True)
class Progress:
    """How far an output is, with checksums (CRC-32) of what it holds.

    Attributes
    ----------
    rows, ids_bytes : int
        Of the two files.
    array_checksum, ids_checksum : int
        Of the rows without the header, and of the identifiers.
    n_blocks : int
        Blocks of the input that were dealt with.
    input_checksum : int
        Of these blocks.
    is_complete : bool
        Whether the input ended there.
    """

    rows: int = 0
    ids_bytes: int = 0
    array_checksum: int = 0
    ids_checksum: int = 0
    n_blocks: int = 0
    input_checksum: int = 0
    is_complete: bool = False


class ResumableEmbeddings:
    """Writes ``OUT.npy``, ``OUT.ids.txt`` and ``OUT.manifest.json``.

    Parameters
    ----------
    path : path-like
        ``OUT.npy``.
    settings : mapping
        What decides the rows: only work with equal settings is continued. Of JSON's types.
    n_columns : int
    dtype : dtype
        Of the file.
    resume : bool
        Whether to go on where earlier work stopped, if there is any.

    Raises
    ------
    BlockingIOError
        If another process is writing the same file.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        settings: Mapping[str, Any],
        *,
        n_columns: int,
        dtype: np.dtype,
        resume: bool = True,
    ) -> None:
        self.path = check_output(path)
        self.folder = self.path.with_name(f"{self.path.name}.partial")
        self._settings = json.loads(json.dumps(dict(settings)))
        self._n_columns = n_columns
        self._dtype = np.dtype(dtype)
        self._resume = resume
        self._stack = ExitStack()
        self._certain = self.progress = Progress()

    def __enter__(self) -> Self:
        with self._stack:
            self.folder.mkdir(exist_ok=True)
            self._lock()
            try:
                self._start()
            except BaseException:
                self._drop_if_worthless()
                raise
            self._stack = self._stack.pop_all()
        return self

    def _start(self) -> None:
        committed = self._committed() if self._resume else None
        self._certain = self.progress = committed or Progress()
        self._last_commit = time.monotonic()
        if self.progress.is_complete:
            return
        self._array = self._open("rows", self._header_size + self._row_bytes(self.progress))
        self._ids = self._open("ids", self.progress.ids_bytes)
        self._array.seek(0)
        self._array.write(npy_header(self._dtype, self.progress.rows, self._n_columns))
        self._array.seek(0, os.SEEK_END)

    def _drop_if_worthless(self) -> bool:
        """Remove the folder if nothing in it is worth going on from."""
        if not self._certain.rows:
            shutil.rmtree(self.folder, ignore_errors=True)
        return not self._certain.rows

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._stack:
            if kind is None:
                self._finish()
            elif not self._drop_if_worthless():
                if not self.progress.is_complete:
                    with suppress(OSError):  # a full disk, for example, is why we are leaving
                        self._commit()
                logger.warning(
                    "%s rows are kept in %s, to go on from there.",
                    f"{self._certain.rows:,}",
                    self.folder,
                )

    def append(self, rows: np.ndarray, ids: bytes, *, input_checksum: int) -> None:
        """Add the rows of one block of the input, which may be none.

        Parameters
        ----------
        rows : ndarray of shape (n, n_columns)
        ids : bytes
            Each identifier and a line feed.
        input_checksum : int
            Of all blocks up to this one.

        Raises
        ------
        ValueError
            If the type of the file cannot hold a value.
        """
        with np.errstate(over="ignore"):
            values = np.ascontiguousarray(rows, dtype=self._dtype)
        if not np.isfinite(values).all():
            raise ValueError(
                f"An embedding has a value that {self._dtype.name} cannot hold (row "
                f"{self.progress.rows + int((~np.isfinite(values)).any(axis=1).argmax())})."
            )
        data = values.reshape(-1).view(np.uint8).data
        self._array.write(data)
        self._ids.write(ids)
        before = self.progress
        self.progress = Progress(
            rows=before.rows + len(rows),
            ids_bytes=before.ids_bytes + len(ids),
            array_checksum=zlib.crc32(data, before.array_checksum),
            ids_checksum=zlib.crc32(ids, before.ids_checksum),
            n_blocks=before.n_blocks + 1,
            input_checksum=input_checksum,
        )
        if time.monotonic() - self._last_commit >= _SECONDS_BETWEEN_COMMITS:
            self._commit()

    def _commit(self, *, is_complete: bool = False) -> None:
        for file in (self._array, self._ids):
            file.flush()
            os.fsync(file.fileno())
        progress = Progress(**{**asdict(self.progress), "is_complete": is_complete})
        with atomic_output(self.folder / "progress.json") as beside:
            beside.write_text(json.dumps(self._description(progress)), encoding="utf-8")
        self._certain = self.progress = progress
        self._last_commit = time.monotonic()

    def _description(self, progress: Progress) -> dict[str, Any]:
        return {
            "format": _FORMAT,
            "dtype": self._dtype.name,
            "n_columns": self._n_columns,
            "settings": self._settings,
            **asdict(progress),
        }

    def _finish(self) -> None:
        """Give the files their names; may itself be interrupted anywhere and done again."""
        manifest = manifest_path(self.path)
        if not self.progress.is_complete:
            self._array.seek(0)
            self._array.write(npy_header(self._dtype, self.progress.rows, self._n_columns))
            self._commit(is_complete=True)
            self._array.close()
            self._ids.close()
        if (self.folder / "rows").exists():
            # The array comes last: it never lies beside identifiers of something else.
            self.path.unlink(missing_ok=True)
            with suppress(FileNotFoundError):  # moved before an interruption
                (self.folder / "ids").replace(ids_path(self.path))
            shutil.copyfile(self.folder / "progress.json", self.folder / "manifest")
            (self.folder / "manifest").replace(manifest)
            (self.folder / "rows").replace(self.path)
        shutil.rmtree(self.folder)

    def _lock(self) -> None:
        try:
            import fcntl
        except ImportError:  # Windows
            return
        file = self._stack.enter_context((self.folder / "lock").open("w"))
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BlockingIOError(f"Another process is writing {self.path}.") from error

    def _open(self, name: str, size: int) -> BinaryIO:
        path = self.folder / name
        path.touch()
        file = self._stack.enter_context(path.open("r+b"))
        file.truncate(size)
        file.seek(0, os.SEEK_END)
        return file

    def _committed(self) -> Progress | None:
        """Return what earlier work left, if it is of the same settings and as it was written."""
        try:
            found = json.loads((self.folder / "progress.json").read_text(encoding="utf-8"))
            progress = Progress(**{name: found.pop(name) for name in asdict(Progress())})
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            logger.warning("%s cannot be read: starting again.", self.folder / "progress.json")
            return None
        expected = {k: v for k, v in self._description(progress).items() if k in found}
        if found != expected:
            logger.warning("%s holds work of other settings: starting again.", self.folder)
            return None
        if not self._is_intact(progress):
            logger.warning("%s is damaged: starting again.", self.folder)
            return None
        logger.info("Going on after %s rows of earlier work.", f"{progress.rows:,}")
        return progress

    def _is_intact(self, progress: Progress) -> bool:
        rows, ids = self.folder / "rows", self.folder / "ids"
        if progress.is_complete:  # perhaps interrupted while the files got their names
            rows = rows if rows.exists() else self.path
            ids = ids if ids.exists() else ids_path(self.path)
        return (
            _crc32(rows, self._header_size, self._row_bytes(progress)) == progress.array_checksum
            and _crc32(ids, 0, progress.ids_bytes) == progress.ids_checksum
        )

    @property
    def _header_size(self) -> int:
        return len(npy_header(self._dtype, 0, self._n_columns))

    def _row_bytes(self, progress: Progress) -> int:
        return progress.rows * self._n_columns * self._dtype.itemsize


def _crc32(path: Path, start: int, size: int) -> int | None:
    """Return the checksum of a part of a file; None if the file is too short, or absent."""
    try:
        with path.open("rb") as file:
            file.seek(start)
            checksum = 0
            while size:
                data = file.read(min(size, _READ))
                if not data:
                    return None
                checksum = zlib.crc32(data, checksum)
                size -= len(data)
            return checksum
    except FileNotFoundError:
        return None
