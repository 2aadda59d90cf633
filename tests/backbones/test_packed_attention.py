import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from dnaembed.backbones.dnabert import _flex_attention, _modeling, _packed_attention, alibi_slopes
from dnaembed.backbones.dnabert._backbone import choose_attention, encode_packed
from dnaembed.backbones.dnabert._packed_attention import attend, reach_of_heads
from tests.helpers.plain_attention import attend_plainly, random_tokens, weights

UNIT_ROUNDOFF = 2.0**-24


def rounded_reach(query, key, slopes):
    return reach_of_heads(query, key, slopes).clamp(max=query.shape[2]).ceil().int().tolist()


@settings(max_examples=40)
@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=6),
    st.sampled_from([1, 3, 8, 12]),
    st.integers(0, 99),
    st.sampled_from([0.1, 1.0, 5.0]),
)
def test_blocks_are_the_plain_operations(lengths, n_heads, seed, scale):
    q, k, v = random_tokens(lengths, n_heads, seed=seed, scale=scale)
    slopes = alibi_slopes(n_heads)
    exact = attend_plainly(q, k, v, lengths, slopes)
    # Scores grow with the square of the scale, and so does what rounding them does to a value.
    got, atol = attend(q, k, v, lengths, slopes).double(), 1e-5 * max(1, scale**3)
    torch.testing.assert_close(got, exact, atol=atol, rtol=0)


@pytest.mark.parametrize("n_heads", [8, 12])
@pytest.mark.parametrize("lengths", [[900], [513, 513, 512], [1, 700, 1, 30]])
def test_what_is_skipped_in_long_sequences_does_not_show(lengths, n_heads):
    q, k, v = random_tokens(lengths, n_heads, head_size=16)
    slopes = alibi_slopes(n_heads)
    skipped = count_keys(lambda: attend(q, k, v, lengths, slopes))
    all_keys = n_heads * sum(n * n for n in lengths)
    assert skipped < 0.96 * all_keys
    exact = attend_plainly(q, k, v, lengths, slopes)
    got = attend(q, k, v, lengths, slopes).double()
    torch.testing.assert_close(got, exact, rtol=0, atol=5e-6)


def count_keys(run):
    """Pairs of a query and a key, times heads, that fused attention is asked for."""
    pairs = 0
    fused = _packed_attention.scaled_dot_product_attention

    def count(query, key, value, attn_mask):
        nonlocal pairs
        pairs += query.shape[0] * query.shape[1] * query.shape[2] * key.shape[2]
        return fused(query, key, value, attn_mask=attn_mask)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_packed_attention, "scaled_dot_product_attention", count)
        run()
    return pairs


@settings(max_examples=30)
@given(st.integers(2, 200), st.integers(0, 99), st.sampled_from([0.1, 1.0, 3.0]))
def test_the_weight_beyond_the_reach_is_below_rounding(length, seed, scale):
    slopes = alibi_slopes(8)
    q, k, _ = random_tokens([length], 8, seed=seed, scale=scale)
    k = k + 5  # what all keys share must not matter
    reach = rounded_reach(*(x.transpose(0, 1)[None] for x in (q, k)), slopes)
    place = torch.arange(length)
    beyond = (place[:, None] - place).abs() > torch.tensor(reach)[:, None, None]
    weight = (weights(q.double(), k.double(), slopes.double()) * beyond).sum(dim=-1)
    assert weight.max() <= UNIT_ROUNDOFF


def test_off_the_cpu_the_bias_is_made_for_the_kernel(monkeypatch):
    # Meta tensors have a device and a shape and no values.
    masks = []

    def remember(query, key, value, attn_mask):
        masks.append(attn_mask)
        return query

    monkeypatch.setattr(_packed_attention, "scaled_dot_product_attention", remember)
    q, k, v = (x.to("meta") for x in random_tokens([20, 20, 30], dtype=torch.bfloat16))
    context = attend(q, k, v, [20, 20, 30], alibi_slopes(4).to("meta"))
    assert (context.shape, context.dtype, context.device.type) == (q.shape, q.dtype, "meta")
    assert [mask.shape[1:] for mask in masks] == [(4, 20, 20), (4, 30, 30)]
    for mask in masks:
        assert mask.is_contiguous()
        assert mask.dtype == torch.bfloat16
        assert mask.device.type == "meta"


def test_reach_falls_with_the_slope_and_rises_with_the_scores():
    q, k, _ = (x.transpose(0, 1)[None] for x in random_tokens([2000], 8))
    slopes = alibi_slopes(8)
    reach = rounded_reach(q, k, slopes)
    assert reach == sorted(reach)
    assert 30 < reach[0] < 100
    assert reach[-1] == 2000
    louder = rounded_reach(5 * q, k, slopes)
    assert all(a > b for a, b in zip(louder[:4], reach[:4], strict=True))
    assert rounded_reach(q * math.inf, k, slopes) == [2000] * 8


@pytest.mark.parametrize("place", [0, 299, 599])
def test_a_far_key_that_outweighs_its_distance_is_not_skipped(place):
    q, k, v = random_tokens([600], 1, scale=0.01)
    slopes = torch.tensor([0.5])
    k[place] += 1000 * q[150]
    q[150] *= 1000
    expected = attend_plainly(q, k, v, [600], slopes)
    assert weights(q, k, slopes)[0, 150, place] > 0.99
    torch.testing.assert_close(attend(q, k, v, [600], slopes).double(), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(dtype):
    lengths = [600, 600, 20]
    q, k, v = random_tokens(lengths, 8, dtype=dtype)
    slopes = alibi_slopes(8)
    got = attend(q, k, v, lengths, slopes)
    assert got.dtype == dtype
    exact = attend_plainly(q, k, v, lengths, slopes)
    torch.testing.assert_close(got.double(), exact, atol=2e-2, rtol=0)


class LargestTensor(TorchDispatchMode):
    """Remember the most memory that a tensor of any operation takes."""

    def __init__(self):
        super().__init__()
        self.n_bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.n_bytes = max(self.n_bytes, result.untyped_storage().nbytes())
        return result


@pytest.mark.parametrize("slopes", [alibi_slopes(4), torch.zeros(4)])
def test_no_tensor_grows_by_the_square_of_the_length(slopes):
    largest = []
    for length in (1000, 2000, 4000):
        q, k, v = random_tokens([length])
        with torch.inference_mode(), LargestTensor() as mode:
            attend(q, k, v, [length], slopes)
        largest.append(mode.n_bytes)
    assert largest[0] <= 1000 * 4 * 8 * 4 * 3
    assert largest[2] == 2 * largest[1] == 4 * largest[0]


@pytest.mark.parametrize("lengths", [[3, 4], [9, -1], [8, 0], []])
def test_lengths_that_do_not_fit(lengths):
    q, k, v = random_tokens([8])
    with pytest.raises(ValueError, match="add up to 8 tokens"):
        attend(q, k, v, lengths, alibi_slopes(4))


# Which attention is chosen, and that one layer serves all


LENGTHS = torch.tensor([4, 3])


def test_on_a_gpu_its_kernel_is_asked_for(backbone, monkeypatch):
    asked = []
    monkeypatch.setattr(_flex_attention, "flex_is_usable", lambda *given: asked.append(given) or 1)
    monkeypatch.setattr(_flex_attention, "FlexAttention", lambda *given: given)

    class Hidden(SimpleNamespace):
        """As much of a tensor on a GPU as is looked at."""

        def __len__(self):
            return 7

    hidden = Hidden(device=torch.device("cuda"), dtype=torch.bfloat16, shape=(7, 48))
    lengths, slopes, n_tokens, device = choose_attention(backbone.model, LENGTHS, hidden)
    assert asked == [(hidden.device, 6, 8, torch.bfloat16)]
    assert lengths is LENGTHS
    torch.testing.assert_close(slopes, alibi_slopes(6))
    assert (n_tokens, device) == (7, hidden.device)


def test_on_a_cpu_tokens_go_through_the_mlp_in_parts(backbone, monkeypatch):
    monkeypatch.setattr(_modeling, "_ROWS", 3)
    layer = backbone.model.encoder.layer[0]
    sizes = []
    layer.mlp.wo.register_forward_hook(lambda _, inputs, output: sizes.append(len(inputs[0])))
    ids = torch.tensor([1, 5, 6, 2, 1, 7, 2])
    in_parts = encode_packed(backbone.model, ids, LENGTHS)
    assert sizes == [3, 3, 1]
    monkeypatch.setattr(_modeling, "_ROWS", 99)
    torch.testing.assert_close(encode_packed(backbone.model, ids, LENGTHS), in_parts)
    sizes.clear()
    layer.feed_forward(torch.zeros(7, 48))  # with gradients, all at once
    layer.to("meta").feed_forward(torch.zeros(7, 48, device="meta"))
    assert sizes == [7, 7]
