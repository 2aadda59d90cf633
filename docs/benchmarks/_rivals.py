"""Rivals that learn from labelled reads: shrunken discriminants, and the k-mer network of 2024."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.utils import check_consistent_length, check_random_state, column_or_1d
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import nn

from dnaembed._sequences import check_sequences
from dnaembed.embedding._kmer_embedder import KmerEmbedder
from dnaembed.embedding._mixin import SequenceTransformerMixin
from dnaembed.training._fit_profile import discriminants
from dnaembed.utils._progress import progress
from dnaembed.utils._randomness import seeded

_DROPOUT = 0.2
_LEAST_DISTANCE = 1e-6  # squared: log(1 - exp(-d)) has no value at 0
_ROWS = 8192


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


class KmerNet(SequenceTransformerMixin, BaseEstimator):
    """Embed sequences with a small network on tetranucleotide frequencies.

    Two layers (256 frequencies, `hidden_size`, `embedding_size`; batch normalisation, sigmoid and
    dropout between them) are trained so that ``exp(-d^2)``, with d the distance of two embeddings,
    is the probability that two sequences are of one species.

    Parameters
    ----------
    hidden_size : int, default=512
        Units of the hidden layer.
    embedding_size : int, default=256
        Columns of the embedding.
    n_epochs : int, default=100
        How often each sequence is the first of a pair.
    batch_size : int, default=256
        Pairs a step.
    n_negatives : float, default=200
        Weight of the pairs of two species against those of one.
    learning_rate : float, default=1e-3
        Of Adam.
    random_state : int, RandomState instance or None, default=None
        Weights, pairs and dropout.

    Attributes
    ----------
    net_ : torch.nn.Module
        The network.
    losses_ : list of float
        Mean loss of each epoch.

    Notes
    -----
    The paper draws 200 negatives for each positive; here all pairs of different species in a
    batch count, with the weight of 200. Pairs in a batch that are of one species by chance are no
    negatives. With the default sizes there are 264 thousand parameters, as in the paper.

    References
    ----------
    .. [1] Celikkanat, Masegosa, Nielsen, "Revisiting K-mer Profile for Effective and Scalable
       Genome Representation Learning", NeurIPS 2024. arXiv:2411.02125.
    """

    _parameter_constraints: ClassVar[dict] = {
        "hidden_size": [Interval(Integral, 1, None, closed="left")],
        "embedding_size": [Interval(Integral, 1, None, closed="left")],
        "n_epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 2, None, closed="left")],
        "n_negatives": [Interval(Real, 0, None, closed="neither")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        hidden_size: int = 512,
        embedding_size: int = 256,
        *,
        n_epochs: int = 100,
        batch_size: int = 256,
        n_negatives: float = 200,
        learning_rate: float = 1e-3,
        random_state: Any = None,
    ) -> None:
        self.hidden_size = hidden_size
        self.embedding_size = embedding_size
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.n_negatives = n_negatives
        self.learning_rate = learning_rate
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any) -> Self:
        """Train the network.

        Parameters
        ----------
        X : iterable of str of length n_samples
            DNA sequences.
        y : array-like of shape (n_samples,)
            Species; at least two, and at least two with two sequences or more.

        Returns
        -------
        self : object
            The fitted embedder.
        """
        sequences = check_sequences(X)
        if y is None:
            raise ValueError("KmerNet requires y to be passed, but the target y is None.")
        y = column_or_1d(y)
        check_consistent_length(sequences, y)
        _, codes, counts = np.unique(y, return_inverse=True, return_counts=True)
        if np.count_nonzero(counts > 1) < 2:
            raise ValueError("At least two species with two sequences or more are required.")
        # A sequence without a partner makes no pair.
        paired = np.flatnonzero(counts[codes] > 1)
        rows = torch.from_numpy(_profiles([sequences[i] for i in paired]))
        random_state = check_random_state(self.random_state)
        rng = np.random.default_rng(random_state.randint(2**31))
        self.losses_ = []
        with seeded(int(random_state.randint(2**31)), torch.device("cpu")):
            self.net_ = _network(self.hidden_size, self.embedding_size).train()
            optimizer = torch.optim.Adam(self.net_.parameters(), lr=self.learning_rate)
            epochs = range(self.n_epochs)
            for _ in progress(epochs, description="k-mer network", unit="epoch"):
                self.losses_.append(self._train_epoch(rows, codes[paired], optimizer, rng))
        self.net_.eval()
        self._n_features_out = self.embedding_size
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Embed sequences.

        Parameters
        ----------
        X : iterable of str of length n_samples
            DNA sequences.

        Returns
        -------
        ndarray of shape (n_samples, embedding_size), float32
            One row a sequence.
        """
        check_is_fitted(self)
        rows = torch.from_numpy(_profiles(check_sequences(X)))
        with torch.inference_mode():
            return torch.cat([self.net_(part) for part in rows.split(_ROWS)]).numpy()

    def _train_epoch(
        self,
        rows: torch.Tensor,
        codes: np.ndarray,
        optimizer: torch.optim.Optimizer,
        rng: np.random.Generator,
    ) -> float:
        first, second = _pairs(codes, rng)
        losses = []
        n_batches = max(1, len(first) // self.batch_size)  # the rest waits for the next epoch
        for part in np.array_split(np.arange(len(first)), n_batches):
            labels = torch.from_numpy(codes[first[part]])
            z = self.net_(rows[torch.from_numpy(np.concatenate([first[part], second[part]]))])
            loss = bernoulli_loss(z[: len(part)], z[len(part) :], labels, self.n_negatives)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        return float(np.mean(losses))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags


def bernoulli_loss(
    z1: torch.Tensor, z2: torch.Tensor, labels: torch.Tensor, n_negatives: float
) -> torch.Tensor:
    """Return the mean negative log-likelihood of which pairs are of one species.

    Pair i is row i of both; rows of `z1` and `z2` with different labels are the negatives, and
    count `n_negatives` times as much as the positives together.
    """
    # Not torch.cdist: its gradient is undefined where two rows are equal.
    products = z1 @ z2.T
    squared = (z1**2).sum(1)[:, None] + (z2**2).sum(1) - 2 * products
    squared = squared.clamp_min(_LEAST_DISTANCE)
    positive = squared.diagonal().mean()
    different = (labels[:, None] != labels).to(squared.dtype)
    negative = -(torch.log(-torch.expm1(-squared)) * different).sum() / different.sum().clamp_min(1)
    return (positive + n_negatives * negative) / (1 + n_negatives)


def _network(hidden_size: int, embedding_size: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(256, hidden_size),
        nn.BatchNorm1d(hidden_size),
        nn.Sigmoid(),
        nn.Dropout(_DROPOUT),
        nn.Linear(hidden_size, embedding_size),
    )


def _profiles(sequences: list[str]) -> np.ndarray:
    return KmerEmbedder(method="raw").fit_transform(sequences)


def _pairs(codes: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Give each row another one of its label as partner, in random order of pairs."""
    order = rng.permutation(len(codes))
    order = order[np.argsort(codes[order], kind="stable")]
    # Within a label the partner is the next one, of the last the first.
    ends = np.flatnonzero(np.diff(codes[order], append=-1))
    starts = np.concatenate(([0], ends[:-1] + 1))
    following = np.arange(1, len(order) + 1)
    following[ends] = starts
    shuffled = rng.permutation(len(order))
    return order[shuffled], order[following][shuffled]
