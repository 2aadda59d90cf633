from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import torch

from dnaembed import DNABertSEmbedder
from dnaembed.embedding import _engine
from dnaembed.embedding._engine import EmbedOptions, embed_sequences
from dnaembed.utils._threads import _limit_mkl, limit_threads
from tests.helpers.dna import random_dna


@pytest.fixture
def threads_seen(monkeypatch):
    """How many threads torch had before each pass of a model."""
    seen = []
    embed = _engine.embed_strands

    def spy(*args):
        seen.append(torch.get_num_threads())
        return embed(*args)

    monkeypatch.setattr(_engine, "embed_strands", spy)
    return seen


def mkl_limit():
    before = _limit_mkl(0)
    _limit_mkl(before)
    return before


def test_the_limit_holds_in_one_thread_only(two_threads):
    both_are_in = Barrier(2, timeout=60)

    def limited():
        with limit_threads(1):
            both_are_in.wait()
            inside = torch.get_num_threads(), mkl_limit()
            both_are_in.wait()
        return inside, (torch.get_num_threads(), mkl_limit())

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(limited)
        both_are_in.wait()
        assert torch.get_num_threads() == 2
        free = mkl_limit()
        both_are_in.wait()
        inside, after = future.result()
    assert inside == (1, min(free, 1))
    assert after == (2, free)
    assert torch.get_num_threads() == 2


def test_the_limit_ends_with_an_error_and_never_rises(two_threads):
    def fail():
        assert torch.get_num_threads() == 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), limit_threads(1), limit_threads(2):
        fail()
    assert torch.get_num_threads() == 2


def test_chunks_embedded_at_a_time_share_the_cores(
    two_threads, tiny_dnabert, reads, threads_seen, monkeypatch
):
    embed_sequences(tiny_dnabert, reads, EmbedOptions(), n_jobs=2)  # a single chunk
    assert set(threads_seen) == {2}
    monkeypatch.setattr(_engine, "_LEAST_CHUNK_BASES", 700)
    threads_seen.clear()
    embed_sequences(tiny_dnabert, reads, EmbedOptions(), n_jobs=2)
    assert set(threads_seen) == {1}
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(("budget", "threads"), [(10**6, {2}), (200, {1})])
def test_batches_of_a_transformer_share_the_cores(
    two_threads, tiny_dnabert, reads, monkeypatch, budget, threads
):
    """So that no operation waits for another thread; a single batch has all of them."""
    seen = []
    embed = tiny_dnabert.embed

    def spy(batch):
        seen.append(torch.get_num_threads())
        return embed(batch)

    options = EmbedOptions(budget=budget)
    with limit_threads(1):
        expected = embed_sequences(tiny_dnabert, reads, options)
    monkeypatch.setattr(tiny_dnabert, "embed", spy)
    rows = embed_sequences(tiny_dnabert, reads, options)
    assert set(seen) == threads
    assert rows == pytest.approx(expected, abs=0 if threads == {1} else 1e-5)
    assert torch.get_num_threads() == 2


def test_a_kmer_model_computes_each_chunk_in_one_thread(two_threads, threads_seen, monkeypatch):
    """Whatever the number of chunks at a time, which by default is that of the cores."""
    reads = random_dna(40, 300, 900)
    monkeypatch.setattr(_engine, "_ONE_THREAD_BASES", 4000)
    embedders = [DNABertSEmbedder(n_jobs=n_jobs, cache=None) for n_jobs in (None, 1, 2)]
    rows = [embedder.fit_transform(reads) for embedder in embedders]
    assert set(threads_seen) == {1}
    assert (rows[0] == rows[1]).all()
    assert (rows[0] == rows[2]).all()
