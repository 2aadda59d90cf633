"""Which rows are mixed, where in the model and by how much: drawn for the whole batch at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class MixingDraw:
    """The mixing of view 1 of a whole batch, over all processes.

    Attributes
    ----------
    layer : int
        Hidden layer whose input is mixed.
    permutation : ndarray of shape (n_pairs,), int64
        Partner of each row, as row numbers of the whole batch.
    coefficients : ndarray of shape (n_pairs,), float32
        Share of the row itself, from 0.5 to 1.
    """

    layer: int
    permutation: NDArray[np.int64]
    coefficients: NDArray[np.float32]


def draw_mixing(
    n_pairs: int,
    n_layers: int,
    *,
    seed: int,
    step: int,
    alpha: float = 1.0,
) -> MixingDraw:
    """Draw layer, permutation and coefficients of one step.

    The layer is uniform over the `n_layers`, the coefficients are ``max(c, 1 - c)`` with ``c ~
    Beta(alpha, alpha)``, and the permutation is uniform over the whole batch. Everything depends on
    the arguments alone: each process draws the same, so partners are row numbers of the gathered
    batch whatever the number of processes.

    Parameters
    ----------
    n_pairs : int
        Pairs in the batch, over all processes.
    n_layers : int
        Hidden layers that can be mixed; 1 for i-Mix.
    seed, step : int
        Non-negative; another draw for each.
    alpha : float, default=1.0
        Both parameters of the Beta distribution.

    Returns
    -------
    MixingDraw
        The draw.

    Examples
    --------
    >>> draw_mixing(4, 3, seed=0, step=7).permutation
    array([1, 0, 3, 2])
    """
    rng = np.random.default_rng((seed, step))
    layer = int(rng.integers(n_layers))
    share = rng.beta(alpha, alpha, size=n_pairs)
    return MixingDraw(
        layer,
        rng.permutation(n_pairs).astype(np.int64),
        np.maximum(share, 1 - share).astype(np.float32),
    )
