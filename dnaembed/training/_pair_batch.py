"""The contract between what makes pairs and what trains on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class PairBatch:
    """Two views of each of a number of species.

    Attributes
    ----------
    view1, view2 : list of str
        Normalised sequences (characters out of ``ACGTN``); ``view1[i]`` and ``view2[i]`` are a
        positive pair.
    labels : ndarray of shape (n_pairs,), int64, or None
        The species of each pair, so that two pairs of one species are not pushed apart; negative
        values and None stand for unknown.
    """

    view1: list[str]
    view2: list[str]
    labels: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.view1)


@runtime_checkable
class PairSource(Protocol):
    """Anything that draws pairs, as a pure function of a step and a number.

    The result of `sample` depends only on the seed of the source, `step` and `n_pairs`. The
    trainer may therefore draw ahead in another thread, and a run that was cut off and goes on
    sees the same pairs as one that was not.
    """

    def sample(self, step: int, n_pairs: int) -> PairBatch:
        """Draw the pairs of one step."""
