"""Shrunken linear discriminants as a transformer: the strongest baseline that is a closed form."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted, validate_data


class ShrunkenDiscriminants(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Project onto the directions in which classes differ most.

    In units of how the rows of one class differ, with the covariance within classes shrunken
    towards its diagonal. scikit-learn's `LinearDiscriminantAnalysis` estimates, and shrinks, a
    covariance for each class, which is slow and poor with a thousand classes of few rows.

    Parameters
    ----------
    n_components : int, default=128
        Directions; at most the number of columns.
    shrinkage : float, default=0.3
        Share of the diagonal in the covariance within classes, from 0 to 1.

    Attributes
    ----------
    mean_ : ndarray of shape (`n_features_in_`,)
        Mean of the rows that it was fitted on.
    scalings_ : ndarray of shape (`n_features_in_`, `n_components`)
        Directions, best first.
    n_features_in_ : int
        Columns.

    Examples
    --------
    >>> import numpy as np
    >>> from dnaembed.benchmark import ShrunkenDiscriminants
    >>> X = np.array([[0.0, 3.0], [0.1, -2.0], [1.0, -3.0], [1.1, 2.0]])
    >>> rows = ShrunkenDiscriminants(1).fit_transform(X, ["a", "a", "b", "b"])
    >>> bool(rows[:2].max() < rows[2:].min())
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "shrinkage": [Interval(Real, 0, 1, closed="both")],
    }

    def __init__(self, n_components: int = 128, *, shrinkage: float = 0.3) -> None:
        self.n_components = n_components
        self.shrinkage = shrinkage

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any) -> Self:
        """Find the directions.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,)
            Class of each; at least two classes, and one of two rows or more.

        Returns
        -------
        self : object
            The fitted transformer.
        """
        from dnaembed.training._fit_profile import discriminants

        X, y = validate_data(self, X, y, dtype=np.float64)
        classes, codes, counts = np.unique(y, return_inverse=True, return_counts=True)
        if len(classes) < 2:
            raise ValueError(f"At least two classes are required, got {len(classes)} class.")
        if len(X) == len(classes):
            raise ValueError("A class of two rows or more is required, got one row a class.")
        self.mean_ = X.mean(axis=0)
        sums = np.zeros((len(classes), X.shape[1]))
        centred = X - self.mean_
        np.add.at(sums, codes, centred)
        scaled = sums / np.sqrt(counts)[:, np.newaxis]
        products = centred.T @ centred
        within = (products - scaled.T @ scaled) / (len(X) - len(classes))
        if within.trace() <= np.finfo(np.float64).tiny:
            raise ValueError("Classes whose rows differ are required, got equal rows in each.")
        between = products / len(X) - within
        self.scalings_ = discriminants(within, between, self.n_components, self.shrinkage)
        self._n_features_out = self.scalings_.shape[1]
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Project rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, n_components), float64
            Their coordinates.
        """
        check_is_fitted(self)
        return (validate_data(self, X, dtype=np.float64, reset=False) - self.mean_) @ self.scalings_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.transformer_tags.preserves_dtype = []
        return tags
