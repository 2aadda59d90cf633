"""The k-mer profile model without training: what every trained model must beat."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from .._sequences import reverse_complement
from ..composition import kmer_names
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
    expected = [
        (1 if name == reverse_complement(name) else 2) / 4.0 ** len(name)
        for length in config.k
        for name in kmer_names(length)
    ]
    model.mean.copy_(torch.tensor(expected, dtype=torch.float64).sqrt())
    return KmerProfileBackbone(model.eval())
