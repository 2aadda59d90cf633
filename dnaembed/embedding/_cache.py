"""Embeddings kept per sequence, so that folds, grids and runs embed nothing twice.

A key is a digest of everything that an embedding depends on: the sequence, the fingerprint of the
model and the pooling parameters. Caching a whole `transform` (as ``Pipeline(memory=...)`` does)
misses as soon as one read of a fold differs.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from contextlib import closing
from os import PathLike
from pathlib import Path
from typing import Protocol

import numpy as np

MEMORY_LIMIT = 1 << 30  # bytes; 1 M embeddings of 256 float32 values
_SQL_VARIABLES = 500  # well below the least limit of any SQLite build


def embedding_keys(sequences: Iterable[str], context: str) -> list[bytes]:
    """Digest each sequence together with what else decides its embedding."""
    salt = hashlib.blake2b(context.encode(), digest_size=16).digest()
    return [
        hashlib.blake2b(sequence.encode(), key=salt, digest_size=16).digest()
        for sequence in sequences
    ]


class EmbeddingCache(Protocol):
    """Maps keys to vectors; may forget, must never give a wrong vector."""

    def get(self, keys: Iterable[bytes]) -> dict[bytes, np.ndarray]:
        """Return the vectors that are there."""

    def put(self, vectors: Mapping[bytes, np.ndarray]) -> None:
        """Keep float32 vectors."""


class MemoryCache:
    """Vectors in this process, the least recently used forgotten over a limit of bytes."""

    def __init__(self, limit: int = MEMORY_LIMIT) -> None:
        self._limit = limit
        self._vectors: OrderedDict[bytes, np.ndarray] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, keys: Iterable[bytes]) -> dict[bytes, np.ndarray]:
        """Return the vectors that are there, and mark them as used."""
        found = {}
        with self._lock:
            for key in keys:
                if key in self._vectors:
                    self._vectors.move_to_end(key)
                    found[key] = self._vectors[key]
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
    """Vectors in one SQLite file in a folder: safe with many processes, whole after a crash."""

    def __init__(self, folder: str | PathLike[str]) -> None:
        self._path = Path(folder) / "embeddings.sqlite"
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with closing(self._connect()) as connection, connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, value BLOB NOT NULL)"
                " WITHOUT ROWID"
            )

    def _connect(self) -> sqlite3.Connection:
        try:
            return sqlite3.connect(self._path, timeout=120)
        except sqlite3.Error as error:
            raise OSError(f"cannot open the embedding cache {self._path}: {error}") from error

    def get(self, keys: Iterable[bytes]) -> dict[bytes, np.ndarray]:
        """Return the vectors that are there."""
        keys = list(keys)
        found: dict[bytes, np.ndarray] = {}
        with closing(self._connect()) as connection:
            for start in range(0, len(keys), _SQL_VARIABLES):
                part = keys[start : start + _SQL_VARIABLES]
                marks = ",".join("?" * len(part))
                rows = connection.execute(
                    f"SELECT key, value FROM vectors WHERE key IN ({marks})", part
                )
                found |= {
                    key: np.frombuffer(value, dtype="<f4").astype(np.float32) for key, value in rows
                }
        return found

    def put(self, vectors: Mapping[bytes, np.ndarray]) -> None:
        """Write all vectors in one transaction, or none."""
        rows = [(key, vector.astype("<f4").tobytes()) for key, vector in vectors.items()]
        with closing(self._connect()) as connection, connection:
            connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)


_memory = MemoryCache()


def open_cache(cache: str | PathLike[str] | None) -> EmbeddingCache | None:
    """Return the cache that a ``cache`` parameter names: None, ``"memory"`` or a folder."""
    if cache is None:
        return None
    if cache == "memory":
        return _memory
    return DiskCache(cache)


def clear_memory_cache() -> None:
    """Forget the embeddings that estimators with ``cache="memory"`` share in this process.

    Examples
    --------
    >>> from dnaembed import clear_memory_cache
    >>> clear_memory_cache()
    """
    _memory.clear()
