"""Statistics of a k-mer profile model, in closed form: mean, scale, and linear discriminants."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import eigh

from ..backbones import KmerProfileBackbone, KmerProfileConfig, KmerProfileModel
from ..utils._progress import progress
from ._pairs import PairSource

UNUSED_STEP = 2**40  # of the source: from here on no training uses them
_SHRINKAGE = 0.3  # share of the diagonal in the covariance within species
_RIDGE = 1e-3


def fit_profile_statistics(
    backbone: KmerProfileBackbone, source: PairSource, *, n_batches: int = 40, n_pairs: int = 512
) -> None:
    """Set the mean and the scale of a k-mer profile model from pieces.

    Do it once, before training: the weights of the network belong to the statistics.

    Parameters
    ----------
    backbone : KmerProfileBackbone
        Changed in place; its linear part, if it has one, is set as `add_linear_part` does.
    source : PairSource
        Where pieces come from; for a linear part, labels must be known (or ValueError).
    n_batches, n_pairs : int, default=40, 512
        How many batches of how many pairs are drawn.
    """
    model = backbone.model
    with torch.no_grad():
        model.mean.zero_()
        model.scale.fill_(1.0)
        mean, covariance, _ = _moments(backbone, source, n_batches, n_pairs)
        variance = np.diag(covariance)
        model.mean.copy_(torch.from_numpy(mean))
        # A k-mer that never varies says nothing, and must not divide by zero.
        scale = np.where(variance > 1e-12, 1 / np.sqrt(np.maximum(variance, 1e-12)), 0.0)
        model.scale.copy_(torch.from_numpy(scale))
    if model.config.linear_size:
        _set_linear(backbone, source, n_batches, n_pairs)


def with_linear(
    config: KmerProfileConfig, *, size: int = 128, weight: float = 0.3, **_: Any
) -> KmerProfileConfig:
    """Return the sizes of a model with a linear part; raise if there are fewer k-mers than that."""
    sizes = replace(config, linear_size=size, linear_weight=weight)
    if size > sizes.n_columns:
        raise ValueError(f"The linear part can have {sizes.n_columns} columns, got {size}.")
    return sizes


def add_linear_part(
    backbone: KmerProfileBackbone,
    source: PairSource,
    *,
    size: int = 128,
    weight: float = 0.3,
    n_batches: int = 40,
    n_pairs: int = 512,
) -> KmerProfileBackbone:
    """Put linear discriminants beside the network of a trained k-mer profile model.

    A regularised linear discriminant analysis: the directions in which the profiles of species
    differ most, in units of how the pieces of one species differ. It takes seconds. Add it after
    training: a network trained beside it learns only what the linear part leaves.

    Parameters
    ----------
    backbone : KmerProfileBackbone
        A model, with a linear part or without; unchanged.
    source : PairSource
        Where pieces come from; all labels must be known (or ValueError).
    size : int, default=128
        Columns of the linear part.
    weight : float, default=0.3
        Its norm; the part of the network has norm one.
    n_batches, n_pairs : int, default=40, 512
        As in `fit_profile_statistics`.

    Returns
    -------
    KmerProfileBackbone
        A new model in evaluation mode, with copies of the weights.
    """
    old = backbone.model
    model = KmerProfileModel(with_linear(old.config, size=size, weight=weight))
    state = {name: value for name, value in old.state_dict().items() if name != "linear"}
    model.load_state_dict(state, strict=False)
    new = KmerProfileBackbone(model.eval())
    _set_linear(new, source, n_batches, n_pairs)
    return new


@torch.no_grad()
def _moments(
    backbone: KmerProfileBackbone, source: PairSource, n_batches: int, n_pairs: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64] | None]:
    """Return mean and covariance of profiles, and the covariance within labels if all are known."""
    model = backbone.model
    n = 0
    total = np.zeros(model.config.n_columns)
    products = np.zeros((len(total), len(total)))
    sums: dict[int, NDArray[np.float64]] = {}
    sizes: dict[int, int] = {}
    steps = range(UNUSED_STEP, UNUSED_STEP + n_batches)
    for step in progress(steps, description="Statistics", unit="batch"):
        batch = source.sample(step, n_pairs)
        counts = backbone.collate(backbone.featurize([*batch.view1, *batch.view2]))["counts"]
        rows = model.profile(counts.to(model.mean.device))[0].double().cpu().numpy()
        n += len(rows)
        total += rows.sum(axis=0)
        products += rows.T @ rows
        labels = [] if batch.labels is None else np.tile(batch.labels, 2).tolist()
        for label, row in zip(labels, rows, strict=False):
            if label >= 0:
                sizes[label] = sizes.get(label, 0) + 1
                sums[label] = sums.get(label, 0.0) + row
    mean = total / n
    within = None
    if len(sizes) > 1 and sum(sizes.values()) == n > len(sizes):
        scaled = np.array(list(sums.values())) / np.sqrt(list(sizes.values()))[:, np.newaxis]
        within = (products - scaled.T @ scaled) / (n - len(sizes))
    return mean, products / n - np.outer(mean, mean), within


def _set_linear(
    backbone: KmerProfileBackbone, source: PairSource, n_batches: int, n_pairs: int
) -> None:
    _, covariance, within = _moments(backbone, source, n_batches, n_pairs)
    if within is None:
        raise ValueError("A linear part needs the labels of all pairs, and two species or more.")
    size = backbone.model.config.linear_size
    directions = discriminants(within, covariance - within, size, _SHRINKAGE)
    with torch.no_grad():
        backbone.model.linear.copy_(torch.from_numpy(np.ascontiguousarray(directions.T)))


def discriminants(
    within: NDArray[np.float64], between: NDArray[np.float64], n_directions: int, shrinkage: float
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
