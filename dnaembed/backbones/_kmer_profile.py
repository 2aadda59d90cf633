"""The k-mer profile model: a composition, a linear map known in closed form, a residual network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from ..composition import kmer_counts
from ..composition._counting import check_k, n_kmers
from ._checkpoint import MAX_LAYERS, MIN_WINDOW, check_integer, check_number, shown
from ._protocol import Backbone, Mixing, register_backbone

_LARGEST = 16_384
_MAX_LENGTHS = 8
_LIGHT = 512  # columns of a network that takes no more time than counting
_TYPICAL_KMERS = 4000.0  # of a training piece: log length is about zero in the middle
_MAX_KMERS = 10_000.0  # of the longest training piece: nothing is known of longer ones
_RANGES = {
    **dict.fromkeys(("hidden_size", "intermediate_size", "deep_size"), (1, _LARGEST)),
    **dict.fromkeys(("linear_size", "rank"), (0, _LARGEST)),
    "num_hidden_layers": (0, MAX_LAYERS),
    "window_size": (MIN_WINDOW, 10**9),
}


@dataclass(kw_only=True, eq=False)
class KmerProfileConfig:
    """Sizes of a `KmerProfileModel`; one out of range raises ValueError.

    Parameters
    ----------
    k : sequence of int, default=(4, 5, 6)
        Lengths of the k-mers, from 1 to 8; canonical, so that both strands are alike.
    hidden_size : int, default=768
        Columns of the hidden states.
    intermediate_size : int, default=1536
        Width of the inside of a residual block.
    num_hidden_layers : int, default=2
        Residual blocks. With 0 the embedding is the linear part, or, if there is none either, the
        standardised profile: training-free.
    deep_size : int, default=512
        Columns of the embedding that the network makes.
    linear_size, linear_weight : int and float, default=0 and 0.3
        Columns that are a linear map of the profile (see `dnaembed.training.add_linear_part`), and
        their norm beside a network, whose part has norm one.
    rank : int, default=0
        Rank of the weights of the network: each is a product of two, smaller and faster. 0: whole.
    dropout : float, default=0.1
        Dropout of the residual branches, in training.
    window_size : int or None, default=None
        Longest piece, in bp, that the model should see in one pass; at least 64. None: any length.

    Examples
    --------
    >>> from dnaembed.backbones import KmerProfileConfig
    >>> config = KmerProfileConfig(k=[4], num_hidden_layers=0, linear_size=0)
    >>> config.n_columns, config.embedding_size
    (136, 136)
    """

    model_type: ClassVar[str] = "kmer_profile"
    #: Fields that do not change what given weights compute in evaluation mode.
    training_fields: ClassVar[tuple[str, ...]] = ("dropout", "rank", "window_size")

    k: Sequence[int] = (4, 5, 6)
    hidden_size: int = 768
    intermediate_size: int = 1536
    num_hidden_layers: int = 2
    deep_size: int = 512
    linear_size: int = 0
    linear_weight: float = 0.3
    rank: int = 0
    dropout: float = 0.1
    window_size: int | None = None

    def __post_init__(self) -> None:
        k = self.k
        if not isinstance(k, Sequence) or isinstance(k, str) or len(k) > _MAX_LENGTHS:
            raise ValueError(f"k must be a list of 1 to {_MAX_LENGTHS} integers, got {shown(k)}.")
        self.k = check_k(k)
        if max(self.k) > 8:
            raise ValueError(f"k must be from 1 to 8 in a model, got {max(self.k)}.")
        for name, (low, high) in _RANGES.items():
            if (value := getattr(self, name)) is not None or name != "window_size":
                setattr(self, name, check_integer(name, value, low, high))
        self.linear_weight = check_number("linear_weight", self.linear_weight, 1e6, positive=True)
        self.dropout = check_number("dropout", self.dropout, 1)

    @property
    def n_columns(self) -> int:
        """K-mers counted."""
        return sum(n_kmers(k) for k in self.k)

    @property
    def embedding_size(self) -> int:
        """Columns of the embedding."""
        deep = self.deep_size if self.num_hidden_layers else 0
        return deep + self.linear_size or self.n_columns


def _linear(n_in: int, n_out: int, rank: int) -> nn.Module:
    if not rank:
        return nn.Linear(n_in, n_out)
    return nn.Sequential(nn.Linear(n_in, rank, bias=False), nn.Linear(rank, n_out))


class ResidualBlock(nn.Module):
    """Normalise, widen, narrow, add."""

    def __init__(self, config: KmerProfileConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.hidden_size)
        self.widen = _linear(config.hidden_size, config.intermediate_size, config.rank)
        self.narrow = _linear(config.intermediate_size, config.hidden_size, config.rank)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        inside = nn.functional.gelu(self.widen(self.norm(hidden)))
        return hidden + self.dropout(self.narrow(inside))


class KmerProfileModel(nn.Module):
    """From k-mer counts to an embedding.

    The profile: square roots of the frequencies, standardised. From it lead a network, which also
    sees the logarithm of the number of k-mers, and a linear map, each of a fixed norm. Mean, scale
    and linear map are statistics that `dnaembed.training.fit_profile_statistics` sets.

    Parameters
    ----------
    config : KmerProfileConfig
        Sizes.

    Examples
    --------
    >>> import torch
    >>> from dnaembed.backbones import KmerProfileConfig, KmerProfileModel
    >>> config = KmerProfileConfig(k=[2], hidden_size=8, deep_size=3, linear_size=2)
    >>> KmerProfileModel(config).eval()(torch.ones(5, 10)).shape
    torch.Size([5, 5])
    """

    config_class = KmerProfileConfig
    mean: torch.Tensor
    scale: torch.Tensor
    linear: torch.Tensor

    def __init__(self, config: KmerProfileConfig) -> None:
        super().__init__()
        self.config = config
        n = config.n_columns
        self.register_buffer("mean", torch.zeros(n))
        self.register_buffer("scale", torch.ones(n))
        if config.linear_size:
            self.register_buffer("linear", torch.zeros(config.linear_size, n))
        if config.num_hidden_layers:
            self.enter = _linear(n + 1, config.hidden_size, config.rank)
            blocks = [ResidualBlock(config) for _ in range(config.num_hidden_layers)]
            self.layers = nn.ModuleList(blocks)
            self.norm = nn.LayerNorm(config.hidden_size)
            self.leave = nn.Linear(config.hidden_size, config.deep_size, bias=False)

    device = property(lambda self: self.mean.device, doc="Where the model lies.")
    dtype = property(lambda self: self.mean.dtype, doc="Precision of the weights.")

    def forward(self, counts: torch.Tensor, mixing: Mixing | None = None) -> torch.Tensor:
        """Embed k-mer counts, (n, n_columns): the part of the network, then the linear part."""
        # Layer 0 is the profile; a linear map is the same wherever it is mixed.
        profile, length = self.profile(counts)
        mixed = profile if mixing is None else mixing.mix(profile)
        parts = []
        if self.config.num_hidden_layers:
            mixed_layer = -1 if mixing is None else mixing.layer
            start = torch.cat((profile if mixed_layer else mixed, length), dim=1)
            hidden = self.enter(start.to(self.leave.weight.dtype))
            for i, layer in enumerate(self.layers):
                if mixing is not None and i == mixed_layer > 0:
                    hidden = mixing.mix(hidden)
                hidden = layer(hidden)
            deep = self.leave(self.norm(hidden))
            if not self.config.linear_size:
                return deep
            parts.append(nn.functional.normalize(deep.float(), dim=1))
        if self.config.linear_size:
            linear = nn.functional.linear(mixed.to(self.linear.dtype), self.linear).float()
            weight = self.config.linear_weight if parts else 1.0
            parts.append(weight * nn.functional.normalize(linear, dim=1))
        return torch.cat(parts, dim=1) if parts else mixed

    def profile(self, counts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the standardised profile, and the logarithm of the number of k-mers, (n, 1)."""
        blocks = counts.float().split([n_kmers(k) for k in self.config.k], dim=1)
        totals = [block.sum(dim=1, keepdim=True).clamp(min=1) for block in blocks]
        roots = torch.cat([(b / t).sqrt() for b, t in zip(blocks, totals, strict=True)], dim=1)
        length = totals[0].clamp(max=_MAX_KMERS).log() - log(_TYPICAL_KMERS)
        return (roots - self.mean.float()) * self.scale.float(), length


@register_backbone
class KmerProfileBackbone(Backbone):
    """A k-mer profile model: fast, small, the same for both strands.

    Parameters
    ----------
    model : KmerProfileModel
        The network and its statistics.

    Examples
    --------
    >>> from dnaembed.backbones import KmerProfileBackbone
    >>> backbone = KmerProfileBackbone.create({"k": [3], "num_hidden_layers": 0}, [], seed=0)
    >>> backbone.embed(backbone.collate(backbone.featurize(["ACGTTGCA", "NNNN"]))).shape
    torch.Size([2, 32])
    """

    __module__ = "dnaembed.backbones"

    # Enough rows for matrix products at full speed; features and hidden states stay in the cache.
    default_budget = 512
    strand_invariant = True
    shares_operations = False
    model_class = KmerProfileModel
    model: KmerProfileModel

    @property
    def embedding_size(self) -> int:
        """Columns of the embedding."""
        return self.model.config.embedding_size

    @property
    def is_light(self) -> bool:  # type: ignore[override]
        """Whether a GPU or a lower precision would hardly make it faster."""
        return self.model.config.hidden_size <= _LIGHT

    def featurize(self, sequences: Sequence[str]) -> list[np.ndarray]:
        """Count the canonical k-mers of each sequence; (n_columns,), uint32."""
        return list(kmer_counts(sequences, self.model.config.k))

    def cost(self, features: np.ndarray) -> int:
        """One, whatever the length of the sequence."""
        return 1

    def collate(self, features: Sequence[np.ndarray]) -> dict[str, torch.Tensor]:
        """Stack counts as ``counts``, (n, n_columns), float32."""
        return {"counts": torch.from_numpy(np.stack(features, dtype=np.float32))}

    def embed(
        self, batch: Mapping[str, torch.Tensor], mixing: Mixing | None = None
    ) -> torch.Tensor:
        """Embed a batch of counts; see `Backbone.embed`."""
        self.check_mixing(mixing)
        return self.model(batch["counts"], mixing=mixing).float()

    def fine_tuning_rate(self, labelled: bool) -> float:
        """Return the rate to adapt the model with; lower with labels, of which there are few."""
        return 3e-5 if labelled else 5e-4
