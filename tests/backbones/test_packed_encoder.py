"""Which attention is chosen, and when layers are compiled.

What comes out is in test_packed_attention, test_flex_attention and test_dnabert_backbone.
"""

from functools import partial
from types import SimpleNamespace

import pytest
import torch

from dnaembed.backbones.dnabert import _flex_attention, _packed_encoder, alibi_slopes
from dnaembed.backbones.dnabert._packed_attention import attend, attend_eagerly
from dnaembed.backbones.dnabert._packed_encoder import _choose_attention, encode_packed

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

    def kernel(lengths, slopes, n_tokens, device, *, compiled):
        asked.made.append((lengths, slopes, n_tokens, device, compiled))
        return "kernel"

    monkeypatch.setattr(_flex_attention, "flex_is_usable", flex_is_usable)
    monkeypatch.setattr(_flex_attention, "FlexAttention", kernel)
    return asked


@pytest.mark.parametrize(("name", "function"), [("eager", attend_eagerly), ("sdpa", attend)])
def test_on_a_cpu(backbone, hidden, flex, name, function):
    backbone.model.config._attn_implementation = name
    chosen = _choose_attention(backbone.model, LENGTHS, hidden, False)
    assert chosen.func is function
    assert chosen.keywords["lengths"] == [4, 3]
    torch.testing.assert_close(chosen.keywords["slopes"], alibi_slopes(6))
    assert flex.questions == []
    there = _choose_attention(backbone.model, LENGTHS, hidden.to("meta"), False)
    assert there.keywords["slopes"].device.type == "meta"


class OnGpu:
    """As much of a tensor on a GPU as is looked at."""

    device = torch.device("cuda")
    dtype = torch.bfloat16
    shape = (7, 48)

    def __len__(self):
        return 7


@pytest.mark.parametrize("compile_layers", [False, True])
def test_on_a_gpu(backbone, flex, compile_layers):
    chosen = _choose_attention(backbone.model, LENGTHS, OnGpu(), compile_layers)
    assert chosen == "kernel"
    assert flex.questions == [(OnGpu.device, 6, 8, torch.bfloat16)]
    ((lengths, slopes, n_tokens, device, compiled),) = flex.made
    assert lengths is LENGTHS
    torch.testing.assert_close(slopes, alibi_slopes(6))
    assert (n_tokens, device) == (7, OnGpu.device)
    assert compiled is not compile_layers  # as a part of the layers, or by itself


def test_compiled_layers_are_for_attention_that_compiles(backbone, monkeypatch):
    used = []

    def compiled(*arguments):
        used.append(len(arguments))
        return _packed_encoder._layer(*arguments)

    monkeypatch.setattr(_packed_encoder, "_compiled_layer", lambda: compiled)
    ids = torch.tensor([1, 5, 6, 2, 1, 7, 2])
    expected = encode_packed(backbone.model, ids, LENGTHS)
    assert used == []
    encode_packed(backbone.model, ids, LENGTHS, compile_layers=True)
    assert used == []  # loops over sequences
    plain = partial(attend, lengths=[4, 3], slopes=alibi_slopes(6))
    asked = []

    def choose(model, lengths, hidden, compile_layers):
        asked.append(compile_layers)
        return lambda q, k, v: plain(q, k, v)

    monkeypatch.setattr(_packed_encoder, "_choose_attention", choose)
    for compile_layers, n_layers in ((False, 0), (True, 3)):
        backbone.compile_layers = compile_layers
        used.clear()
        batch = {"input_ids": ids, "lengths": LENGTHS}
        hidden = encode_packed(backbone.model, ids, LENGTHS, compile_layers=compile_layers)
        torch.testing.assert_close(hidden, expected)
        assert len(used) == n_layers
        with torch.inference_mode():
            backbone.embed(batch)
        assert len(used) == 2 * n_layers
    assert asked == [False, False, True, True]


def test_on_a_cpu_tokens_go_through_the_mlp_in_parts(backbone, monkeypatch):
    monkeypatch.setattr(_packed_encoder, "_ROWS", 3)
    sizes = []
    mlp = _packed_encoder._mlp
    monkeypatch.setattr(_packed_encoder, "_mlp", lambda m, x: sizes.append(len(x)) or mlp(m, x))
    encode_packed(backbone.model, torch.tensor([1, 5, 6, 2, 1, 7, 2]), LENGTHS)
    assert sizes == [3, 3, 1] * 3
    sizes.clear()
    meta = backbone.model.to("meta")
    monkeypatch.setattr(_packed_encoder, "_choose_attention", lambda *_: lambda q, k, v: v)
    encode_packed(meta, torch.zeros(7, dtype=torch.int64, device="meta"), LENGTHS)
    assert sizes == [7] * 3
