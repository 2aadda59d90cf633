"""Statistics of a k-mer profile model, in closed form: mean, scale, and linear discriminants."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import eigh

from .._progress import progress
from ..backbones import KmerProfileBackbone
from ._pair_batch import PairSource

_RIDGE = 1e-3


def fit_profile_statistics(
    backbone: KmerProfileBackbone,
    source: PairSource,
    *,
    n_batches: int = 40,
    n_pairs: int = 512,
    first_step: int = 2**40,
    shrinkage: float = 0.3,
) -> None:
    """Set the mean, the scale and the linear map of a k-mer profile model from labelled pairs.

    The linear map is a regularised linear discriminant analysis: the directions in which the
    profiles of species differ most, in units of how the pieces of one species differ. It takes
    seconds, generalises to genera that were not seen, and is a good start to train a network
    beside.

    Parameters
    ----------
    backbone : KmerProfileBackbone
        Changed in place.
    source : PairSource
        Where pieces come from; its labels must be known for a linear map.
    n_batches, n_pairs : int, default=40, 512
        How many batches of how many pairs are drawn.
    first_step : int, default=2**40
        Steps of the source to draw from: none that training will use.
    shrinkage : float, default=0.3
        Share of the diagonal in the covariance within species, from 0 to 1.

    Raises
    ------
    ValueError
        If `shrinkage` is out of range, or there are no labels, or too few, for a linear map.
    """
    if not 0 <= shrinkage <= 1:
        raise ValueError(f"shrinkage must be from 0 to 1, got {shrinkage}.")
    model = backbone.model
    n_columns = model.config.n_columns
    with torch.no_grad():
        # So that the model's own code gives what it is standardised from.
        model.mean.zero_()
        model.scale.fill_(1.0)
    total = np.zeros(n_columns)
    products = np.zeros((n_columns, n_columns))
    by_label: dict[int, NDArray[np.float64]] = {}
    sizes: dict[int, int] = {}
    n = 0
    for step in progress(
        range(first_step, first_step + n_batches), description="Statistics", unit="batch"
    ):
        batch = source.sample(step, n_pairs)
        features = backbone.collate(backbone.featurize([*batch.view1, *batch.view2]))["counts"]
        roots = model.profile(features.to(model.mean.device))[0].double().cpu().numpy()
        n += len(roots)
        total += roots.sum(axis=0)
        products += roots.T @ roots
        if batch.labels is not None:
            for label, root in zip(np.tile(batch.labels, 2).tolist(), roots, strict=True):
                if label >= 0:
                    sizes[label] = sizes.get(label, 0) + 1
                    by_label[label] = by_label.get(label, 0) + root  # type: ignore[operator]
    mean = total / n
    covariance = products / n - np.outer(mean, mean)
    scale = 1.0 / np.sqrt(np.maximum(np.diag(covariance), 1e-12))
    with torch.no_grad():
        model.mean.copy_(torch.from_numpy(mean))
        model.scale.copy_(torch.from_numpy(scale))
        if model.config.linear_size:
            sums = np.array(list(by_label.values()))
            counts = np.array(list(sizes.values()))
            if counts.sum() != n or len(counts) <= 1:
                raise ValueError("A linear map needs labels of all pairs, and at least two.")
            means = (sums / np.sqrt(counts)[:, np.newaxis]).astype(np.float64)
            within = (products - means.T @ means) / (n - len(counts))
            directions = discriminants(
                within, covariance - within, model.config.linear_size, shrinkage
            )
            model.linear.copy_(torch.from_numpy(directions.T / scale))


def discriminants(
    within: NDArray[np.float64],
    between: NDArray[np.float64],
    n_directions: int,
    shrinkage: float,
) -> NDArray[np.float64]:
    """Return the directions of the largest ratio of two covariances, best first, in columns."""
    size = len(within)
    if n_directions > size:
        raise ValueError(f"{n_directions} directions do not exist among {size} columns.")
    diagonal = np.diag(within)
    regular = (1 - shrinkage) * within + np.diag(shrinkage * diagonal + _RIDGE * diagonal.mean())
    _, vectors = eigh(between, regular, subset_by_index=[size - n_directions, size - 1])
    vectors = vectors[:, ::-1]
    # The sign of an eigenvector is arbitrary: the largest entry becomes positive.
    largest = np.abs(vectors).argmax(axis=0)
    return np.asarray(vectors * np.sign(vectors[largest, np.arange(n_directions)]))
