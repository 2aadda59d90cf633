"""The projection that is trained with the model and thrown away after."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from ..utils._randomness import seeded


class ProjectionHead(nn.Sequential):
    """Map embeddings to the unit vectors that the loss compares.

    ``Linear(d, h, no bias) - ReLU - Linear(h, out, no bias)``, then L2 normalisation; with `size`
    None only the normalisation, so that the loss acts on the embedding itself. The weights are
    named as in the head that the authors of DNABERT-S save: ``0.weight`` and ``2.weight``.

    Parameters
    ----------
    embedding_size : int
        Columns of the embedding, ``d``.
    size : int or None, default=128
        Columns of the result, ``out``.
    hidden_size : int, default=None
        ``h``; `embedding_size` if None.
    seed : int, default=0
        Of the initial weights.

    Examples
    --------
    >>> head = ProjectionHead(8, 4)
    >>> list(head.state_dict()), head(torch.ones(2, 8)).shape
    (['0.weight', '2.weight'], torch.Size([2, 4]))
    """

    def __init__(
        self,
        embedding_size: int,
        size: int | None = 128,
        hidden_size: int | None = None,
        *,
        seed: int = 0,
    ) -> None:
        # Layers draw their weights from the global generator: lend them one of our own.
        with seeded(seed, torch.device("cpu")):
            if size is None:
                super().__init__()
            else:
                hidden_size = hidden_size or embedding_size
                super().__init__(
                    nn.Linear(embedding_size, hidden_size, bias=False),
                    nn.ReLU(),
                    nn.Linear(hidden_size, size, bias=False),
                )

    def forward(self, embeddings: Tensor) -> Tensor:
        """Return unit vectors, in float32 at least, of shape (n, size)."""
        projected = super().forward(embeddings)
        wide = torch.promote_types(projected.dtype, torch.float32)
        return normalize(projected.to(wide), dim=1)
