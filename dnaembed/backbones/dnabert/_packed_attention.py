"""Attention with ALiBi inside each of several sequences that lie one after the other."""

import math
from collections.abc import Iterator, Sequence
from itertools import groupby

import torch
from torch.nn.functional import scaled_dot_product_attention

# Queries that share a window of keys. Fewer would skip more keys, at a lower rate.
_BLOCK = 256
# Sequences from this many tokens on are looked at for keys to skip.
_LONG = 2 * _BLOCK
# Skipping keys must save this share of a head's work to be worth the smaller matrix products.
_WORTH_SKIPPING = 0.2


def attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    lengths: Sequence[int],
    slopes: torch.Tensor,
) -> torch.Tensor:
    """Return ``softmax(q k^T / sqrt(d) - slope |i - j|) v`` inside each sequence.

    Memory grows with the number of tokens; keys beyond `reach_of_heads` are left out. All tensors
    have the shape (n_tokens, n_heads, head_size).
    """
    if sum(lengths) != len(query) or min(lengths, default=1) < 1:
        raise ValueError(f"lengths must be positive and add up to {len(query)} tokens.")
    context = torch.empty(query.shape, dtype=query.dtype, device=query.device)
    # With the keys backwards, a bias depends on the sum of its row and its column, so that all
    # biases are views, with strides of one, of a single line per head: -slope |x| for each x.
    backward_key, backward_value = key.flip(0), value.flip(0)
    longest = max(lengths, default=1)
    line = -slopes[:, None] * torch.arange(1 - longest, longest, device=slopes.device).abs()
    stop = 0
    for first, last, length in _runs(lengths):
        count = last - first
        here = slice(stop, stop := stop + count * length)
        there = slice(len(query) - here.stop, len(query) - here.start)
        q, k, out = (_as_sequences(x[here], count) for x in (query, key, context))
        # Backwards, the sequences of a run come in opposite order too.
        backward_k, backward_v = (
            _as_sequences(x[there], count).flip(0) if count > 1 else _as_sequences(x[there], 1)
            for x in (backward_key, backward_value)
        )
        reach = [length] * query.shape[1]
        if length >= _LONG:
            reach = reach_of_heads(q, k, slopes).clamp(max=length).ceil().int().tolist()
        for first, last, distance in _runs(reach):
            heads = slice(first, last)
            some_q, some_k, some_v = (x[:, heads] for x in (q, backward_k, backward_v))
            _attend_within(some_q, some_k, some_v, line[heads], distance, out[:, heads])
    return context


def _attend_within(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    line: torch.Tensor,
    distance: int,
    out: torch.Tensor,
) -> None:
    """Attend to the keys, given backwards, within a distance and somewhat beyond."""
    length = query.shape[2]
    block = _BLOCK if (_BLOCK + 2 * distance) < (1 - _WORTH_SKIPPING) * length else length
    for start in range(0, length, block):
        stop = min(start + block, length)
        first = max(0, length - stop - distance) if block < length else 0
        last = min(length, length - start + distance) if block < length else length
        bias = line.as_strided(
            (1, len(line), stop - start, last - first),
            (0, line.stride(0), 1, 1),
            line.storage_offset() + line.shape[1] // 2 - (length - 1) + start + first,
        )
        if bias.device.type != "cpu":
            bias = bias.to(query.dtype, memory_format=torch.contiguous_format)
        parts = query[:, :, start:stop], key[:, :, first:last], value[:, :, first:last]
        out[:, :, start:stop] = scaled_dot_product_attention(*parts, attn_mask=bias)


def _runs(values: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Yield first place, place after the last, and value of each run of equal values."""
    start = 0
    for value, run in groupby(values):
        stop = start + sum(1 for _ in run)
        yield start, stop, value
        start = stop


def _as_sequences(packed: torch.Tensor, count: int) -> torch.Tensor:
    """View tokens of sequences of one length as (count, n_heads, length, head_size)."""
    return packed.unflatten(0, (count, -1)).transpose(1, 2)


def reach_of_heads(query: torch.Tensor, key: torch.Tensor, slopes: torch.Tensor) -> torch.Tensor:
    """Return the distance beyond which the keys of each head do not matter; (n_heads,).

    With ``s_ij`` the score before the bias and ``S >= s_ij - s_ii`` for all i and j, the weights
    of the keys further than ``w`` from query i add up to at most ::

        2 exp(S - slope (w + 1)) / (1 - exp(-slope))

    times the weight of key i. The reach is the least ``w`` for which that is at most ``2^-24``,
    half of float32's epsilon. S follows from the lengths of the vectors (Cauchy-Schwarz), after the
    mean of the keys was taken off, which changes all scores of a query alike.

    Queries and keys have the shape (n, n_heads, length, head_size), of n sequences. The result is
    not rounded, at least 0, and infinite where scores are not numbers.
    """
    query, key = query.float(), key.float()
    key = key - key.mean(dim=2, keepdim=True)
    longest = torch.linalg.vector_norm(key, dim=3).amax(dim=2, keepdim=True)
    largest = torch.linalg.vector_norm(query, dim=3) * longest
    own = (query * key).sum(dim=3)
    # The margin covers the rounding of these few operations.
    spread = (1.001 * largest - own).amax(dim=(0, 2)).double() / math.sqrt(query.shape[-1])
    slope = slopes.double()
    needed = spread + math.log(2) - torch.log(-torch.expm1(-slope)) + 24 * math.log(2)
    # What is not a number after all, from weights that overflow, must not break here.
    return torch.nan_to_num(needed / slope - 1, nan=torch.inf).clamp(min=0)
