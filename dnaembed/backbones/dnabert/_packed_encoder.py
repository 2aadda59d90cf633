"""The encoder over the tokens of several sequences one after the other, without padding."""

from __future__ import annotations

import functools
from collections.abc import Callable
from functools import partial

import torch
from torch.nn import functional

from ._modeling import DnaBertLayer, DnaBertMLP, DnaBertModel, alibi_slopes
from ._packed_attention import attend, attend_eagerly

# Tokens that go through an MLP at a time on a CPU: enough for matrix products at full speed, and
# few enough for what lies between them to be memory that is mapped already.
_ROWS = 1024

Attention = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def encode_packed(
    model: DnaBertModel,
    input_ids: torch.Tensor,
    lengths: torch.Tensor,
    *,
    compile_layers: bool = False,
) -> torch.Tensor:
    """Encode sequences that lie one after the other; for inference, not for gradients.

    Parameters
    ----------
    model : DnaBertModel
        In evaluation mode.
    input_ids : torch.Tensor of shape (n_tokens,), int64
        Of all sequences, on the device of the model.
    lengths : torch.Tensor of shape (n,), int64
        Tokens of each sequence, all positive.
    compile_layers : bool, default=False
        Whether to compile whole layers on a GPU, not their attention alone: the first batch takes
        the longer for it.

    Returns
    -------
    torch.Tensor of shape (n_tokens, hidden_size)
        The last hidden states.
    """
    hidden = model.embeddings(model.embeddings.word_embeddings(input_ids), None)
    attention = _choose_attention(model, lengths, hidden, compile_layers)
    rows = _ROWS if hidden.device.type == "cpu" else len(hidden)
    # Loops over sequences or blocks, which the other attentions are, compile to no good.
    fuse = compile_layers and not isinstance(attention, partial)
    step = _compiled_layer() if fuse else _layer
    for layer in model.encoder.layer:
        assert isinstance(layer, DnaBertLayer)
        hidden = step(layer, hidden, attention, rows)
    return hidden


def _layer(
    layer: DnaBertLayer, hidden: torch.Tensor, attention: Attention, rows: int
) -> torch.Tensor:
    block = layer.attention
    query, key, value = (
        block.self.Wqkv(hidden).view(len(hidden), 3, block.self.n_heads, -1).unbind(1)
    )
    context = attention(query, key, value)
    hidden = block.output(context.flatten(1), hidden)
    return torch.cat([_mlp(layer.mlp, part) for part in hidden.split(rows)])


@functools.cache
def _compiled_layer() -> Callable[..., torch.Tensor]:
    # One compilation for all layers and any number of tokens.
    return torch.compile(_layer, dynamic=True)


def _choose_attention(
    model: DnaBertModel, lengths: torch.Tensor, hidden: torch.Tensor, compile_layers: bool
) -> Attention:
    """Attention within each sequence, by what the device is good at."""
    device = hidden.device
    slopes = alibi_slopes(model.config.num_attention_heads)
    if model.config._attn_implementation == "eager":
        return partial(attend_eagerly, lengths=lengths.tolist(), slopes=slopes.to(device))
    if device.type == "cuda":
        # Imported here, as it brings torch's compiler, which a CPU does not need.
        from ._flex_attention import FlexAttention, flex_is_usable

        n_heads = len(slopes)
        head_size = hidden.shape[1] // n_heads
        if flex_is_usable(device, n_heads, head_size, hidden.dtype):
            # Within compiled layers, it is compiled as a part of them.
            return FlexAttention(lengths, slopes, len(hidden), device, compiled=not compile_layers)
    return partial(attend, lengths=lengths.tolist(), slopes=slopes.to(device))


def _mlp(mlp: DnaBertMLP, hidden: torch.Tensor) -> torch.Tensor:
    gate, value = mlp.gated_layers(hidden).chunk(2, dim=-1)
    inner = functional.gelu(gate).mul_(value)
    return mlp.layernorm(mlp.wo(inner).add_(hidden))
