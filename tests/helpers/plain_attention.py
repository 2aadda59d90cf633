"""Attention of packed sequences in plain operations, to check the kernels."""

import math

import torch


def weights(query, key, slopes):
    """Weights of the keys of one sequence, (heads, length, length)."""
    place = torch.arange(len(query), device=query.device)
    bias = -slopes[:, None, None] * (place[:, None] - place).abs()
    scores = torch.einsum("ihd,jhd->hij", query, key) / math.sqrt(query.shape[-1]) + bias
    return scores.softmax(dim=-1)


def attend_plainly(query, key, value, lengths, slopes):
    """Attend within each of several chained sequences, in float64, with all scores in memory."""
    parts = zip(*(x.double().split(list(lengths)) for x in (query, key, value)), strict=True)
    taken = ((weights(q, k, slopes.double()), v) for q, k, v in parts)
    return torch.cat([torch.einsum("hij,jhd->ihd", weight, v) for weight, v in taken])


def random_tokens(lengths, n_heads=4, head_size=8, seed=0, scale=1.0, dtype=torch.float32):
    """Return queries, keys and values of chained sequences."""
    generator = torch.Generator().manual_seed(seed)
    shape = (3, sum(lengths), n_heads, head_size)
    return (torch.randn(shape, generator=generator) * scale).to(dtype).unbind(0)
