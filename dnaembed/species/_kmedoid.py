"""The modified K-medoid of the DNABERT-S paper: bins of similar rows, as many as there are."""

from typing import NamedTuple

import numpy as np

from ._neighbors import own_similarity_sums, similarity_sums

_REFINEMENTS = 3


class Bins(NamedTuple):
    labels: np.ndarray
    centers: np.ndarray
    n_rounds: int


def modified_kmedoid(
    X: np.ndarray, min_similarity: float, *, min_bin_size: int, max_iter: int
) -> Bins:
    """Bin rows around the densest ones, one bin per round, as `SpeciesClusterer` describes.

    Rows of smaller bins, and those left after `max_iter` rounds, have label -1.
    """
    min_similarity = float(min_similarity)
    labels = np.full(len(X), -1)
    centers: list[np.ndarray] = []
    # Only rows without a bin matter from round to round: `open_rows` of X, copied to `rows` again
    # whenever half of them are gone, so that a round costs what is left and not what there was.
    open_rows, rows = np.arange(len(X)), X
    density = own_similarity_sums(X, min_similarity)
    is_open = np.ones(len(X), dtype=bool)
    n_rounds = 0
    while n_rounds < max_iter and is_open.any():
        highest = density.max()
        # Of equal densities the first: which one is a rounding error higher depends on the machine.
        seed = int((density >= highest - abs(highest) * 1e-6).argmax())
        if highest == -np.inf:
            break  # each row left was a seed and found no company
        n_rounds += 1
        density[seed] = -np.inf
        center = rows[seed]
        for _ in range(_REFINEMENTS):
            members = np.flatnonzero(is_open & (rows @ center >= min_similarity))
            if not len(members):  # of a row of zeros, or where rounding decides
                break
            center = rows[members].mean(axis=0)
        if not len(members):
            continue
        is_open[members] = False
        density[members] = -np.inf
        if len(members) >= min_bin_size:
            labels[open_rows[members]] = len(centers)
            centers.append(center)
        density -= similarity_sums(rows, rows[members], min_similarity)
        if 2 * np.count_nonzero(is_open) < len(rows):
            open_rows, rows, density = open_rows[is_open], rows[is_open], density[is_open]
            is_open = np.ones(len(rows), dtype=bool)
    return Bins(labels, np.array(centers, dtype=X.dtype).reshape(-1, X.shape[1]), n_rounds)
