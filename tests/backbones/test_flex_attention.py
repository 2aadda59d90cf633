import logging

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dnaembed.backbones.dnabert import _flex_attention, alibi_slopes
from dnaembed.backbones.dnabert._flex_attention import (
    _BLOCK,
    FlexAttention,
    _counted,
    compiled_kernel,
    flex_is_usable,
)
from dnaembed.backbones.dnabert._packed_attention import reach_of_heads
from tests.helpers.plain_attention import attend_plainly, random_tokens, weights

# Without a compiler flex attention says so at its first call; here it is called so on purpose.
pytestmark = pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")

# Largest difference from plain attention in float64, values being normally distributed. Measured:
# 1.1e-6, 1.2e-3 and 1.0e-2; rounding the inputs to the precision is not part of it.
BOUNDS = {torch.float32: 5e-6, torch.float16: 4e-3, torch.bfloat16: 3e-2}


def reach_in_blocks(query, key, slopes):
    query, key = (x.transpose(0, 1)[None] for x in (query, key))
    return (reach_of_heads(query, key, slopes) / _BLOCK).ceil()


def block_mask(attention, reach):
    """Blocks of keys that the lists name, as (heads, blocks, blocks): in part, and in full."""
    masks = []
    for listed in (attention.partial, attention.full):
        counts, order = (x[0] for x in _counted(*listed, reach))
        mask = torch.zeros(order.shape, dtype=torch.bool)
        for head, row in [(h, r) for h in range(len(counts)) for r in range(counts.shape[1])]:
            mask[head, row, order[head, row, : counts[head, row]].long()] = True
        masks.append(mask)
    return masks


lengths_of_sequences = st.lists(st.integers(1, 300), min_size=1, max_size=6)


@settings(max_examples=15)
@given(lengths_of_sequences, st.sampled_from(list(BOUNDS)))
def test_attention_is_plain_attention_in_each_sequence(lengths, dtype):
    query, key, value = random_tokens(lengths, head_size=16, dtype=dtype)
    slopes = alibi_slopes(4)
    with torch.inference_mode():
        attend = FlexAttention(torch.tensor(lengths), slopes, sum(lengths), query.device)
        context = attend(query, key, value)
    assert context.dtype == dtype
    assert context.shape == value.shape
    expected = attend_plainly(query, key, value, lengths, slopes)
    assert (context - expected).abs().max() < BOUNDS[dtype]


@given(st.lists(st.integers(1, 3 * _BLOCK), min_size=1, max_size=6))
def test_blocks_cover_each_sequence_and_nothing_else(lengths):
    where = sum(lengths), torch.device("cpu")
    attention = FlexAttention(torch.tensor(lengths), alibi_slopes(2), *where)
    document = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    assert (attention.document == document).all()
    blocks = document.split(_BLOCK)
    partial, full = block_mask(attention, torch.full((2,), torch.inf))
    for i, queries in enumerate(blocks):
        for j, keys in enumerate(blocks):
            same = queries[:, None] == keys
            whole = bool(same.all()) and len(queries) == len(keys) == _BLOCK
            assert (full[:, i, j] == whole).all()
            assert (partial[:, i, j] == (bool(same.any()) and not whole)).all()


@pytest.mark.parametrize("scale", [0.1, 1.0, 3.0])
def test_what_is_skipped_has_no_weight(scale):
    lengths = [700, 1500]
    query, key, _ = random_tokens(lengths, head_size=16)
    query = query * scale
    slopes = alibi_slopes(4)
    attention = FlexAttention(torch.tensor(lengths), slopes, sum(lengths), query.device)
    partial, full = block_mask(attention, reach_in_blocks(query, key, slopes))
    kept = (partial | full).repeat_interleave(_BLOCK, 1).repeat_interleave(_BLOCK, 2)
    for part in (slice(700), slice(700, 2200)):
        weight = weights(query[part].double(), key[part].double(), slopes.double())
        skipped = ~kept[:, part, part]
        assert skipped[0].any()  # the steepest head
        own = weight.diagonal(dim1=1, dim2=2)
        assert ((weight * skipped).sum(dim=2) <= 2**-24 * own).all()
    # The mask is symmetric, which the lists for the keys rely upon.
    assert (partial == partial.transpose(1, 2)).all()
    assert (full == full.transpose(1, 2)).all()


def test_nothing_is_skipped_where_the_scores_are_not_numbers():
    query, key, _ = random_tokens([2000], head_size=16)
    slopes = alibi_slopes(4)
    attention = FlexAttention(torch.tensor([2000]), slopes, 2000, query.device)
    reach = reach_in_blocks(query, key, slopes)
    assert reach[0] < 5
    query[3, 1, 0] = torch.nan
    with_nan = reach_in_blocks(query, key, slopes)
    assert torch.isinf(with_nan[1])
    assert (with_nan == reach).tolist() == [True, False, True, True]
    partial, full = block_mask(attention, with_nan)
    assert (partial | full)[1].all()


def test_a_cpu_and_small_heads_are_left_to_the_other_kernels():
    assert not flex_is_usable(torch.device("cpu"), 12, 64, torch.float32)
    assert not flex_is_usable(torch.device("cuda"), 12, 8, torch.float32)


@pytest.mark.parametrize("error", [RuntimeError("no C compiler\nmore"), FileNotFoundError("gcc")])
def test_where_nothing_compiles_the_other_kernels_serve_and_it_is_said(monkeypatch, caplog, error):
    def fail(*args):
        raise error

    compiles = _flex_attention._compiles.__wrapped__
    assert compiles(torch.device("cpu"), 4, 16, torch.float32)
    monkeypatch.setattr(_flex_attention, "_kernel", fail)
    with caplog.at_level(logging.WARNING, logger="dnaembed"):
        assert not compiles(torch.device("cpu"), 4, 16, torch.float32)
    assert str(error).split("\n")[0] in caplog.messages[-1]
    error = torch.OutOfMemoryError("too many")
    with pytest.raises(torch.OutOfMemoryError):
        compiles(torch.device("cpu"), 4, 16, torch.float32)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")  # torch's use of its own
def test_compiled_is_plain_and_compiled_once_for_all_sizes():
    compiler = pytest.importorskip("torch._inductor.cpp_builder")
    try:
        compiler.get_cpp_compiler()
    except RuntimeError:
        pytest.skip("torch.compile needs a C++ compiler, and there is none")
    counters = pytest.importorskip("torch._dynamo.utils").counters
    slopes = alibi_slopes(4)
    graphs = []
    # Not as many blocks as heads at first: dynamo takes sizes that are equal for the same size.
    for lengths in ([5, 1, 300, 229], [128, 256], [1500], [10, 20, 30, 900]):
        query, key, value = random_tokens(lengths, head_size=16)
        with torch.inference_mode():
            attention = FlexAttention(torch.tensor(lengths), slopes, sum(lengths), query.device)
            attention.kernel = compiled_kernel()
            context = attention(query, key, value)
        expected = attend_plainly(query, key, value, lengths, slopes)
        assert (context - expected).abs().max() < BOUNDS[torch.float32]
        graphs.append(counters["stats"]["unique_graphs"])
    assert graphs[0] == graphs[-1]
