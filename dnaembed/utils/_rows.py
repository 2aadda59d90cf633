"""Rows of unit length, whatever their length was."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.preprocessing import normalize


def unit_length(X: Any) -> np.ndarray:
    """Scale rows to unit length; rows of zeros stay as they are.

    As `sklearn.preprocessing.normalize`, but for rows whose squares are too large or too small for
    their type, such as half precision: that one makes zeros of them,
    or leaves them as they are.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Finite.

    Returns
    -------
    ndarray of shape (n_samples, n_features)
        A new array, in the floating type of `X`.
    """
    rows: np.ndarray = normalize(X)
    odd = np.abs(np.einsum("ij,ij->i", rows, rows) - 1) > 1e-3
    if odd.any():
        given = np.asarray(X)[odd].astype(np.float64)
        largest = np.abs(given).max(axis=1, keepdims=True)
        rows[odd] = normalize(given / np.where(largest > 0, largest, 1))
    return rows
