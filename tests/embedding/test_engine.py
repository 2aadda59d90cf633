import logging
from copy import copy
from itertools import zip_longest

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dnaembed import reverse_complement
from dnaembed.embedding import _engine
from dnaembed.embedding._engine import EmbedOptions, budget_batches, embed_sequences, split_windows
from dnaembed.utils._chunks import iter_chunks

dna = st.lists(st.text("ACGTN", min_size=1, max_size=120), min_size=1, max_size=8)


@given(dna, st.integers(1, 300), st.randoms())
def test_batches_and_order_do_not_matter(tiny_dnabert, sequences, budget, random):
    alone = np.concatenate([embed_sequences(tiny_dnabert, [s], EmbedOptions()) for s in sequences])
    order = list(range(len(sequences)))
    random.shuffle(order)
    shuffled = [sequences[i] for i in order]
    together = embed_sequences(tiny_dnabert, shuffled, EmbedOptions(budget=budget))
    assert together.dtype == np.float32
    assert together == pytest.approx(alone[order], abs=1e-5)


@given(dna)
def test_both_strands_is_the_mean_and_sees_no_strand(tiny_dnabert, sequences):
    others = [reverse_complement(sequence) for sequence in sequences]
    both = EmbedOptions(both_strands=True, window_size=50)
    one = EmbedOptions(window_size=50)
    rows = embed_sequences(tiny_dnabert, sequences, both)
    assert rows == pytest.approx(embed_sequences(tiny_dnabert, others, both), abs=1e-5)
    forward = embed_sequences(tiny_dnabert, sequences, one)
    backward = embed_sequences(tiny_dnabert, others, one)
    assert rows == pytest.approx((forward + backward) / 2, abs=1e-5)


@given(st.text("ACGT", min_size=1, max_size=150))
def test_windows_are_averaged_by_length_and_one_window_is_one_pass(tiny_dnabert, sequence):
    fits = embed_sequences(tiny_dnabert, [sequence], EmbedOptions(window_size=len(sequence)))
    assert (fits == embed_sequences(tiny_dnabert, [sequence], EmbedOptions())).all()
    rows = embed_sequences(tiny_dnabert, [sequence, "ACGT"], EmbedOptions(window_size=40))
    windows = split_windows(sequence, 40)
    parts = np.concatenate([embed_sequences(tiny_dnabert, [w], EmbedOptions()) for w in windows])
    expected = np.average(parts, axis=0, weights=[len(w) for w in windows])
    assert rows[0] == pytest.approx(expected, abs=1e-5)


def test_chunks_and_jobs_do_not_matter(tiny_dnabert, reads, monkeypatch):
    rows = embed_sequences(tiny_dnabert, reads, EmbedOptions())
    for name in ("_CHUNK_BASES", "_LEAST_CHUNK_BASES"):
        monkeypatch.setattr(_engine, name, 100)
    for n_jobs in (None, 2):
        chunked = embed_sequences(tiny_dnabert, reads, EmbedOptions(), n_jobs=n_jobs)
        assert chunked == pytest.approx(rows, abs=1e-5)


@given(st.lists(st.integers(1, 30_000_000), min_size=1, max_size=60), st.integers(1, 8))
def test_chunks_are_enough_for_the_workers(lengths, n_workers):
    most = _engine._chunk_bases([range(n) for n in lengths], n_workers)
    total, longest = sum(lengths), max(lengths)
    if n_workers > 1 and total > 2**16 * 4 * n_workers and longest < total / (4 * n_workers):
        assert len(list(iter_chunks(lengths, int, most))) >= n_workers


@given(st.lists(st.integers(1, 50), max_size=60), st.integers(1, 120))
def test_batches_hold_each_item_once_within_the_budget(costs, budget):
    """Costliest first, and each filled before the next begins."""
    for padded in (True, False):
        batches = budget_batches(costs, budget, padded=padded)
        order = [i for batch in batches for i in batch]
        assert sorted(order) == list(range(len(costs)))
        assert [costs[i] for i in order] == sorted(costs, reverse=True)
        for batch, after in zip_longest(batches, batches[1:]):
            prices = [costs[batch[0]] if padded else costs[i] for i in batch]
            assert len(batch) == 1 or sum(prices) <= budget
            more = prices[0] if padded else costs[(after or [0])[0]]
            assert after is None or sum(prices) + more > budget


def scarce(backbone, limit, error=torch.OutOfMemoryError):
    """The same model on a device that holds only so many sequences at a time."""

    def embed(batch, mixing=None):
        if len(batch["lengths"]) > limit:
            raise error("too many")
        return type(backbone).embed(backbone, batch, mixing)

    poor = copy(backbone)
    poor.embed = embed
    return poor


def test_out_of_memory_halves_the_batch_and_says_so(tiny_dnabert, reads, caplog):
    with caplog.at_level(logging.WARNING, logger="dnaembed"):
        rows = embed_sequences(scarce(tiny_dnabert, 2), reads, EmbedOptions(budget=10**6))
    assert rows == pytest.approx(embed_sequences(tiny_dnabert, reads, EmbedOptions()), abs=1e-5)
    assert "Out of memory with 12 windows in a batch; continuing with 6." in caplog.messages


def test_out_of_memory_on_a_single_sequence_says_what_to_do(tiny_dnabert):
    with pytest.raises(MemoryError, match=r"single window of 8 bp; set a smaller window_size"):
        embed_sequences(scarce(tiny_dnabert, 0), ["ACGTACGT"], EmbedOptions())


def test_other_errors_are_not_hidden(tiny_dnabert):
    with pytest.raises(RuntimeError, match="too many"):
        embed_sequences(scarce(tiny_dnabert, 0, RuntimeError), ["ACGT"], EmbedOptions())


@pytest.mark.parametrize("limit", [100, 2])
def test_batches_made_ahead_do_not_matter(tiny_dnabert, reads, monkeypatch, limit):
    rows = embed_sequences(tiny_dnabert, reads, EmbedOptions())
    monkeypatch.setattr(_engine, "_is_beside", lambda device: True)
    monkeypatch.setattr(_engine, "_PART_BASES", 900)  # several parts
    backbone = scarce(tiny_dnabert, limit)
    ahead = embed_sequences(backbone, reads, EmbedOptions(budget=10**6))
    assert ahead == pytest.approx(rows, abs=1e-5)


@given(st.text("ACGT", min_size=1, max_size=300), st.integers(1, 320))
def test_windows_cover_the_sequence_evenly(sequence, window_size):
    windows = split_windows(sequence, window_size)
    lengths = [len(window) for window in windows]
    assert "".join(windows) == sequence
    assert max(lengths) <= window_size
    assert max(lengths) - min(lengths) <= 1
    assert len(windows) == -(-len(sequence) // window_size)
    assert split_windows(sequence, None) == [sequence]
