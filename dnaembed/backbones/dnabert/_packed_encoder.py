"""The encoder over the tokens of several sequences one after the other, without padding."""

from __future__ import annotations

from functools import partial

import torch

from ._modeling import Attention, DnaBertModel, alibi_slopes
from ._packed_attention import attend, attend_eagerly


def encode_packed(
    model: DnaBertModel, input_ids: torch.Tensor, lengths: torch.Tensor
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

    Returns
    -------
    torch.Tensor of shape (n_tokens, hidden_size)
        The last hidden states.
    """
    with torch.no_grad():
        hidden = model.embeddings(model.embeddings.word_embeddings(input_ids), None)
        attention = choose_attention(model, lengths, hidden)
        for layer in model.encoder.layer:
            hidden = layer(hidden, attention)
    return hidden


def choose_attention(model: DnaBertModel, lengths: torch.Tensor, hidden: torch.Tensor) -> Attention:
    """Attention within each sequence, by what the device is good at."""
    device = hidden.device
    slopes = alibi_slopes(model.config.num_attention_heads)
    if model.config._attn_implementation == "eager":
        return partial(attend_eagerly, lengths=lengths.tolist(), slopes=slopes.to(device))
    if device.type == "cuda":
        # Imported here, as it brings torch's compiler, which a CPU does not need.
        from ._flex_attention import FlexAttention, flex_is_usable

        head_size = hidden.shape[1] // len(slopes)
        if flex_is_usable(device, len(slopes), head_size, hidden.dtype):
            return FlexAttention(lengths, slopes, len(hidden), device)
    return partial(attend, lengths=lengths.tolist(), slopes=slopes.to(device))
