"""Which attention is chosen, and that one layer serves all.

What comes out is in test_packed_attention, test_flex_attention and test_dnabert_backbone.
"""

from types import SimpleNamespace

import pytest
import torch

from dnaembed.backbones.dnabert import _flex_attention, _modeling, alibi_slopes
from dnaembed.backbones.dnabert._backbone import choose_attention, encode_packed

LENGTHS = torch.tensor([4, 3])


@pytest.fixture
def hidden(backbone):
    return torch.zeros(7, backbone.model.config.hidden_size)


@pytest.fixture
def flex(monkeypatch):
    """Stand for the kernel of a GPU; what it was asked for is kept."""
    asked = SimpleNamespace(usable=True, questions=[], made=[])

    def flex_is_usable(*arguments):
        asked.questions.append(arguments)
        return asked.usable

    def kernel(*arguments):
        asked.made.append(arguments)
        return "kernel"

    monkeypatch.setattr(_flex_attention, "flex_is_usable", flex_is_usable)
    monkeypatch.setattr(_flex_attention, "FlexAttention", kernel)
    return asked


class OnGpu:
    """As much of a tensor on a GPU as is looked at."""

    device = torch.device("cuda")
    dtype = torch.bfloat16
    shape = (7, 48)

    def __len__(self):
        return 7


def test_on_a_gpu(backbone, flex):
    assert choose_attention(backbone.model, LENGTHS, OnGpu()) == "kernel"
    assert flex.questions == [(OnGpu.device, 6, 8, torch.bfloat16)]
    ((lengths, slopes, n_tokens, device),) = flex.made
    assert lengths is LENGTHS
    torch.testing.assert_close(slopes, alibi_slopes(6))
    assert (n_tokens, device) == (7, OnGpu.device)


def test_the_layer_takes_any_attention(backbone):
    """One layer, whatever the shape of the batch and whoever says what tokens see of another."""
    layer = backbone.model.encoder.layer[0]
    hidden = torch.randn(7, 48, generator=torch.Generator().manual_seed(0))
    shapes = []

    def own_value(query, key, value):
        shapes.append(tuple(value.shape))
        return value

    with torch.inference_mode():
        packed, padded = layer(hidden, own_value), layer(hidden[None], own_value)
    assert shapes == [(7, 6, 8), (1, 7, 6, 8)]
    torch.testing.assert_close(packed, padded[0])
    with torch.enable_grad():
        torch.testing.assert_close(layer(hidden, own_value), packed)


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
