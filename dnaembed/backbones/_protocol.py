"""What the embedder and the trainer need of a model, whatever its architecture."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike

import numpy as np
import torch
from transformers import PreTrainedModel

from ._batches import budget_batches


@dataclass(frozen=True)
class Mixing:
    """Mix the rows of a batch at the input of one hidden layer (Manifold Instance Mixup).

    Row ``i`` of the hidden state becomes ``c_i h_i + (1 - c_i) h_perm(i)``.

    Attributes
    ----------
    layer : int
        Hidden layer whose input is mixed, from 0 to ``n_mixing_layers - 1``.
    permutation : torch.Tensor of shape (n,), int64
        The partner of each row.
    coefficients : torch.Tensor of shape (n,), float
        The share of the row itself, from 0 to 1.
    """

    layer: int
    permutation: torch.Tensor
    coefficients: torch.Tensor


class Backbone(ABC):
    """A model that turns DNA into vectors: featurise a batch, collate it, embed it.

    Two steps are kept apart so that the first, which needs no gradient and no device, can run
    ahead in other threads: `featurize` (tokens or k-mer counts, on the CPU) and `embed`.

    Attributes
    ----------
    model : transformers.PreTrainedModel
        The parameters; its ``config.model_type`` names the architecture.
    """

    model: PreTrainedModel

    @property
    @abstractmethod
    def default_budget(self) -> int:
        """Cost units (see `cost`) that a batch may hold unless the user says otherwise."""

    @property
    @abstractmethod
    def embedding_size(self) -> int:
        """Columns of the embedding."""

    @property
    @abstractmethod
    def n_mixing_layers(self) -> int:
        """Hidden layers whose input can be mixed, counted from 0."""

    @property
    @abstractmethod
    def strand_invariant(self) -> bool:
        """Whether both strands have the same embedding by construction."""

    @property
    @abstractmethod
    def window_size(self) -> int | None:
        """Longest piece, in bp, that the model should see in one pass; None for any length."""

    @abstractmethod
    def featurize(self, sequences: Sequence[str]) -> list[np.ndarray]:
        """Turn normalised sequences into one feature array each (token ids, k-mer counts)."""

    @abstractmethod
    def cost(self, features: np.ndarray) -> int:
        """Budget units that a sequence takes in a batch: its tokens, or 1 for a profile."""

    @abstractmethod
    def collate(self, features: Sequence[np.ndarray]) -> dict[str, torch.Tensor]:
        """Stack features into a batch on the CPU; row i belongs to ``features[i]``."""

    def pack(self, features: Sequence[np.ndarray]) -> dict[str, torch.Tensor]:
        """Make a batch to embed without gradients, on the CPU; as `collate` unless overridden.

        A model that has a way to compute without padding makes its batches for it here.
        """
        return self.collate(features)

    def batches(self, costs: Sequence[int], budget: int) -> list[list[int]]:
        """Divide sequences into batches for `pack` that stay within a budget.

        Parameters
        ----------
        costs : sequence of int
            `cost` of each sequence.
        budget : int
            Cost units that a batch may hold; a sequence over the budget is a batch alone.

        Returns
        -------
        list of list of int
            Positions in `costs`, each exactly once; the costliest first.
        """
        return budget_batches(costs, budget)

    @abstractmethod
    def embed(
        self, batch: Mapping[str, torch.Tensor], mixing: Mixing | None = None
    ) -> torch.Tensor:
        """Embed a batch that lies on the model's device, not normalised.

        Takes what `collate` makes, then differentiable, and what `pack` makes, then without
        `mixing`.

        Returns
        -------
        torch.Tensor of shape (n, embedding_size)
        """

    @property
    def precision(self) -> torch.dtype:
        """What the model computes in: the type of its weights, int8 after `quantize`."""
        return self.model.dtype

    def quantize(self) -> None:
        """Round the weights to int8, in place: faster on a CPU, nearly the same; for inference.

        Raises
        ------
        ValueError
            If this architecture has no such form.
        """
        raise ValueError(
            f"dtype='int8' is for transformers, not for a {self.model.config.model_type} model, "
            "which is fast in float32."
        )

    @abstractmethod
    def fingerprint(self) -> str:
        """Hex digest of configuration, tokenizer and weights: equal if and only if they are."""

    @abstractmethod
    def save(self, folder: str | PathLike[str]) -> None:
        """Write a folder that `load_backbone` loads again bit for bit."""
