from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

from dnaembed.embedding._cache import DiskCache, MemoryCache, embedding_keys, open_cache


def vectors(n, seed=0, size=4):
    rows = np.random.default_rng(seed).normal(size=(n, size)).astype(np.float32)
    return dict(zip(embedding_keys([f"{seed}/{i}" for i in range(n)], "ctx"), rows, strict=True))


@pytest.fixture(params=["memory", "disk"])
def cache(request, tmp_path):
    return MemoryCache() if request.param == "memory" else DiskCache(tmp_path / "a" / "b")


def test_what_was_put_comes_back(cache):
    stored = vectors(1200)
    cache.put(stored)
    found = cache.get([*stored, b"absent"])
    assert found.keys() == stored.keys()
    assert all((found[key] == stored[key]).all() for key in stored)


def test_keys_depend_on_sequence_and_context():
    assert embedding_keys(["A"], "x") == embedding_keys(["A"], "x")
    assert len({*embedding_keys(["A", "C"], "x"), *embedding_keys(["A"], "y")}) == 3


def test_memory_forgets_the_least_recently_used():
    cache = MemoryCache(limit=3 * 16)
    stored = vectors(4)
    keys = list(stored)
    cache.put({key: stored[key] for key in keys[:3]})
    cache.get(keys[:1])
    cache.put({keys[3]: stored[keys[3]]})
    assert cache.get(keys).keys() == {keys[0], keys[2], keys[3]}
    cache.clear()
    assert not cache.get(keys)


def test_memory_keeps_no_view_of_the_callers_array():
    cache = MemoryCache()
    row = np.ones(4, dtype=np.float32)
    cache.put({b"key": row})
    row[:] = 7
    assert (cache.get([b"key"])[b"key"] == 1).all()


def test_disk_survives_the_process(tmp_path):
    stored = vectors(3)
    DiskCache(tmp_path).put(stored)
    assert DiskCache(tmp_path).get(stored).keys() == stored.keys()


def _fill(folder, seed):
    DiskCache(folder).put(vectors(200, seed))


def test_two_processes_write_at_once(tmp_path):
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        list(pool.map(_fill, [tmp_path] * 4, range(4)))
    for seed in range(4):
        stored = vectors(200, seed)
        found = DiskCache(tmp_path).get(stored)
        assert all((found[key] == stored[key]).all() for key in stored)


def test_open_cache(tmp_path):
    assert open_cache(None) is None
    assert open_cache("memory") is open_cache("memory")
    assert isinstance(open_cache(tmp_path / "here"), DiskCache)


def test_a_file_in_the_way_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        DiskCache(tmp_path / "file")


def test_a_cache_that_cannot_be_opened_is_an_error(tmp_path):
    (tmp_path / "embeddings.sqlite").mkdir()
    with pytest.raises(OSError, match=r"cannot open the embedding cache .*embeddings\.sqlite"):
        DiskCache(tmp_path).get([b"key"])
