"""Rivals of the model: TNF-K; from labelled reads, shrunken discriminants and the network of 2024.

Celikkanat, Masegosa, Nielsen, "Revisiting K-mer Profile for Effective and Scalable Genome
Representation Learning", NeurIPS 2024. arXiv:2411.02125.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from typing import Any, Self

import numpy as np
import torch
from scipy.linalg import null_space
from sklearn.base import BaseEstimator, TransformerMixin
from torch import nn

from dnaembed._sequences import check_sequences, reverse_complement
from dnaembed.composition import kmer_counts
from dnaembed.embedding._kmer_embedder import KmerEmbedder
from dnaembed.training._fit_profile import discriminants
from dnaembed.utils._randomness import seeded

# The paper draws 200 negatives per positive; here all pairs of different species in a batch count,
# with the weight of 200. There are 264 thousand parameters, as in the paper.
_SIZES = (256, 512, 256)
_N_NEGATIVES = 200.0
_LEARNING_RATE = 1e-3
_DROPOUT = 0.2
_LEAST_DISTANCE = 1e-6  # squared: log(1 - exp(-d)) has no value at 0
_ROWS = 8192


class TnfK(TransformerMixin, BaseEstimator):
    """Project k-mer frequencies of the given strand onto the directions of `tnf_k_basis`."""

    def __init__(self, k: int = 4) -> None:
        self.k = k

    def fit(self, X: Any, y: Any = None) -> Self:
        """Do nothing: there is nothing to learn."""
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Embed sequences; one without k-mers as zeros."""
        counts = kmer_counts(check_sequences(X), self.k, canonical=False)
        frequencies = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        return (frequencies @ tnf_k_basis(self.k)).astype(np.float32)

    def __sklearn_is_fitted__(self) -> bool:
        return True


@lru_cache(maxsize=4)
def tnf_k_basis(k: int = 4) -> np.ndarray:
    """Return an orthonormal basis of the free directions of k-mer frequencies.

    The frequencies of a long double-stranded molecule obey linear laws: they add up to one, a
    k-mer is as frequent as its reverse complement, and each (k-1)-mer begins as many k-mers as it
    ends. What is left has 103 dimensions for tetranucleotides (TNF-K; Kislyuk et al., BMC
    Bioinformatics 2009, 10:316).

    Parameters
    ----------
    k : int, default=4
        Length of the k-mers, from 2 to 6.

    Returns
    -------
    ndarray of shape (4**k, n_free), float64
        Rows in A, C, G, T order, as the columns of ``kmer_counts(..., canonical=False)``;
        read-only.
    """
    kmers = ["".join(letters) for letters in product("ACGT", repeat=k)]
    column = {kmer: i for i, kmer in enumerate(kmers)}
    n = len(kmers)
    laws = np.zeros((1 + n + n // 4, n))
    laws[0] = 1
    for row, kmer in enumerate(kmers, 1):
        laws[row, column[kmer]] += 1
        laws[row, column[reverse_complement(kmer)]] -= 1
    for row, stem in enumerate(kmers[::4], 1 + n):  # without their last letter, an A
        for base in "ACGT":
            laws[row, column[base + stem[:-1]]] += 1
            laws[row, column[stem[:-1] + base]] -= 1
    basis = _settle(null_space(laws))
    basis.setflags(write=False)
    return basis


def _settle(basis: np.ndarray) -> np.ndarray:
    """Choose one basis of a space, whatever rotation the linear algebra library returned.

    The projector onto the space is unique; Gram-Schmidt over its columns in their own order gives
    the same basis everywhere.
    """
    projector = basis @ basis.T
    chosen = np.empty_like(basis)
    found = 0
    for candidate in projector.T:
        rest = candidate.copy()
        for _ in range(2):  # twice is enough for full orthogonality
            rest -= chosen[:, :found] @ (chosen[:, :found].T @ rest)
        norm = np.linalg.norm(rest)
        if norm > 1e-6:
            chosen[:, found] = rest / norm
            found += 1
            if found == basis.shape[1]:
                break
    return chosen


class ShrunkenDiscriminants(TransformerMixin, BaseEstimator):
    """Project onto the directions in which classes differ most.

    In units of how the rows of one class differ, with the covariance within classes shrunken
    towards its diagonal. scikit-learn's `LinearDiscriminantAnalysis` estimates, and shrinks, a
    covariance for each class, which is slow and poor with a thousand classes of few rows.
    """

    def __init__(self, n_components: int = 128, *, shrinkage: float = 0.3) -> None:
        self.n_components = n_components
        self.shrinkage = shrinkage

    def fit(self, X: Any, y: Any) -> Self:
        """Find the directions."""
        X = np.asarray(X, dtype=np.float64)
        classes, codes, counts = np.unique(y, return_inverse=True, return_counts=True)
        self.mean_ = X.mean(axis=0)
        sums = np.zeros((len(classes), X.shape[1]))
        centred = X - self.mean_
        np.add.at(sums, codes, centred)
        scaled = sums / np.sqrt(counts)[:, np.newaxis]
        products = centred.T @ centred
        within = (products - scaled.T @ scaled) / (len(X) - len(classes))
        between = products / len(X) - within
        self.scalings_ = discriminants(within, between, self.n_components, self.shrinkage)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Project rows."""
        return (np.asarray(X, dtype=np.float64) - self.mean_) @ self.scalings_


class KmerNet(TransformerMixin, BaseEstimator):
    """Embed sequences with a small network on tetranucleotide frequencies.

    Two layers (batch normalisation, sigmoid and dropout between them) are trained so that
    ``exp(-d^2)``, with d the distance of two embeddings, is the probability that two sequences are
    of one species.
    """

    def __init__(
        self, n_epochs: int = 100, *, batch_size: int = 256, random_state: int = 0
    ) -> None:
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> Self:
        """Train the network."""
        _, codes, counts = np.unique(y, return_inverse=True, return_counts=True)
        # A sequence without a partner makes no pair.
        paired = np.flatnonzero(counts[codes] > 1)
        sequences = check_sequences(X)
        rows = torch.from_numpy(_profiles([sequences[i] for i in paired]))
        rng = np.random.default_rng(self.random_state)
        with seeded(self.random_state, torch.device("cpu")):
            self.net_ = nn.Sequential(
                nn.Linear(*_SIZES[:2]),
                nn.BatchNorm1d(_SIZES[1]),
                nn.Sigmoid(),
                nn.Dropout(_DROPOUT),
                nn.Linear(*_SIZES[1:]),
            ).train()
            optimizer = torch.optim.Adam(self.net_.parameters(), lr=_LEARNING_RATE)
            self.losses_ = [
                self._train_epoch(rows, codes[paired], optimizer, rng) for _ in range(self.n_epochs)
            ]
        self.net_.eval()
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Embed sequences."""
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
            loss = bernoulli_loss(z[: len(part)], z[len(part) :], labels, _N_NEGATIVES)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        return float(np.mean(losses))


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
