import sqlite3
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from multiprocessing import get_context

import numpy as np
import pytest

from dnaembed import DNABertSEmbedder
from dnaembed.embedding._cache import DiskCache, MemoryCache, embedding_keys, open_cache


def vectors(n, seed=0, size=4):
    rows = np.random.default_rng(seed).normal(size=(n, size)).astype(np.float32)
    return dict(zip(embedding_keys([f"{seed}/{i}" for i in range(n)], "ctx"), rows, strict=True))


@pytest.fixture(params=["memory", "disk"])
def cache(request, tmp_path):
    return MemoryCache() if request.param == "memory" else DiskCache(tmp_path / "a" / "b")


def test_what_was_put_comes_back(cache):
    stored = vectors(1200)
    given = {key: row.copy() for key, row in stored.items()}
    cache.put(given)
    for row in given.values():
        row[:] = 7  # a view of the caller's array would show it
    found = cache.get([*stored, b"absent"], 4)
    assert found.keys() == stored.keys()
    assert all((found[key] == stored[key]).all() for key in stored)


def test_memory_forgets_the_least_recently_used():
    cache = MemoryCache(limit=3 * 16)
    stored = vectors(4)
    keys = list(stored)
    cache.put({key: stored[key] for key in keys[:3]})
    cache.get(keys[:1], 4)
    cache.put({keys[3]: stored[keys[3]]})
    assert cache.get(keys, 4).keys() == {keys[0], keys[2], keys[3]}
    cache.clear()
    assert not cache.get(keys, 4)


def _fill(folder, seed):
    DiskCache(folder).put(vectors(200, seed))


def test_two_processes_write_at_once(tmp_path):
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        list(pool.map(_fill, [tmp_path] * 4, range(4)))
    for seed in range(4):
        stored = vectors(200, seed)
        found = DiskCache(tmp_path).get(stored, 4)
        assert all((found[key] == stored[key]).all() for key in stored)


def _table(path, *rows):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE vectors (key PRIMARY KEY, value)")
        connection.executemany("INSERT INTO vectors VALUES (?, ?)", rows)


def _of_another_schema(path):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE vectors (a, b, c)")


def _cut(path):
    DiskCache(path.parent).put(vectors(3000))
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


KEY = embedding_keys(["ACGT"], "ctx")[0]
DAMAGE = {
    "folder": lambda path: path.mkdir(),
    "garbage": lambda path: path.write_bytes(b"no data base" * 1000),
    "cut": _cut,
    "schema": _of_another_schema,
    "full": lambda path: path.symlink_to("/dev/full"),
    "narrow": lambda path: _table(path, (KEY, np.ones(3, "<f4").tobytes())),
    "not finite": lambda path: _table(path, (KEY, np.full(4, np.nan, "<f4").tobytes())),
    "text": lambda path: _table(path, (KEY, "a" * 16)),
    "number": lambda path: _table(path, (KEY, 7)),
    "not there": lambda path: path.parent.rmdir() or path.parent.write_text("a file"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_cache_that_cannot_be_used_is_said_once_and_gone_without(tmp_path, caplog, damage):
    folder = tmp_path / "cache"
    folder.mkdir()
    DAMAGE[damage](folder / "embeddings.sqlite")
    cache = open_cache(folder)
    for _ in range(2):
        assert KEY not in cache.get([KEY], 4)
        assert KEY not in DiskCache(folder).get([KEY, *vectors(3000)], 4)
        DiskCache(folder).put(vectors(1, seed=1))
    assert len(caplog.messages) == 1
    assert str(folder / "embeddings.sqlite") in caplog.text


def test_an_embedder_goes_on_without_its_cache(tmp_path, reads):
    embedder = DNABertSEmbedder(device="cpu", cache=tmp_path)
    rows = embedder.fit_transform(reads)
    again = DNABertSEmbedder(device="cpu", cache=str(tmp_path)).fit(reads)
    with pytest.MonkeyPatch.context() as patch:  # the next run computes nothing
        patch.delattr("dnaembed.embedding._embedder.embed_sequences")
        assert (again.transform(reads) == rows).all()
    with closing(sqlite3.connect(tmp_path / "embeddings.sqlite")) as connection, connection:
        connection.execute("UPDATE vectors SET value = substr(value, 9)")
    assert (embedder.transform(reads) == rows).all()
    assert (embedder.transform(reads) == rows).all()  # from what was written anew
