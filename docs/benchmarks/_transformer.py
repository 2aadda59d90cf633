"""What timing transformers takes, on a CPU and on a GPU: one to time, its operations, agreement."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from dnaembed.backbones import DnaBertBackbone, DnaBertConfig, DnaBertModel, train_bpe_tokenizer
from dnaembed.utils._randomness import seeded


def random_transformer(
    sequences: Sequence[str], config: DnaBertConfig | None = None, *, seed: int = 0
) -> DnaBertBackbone:
    """Return an encoder with random weights, which are as fast as trained ones.

    Parameters
    ----------
    sequences : sequence of str
        What its tokenizer is trained on.
    config : DnaBertConfig, default=None
        Sizes; those of DNABERT-S (117 M parameters) if None.
    seed : int, default=0
        Of the weights.

    Returns
    -------
    DnaBertBackbone
        On the CPU, in evaluation mode.
    """
    config = DnaBertConfig() if config is None else config
    tokenizer = train_bpe_tokenizer(sequences, vocab_size=config.vocab_size)
    with seeded(seed, torch.device("cpu")):
        model = DnaBertModel(config)
    return DnaBertBackbone(model.eval(), tokenizer)


def flops(config: DnaBertConfig, tokens: Sequence[int]) -> float:
    """Operations of the layers, each token attending to all tokens of its sequence.

    Parameters
    ----------
    config : DnaBertConfig
        Sizes.
    tokens : sequence of int
        Tokens of each sequence.
    """
    hidden, inner = config.hidden_size, config.intermediate_size
    linear = 2.0 * hidden * (4 * hidden + 3 * inner) * sum(tokens)
    attention = 4.0 * hidden * sum(n * n for n in tokens)
    return config.num_hidden_layers * (linear + attention)


def agreement(rows: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    """Return the largest difference of two arrays and the least cosine of their rows."""
    norms = np.linalg.norm(rows, axis=1) * np.linalg.norm(reference, axis=1)
    cosines = (rows * reference).sum(axis=1) / norms
    return float(np.abs(rows - reference).max()), float(cosines.min())
