"""Call a contig by the windows that it is cut into."""

from __future__ import annotations

import numpy as np


def vote(
    probabilities: np.ndarray, is_new: np.ndarray | None, lengths: np.ndarray, n_windows: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Call contigs by the mean probabilities of their windows, weighted by length.

    Parameters
    ----------
    probabilities : ndarray of shape (n_all_windows, n_classes)
        The windows of the first contig, then those of the second, and so on.
    is_new : ndarray of shape (n_all_windows,), default=None
        Whether a window is like no class.
    lengths : ndarray of shape (n_all_windows,)
    n_windows : ndarray of shape (n_contigs,)

    Returns
    -------
    codes : ndarray of shape (n_contigs,)
        Class of each contig; ``n_classes`` where most of the length is new.
    agreement : ndarray of shape (n_contigs,)
        Share of the length that is called as the contig is.
    probability : ndarray of shape (n_contigs,)
        Largest mean.
    """
    n_classes = probabilities.shape[1]
    owners = np.repeat(np.arange(len(n_windows)), n_windows)
    weights = lengths / np.bincount(owners, lengths)[owners]
    means = np.zeros((len(n_windows), n_classes))
    np.add.at(means, owners, probabilities * weights[:, None])
    calls, codes = probabilities.argmax(axis=1), means.argmax(axis=1)
    if is_new is not None:
        calls[is_new] = n_classes
        codes[np.bincount(owners, weights * is_new) > 0.5] = n_classes
    agreement = np.minimum(np.bincount(owners, weights * (calls == codes[owners])), 1)
    return codes, agreement, means.max(axis=1)
