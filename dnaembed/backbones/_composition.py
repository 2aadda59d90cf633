"""The k-mer profile model without training: what every trained model must beat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ..composition._uniform import uniform_frequencies
from ._kmer_profile import KmerProfileBackbone, KmerProfileConfig, KmerProfileModel


def composition_backbone(k: Sequence[int] = (4,)) -> KmerProfileBackbone:
    """Return a k-mer profile model whose embedding is the centred profile itself.

    Square roots of canonical k-mer frequencies, less their values where all bases are as likely.
    Ships with the package as ``"kmer-composition"``; the same numbers as `dnaembed.KmerEmbedder`.

    Parameters
    ----------
    k : sequence of int, default=(4,)
        Lengths of the k-mers.

    Returns
    -------
    KmerProfileBackbone
        Without network and linear part.

    Examples
    --------
    >>> from dnaembed.backbones import composition_backbone
    >>> composition_backbone([4]).embedding_size
    136
    """
    config = KmerProfileConfig(k=list(k), num_hidden_layers=0, linear_size=0)
    model = KmerProfileModel(config)
    expected = np.concatenate([uniform_frequencies(length) for length in config.k])
    model.mean.copy_(torch.from_numpy(expected).sqrt())
    return KmerProfileBackbone(model.eval())
