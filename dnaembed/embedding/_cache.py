"""Embeddings kept per sequence, so that folds, grids and runs embed nothing twice.

A key is a digest of everything that an embedding depends on.
"""

import hashlib
import logging
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from os import PathLike
from pathlib import Path

import numpy as np

from ..utils._fork import ForkedLock

logger = logging.getLogger("dnaembed")

MEMORY_LIMIT = 1 << 30  # bytes; 1 M embeddings of 256 float32 values
_SQL_VARIABLES = 500  # well below the least limit of any SQLite build


def embedding_keys(sequences: Iterable[str], context: str) -> list[bytes]:
    """Digest each sequence together with what else decides its embedding."""
    salt = hashlib.blake2b(context.encode(), digest_size=16).digest()
    return [hashlib.blake2b(s.encode(), key=salt, digest_size=16).digest() for s in sequences]


class MemoryCache:
    """Vectors in this process, the least recently used forgotten over a limit of bytes."""

    def __init__(self, limit: int = MEMORY_LIMIT) -> None:
        self._limit = limit
        self._vectors: OrderedDict[bytes, np.ndarray] = OrderedDict()
        self._bytes = 0
        self._lock = ForkedLock()

    def get(self, keys: Iterable[bytes], size: int) -> dict[bytes, np.ndarray]:
        """Return the vectors that are there, and mark them as used."""
        with self._lock:
            found = {key: self._vectors[key] for key in keys if key in self._vectors}
            for key in found:
                self._vectors.move_to_end(key)
        return found

    def put(self, vectors: Mapping[bytes, np.ndarray]) -> None:
        """Keep copies, so that a view does not hold the whole array it came from."""
        with self._lock:
            for key, vector in vectors.items():
                if key not in self._vectors:
                    self._vectors[key] = np.array(vector, dtype=np.float32)
                    self._bytes += self._vectors[key].nbytes
            while self._bytes > self._limit:
                _, forgotten = self._vectors.popitem(last=False)
                self._bytes -= forgotten.nbytes

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._vectors.clear()
            self._bytes = 0


class DiskCache:
    """Vectors in one SQLite file in a folder: safe with many processes, whole after a crash.

    What is wrong with the file is logged once per process; what can be read is used.
    """

    _complained: set[Path] = set()  # noqa: RUF012 - shared by all instances

    def __init__(self, folder: str | PathLike[str]) -> None:
        self._path = Path(folder) / "embeddings.sqlite"

    def _complain(self, reason: object) -> None:
        if self._path not in self._complained:
            self._complained.add(self._path)
            logger.warning("Going on without the embedding cache %s: %s.", self._path, reason)

    def get(self, keys: Iterable[bytes], size: int) -> dict[bytes, np.ndarray]:
        """Return the vectors that are there, if they are finite and have `size` values."""
        keys = list(keys)
        found: dict[bytes, np.ndarray] = {}
        rows: list[tuple[bytes, object]] = []
        try:
            if not self._path.exists():
                return found
            with closing(sqlite3.connect(self._path, timeout=30)) as connection:
                for start in range(0, len(keys), _SQL_VARIABLES):
                    part = keys[start : start + _SQL_VARIABLES]
                    marks = ",".join("?" * len(part))
                    query = f"SELECT key, value FROM vectors WHERE key IN ({marks})"
                    rows += connection.execute(query, part)
        except (sqlite3.Error, OSError) as error:
            self._complain(error)
        for key, value in rows:
            if isinstance(value, bytes) and len(value) == 4 * size:
                vector = np.frombuffer(value, dtype="<f4").astype(np.float32)
                if np.isfinite(vector).all():
                    found[key] = vector
        if len(found) < len(rows):
            self._complain("some of its rows cannot be embeddings of this model")
        return found

    def put(self, vectors: Mapping[bytes, np.ndarray]) -> None:
        """Write all vectors in one transaction, or none."""
        rows = [(key, vector.astype("<f4").tobytes()) for key, vector in vectors.items()]
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._path, timeout=30)) as connection, connection:
                columns = "key BLOB PRIMARY KEY, value BLOB NOT NULL"
                table = f"CREATE TABLE IF NOT EXISTS vectors ({columns}) WITHOUT ROWID"
                connection.execute(table)
                connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)
        except (sqlite3.Error, OSError) as error:
            self._complain(error)


_memory = MemoryCache()


def open_cache(cache: str | PathLike[str] | None) -> MemoryCache | DiskCache | None:
    """Return the cache that a ``cache`` parameter names: None, ``"memory"`` or a folder."""
    if cache is None:
        return None
    return _memory if cache == "memory" else DiskCache(cache)


def embed_through_cache(
    sequences: list[str],
    cache: MemoryCache | DiskCache | None,
    context: str,
    size: int,
    compute: Callable[[list[str], list[int]], np.ndarray],
) -> np.ndarray:
    """Embed each distinct sequence once; `compute` takes these, and where each first stands."""
    first: dict[str, int] = {}
    for i, sequence in enumerate(sequences):
        first.setdefault(sequence, i)
    if cache is None:
        row = {sequence: i for i, sequence in enumerate(first)}
        return compute(list(first), list(first.values()))[[row[s] for s in sequences]]
    keys = dict(zip(first, embedding_keys(first, context), strict=True))
    found = cache.get(keys.values(), size)
    missing = [sequence for sequence, key in keys.items() if key not in found]
    if missing:
        rows = compute(missing, [first[sequence] for sequence in missing])
        new = {keys[sequence]: row for sequence, row in zip(missing, rows, strict=True)}
        cache.put(new)
        found |= new
    return np.stack([found[keys[sequence]] for sequence in sequences])


def clear_memory_cache() -> None:
    """Forget the embeddings that estimators with ``cache="memory"`` share in this process.

    Examples
    --------
    >>> from dnaembed import clear_memory_cache
    >>> clear_memory_cache()
    """
    _memory.clear()
