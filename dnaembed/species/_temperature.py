"""Temperature scaling: probabilities that are as often right as they say."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.base import clone

_MAX_FOLDS = 5
_LOG_RANGE = (-3.0, 5.0)


def fit_temperature(classifier: Any, X: np.ndarray, y: np.ndarray) -> float:
    """Choose the temperature by the likelihood of reads that the classifier has not seen.

    Reads of each species are dealt out to (at most five) folds in turn, so that a species with
    two reads or more is in the training part of each fold; one with a single read always is, and
    is not judged. One number is all that so few reads can teach.

    Parameters
    ----------
    classifier : classifier
        Clones of it are fitted; has ``predict_proba``.
    X : ndarray of shape (n_samples, n_features)
    y : ndarray of shape (n_samples,)

    Returns
    -------
    float
        What logarithms of probabilities are divided by; 1 where no species has two reads.

    References
    ----------
    .. [1] Guo et al., "On calibration of modern neural networks", ICML 2017.
    """
    _, codes, counts = np.unique(y, return_inverse=True, return_counts=True)
    if counts.max() < 2:
        return 1.0
    n_folds = min(_MAX_FOLDS, int(counts.max()))
    folds = np.empty(len(y), dtype=np.intp)
    for code, count in enumerate(counts):
        folds[codes == code] = np.arange(count) % n_folds if count > 1 else -1
    logits, truths = [], []
    for fold in range(n_folds):
        held_out = folds == fold
        fitted = clone(classifier).fit(X[~held_out], y[~held_out])
        logits.append(log_probabilities(fitted, X[held_out]))
        truths.append(codes[held_out])
    found, truth = np.concatenate(logits), np.concatenate(truths)
    rows = np.arange(len(truth))

    def loss(log_temperature: float) -> float:
        return -float(log_softmax(found / np.exp(log_temperature), axis=1)[rows, truth].mean())

    best = minimize_scalar(loss, bounds=_LOG_RANGE, method="bounded")
    return float(np.exp(best.x))


def log_probabilities(classifier: Any, X: np.ndarray) -> np.ndarray:
    """Logarithms of the classifier's probabilities, finite where these are 0."""
    if hasattr(classifier, "predict_log_proba"):
        found = classifier.predict_log_proba(X)
    else:
        with np.errstate(divide="ignore"):
            found = np.log(classifier.predict_proba(X))
    return np.maximum(found, -700.0)
