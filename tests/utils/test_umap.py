"""UMAP: neighbours stay neighbours."""

import numpy as np
import pytest
from sklearn.manifold import trustworthiness

from dnaembed.utils._umap import umap


@pytest.fixture(scope="module")
def rows():
    random = np.random.default_rng(0)
    return np.repeat(random.standard_normal((12, 30)), 25, axis=0) + random.random((300, 30))


def test_neighbours_by_cosine_stay_neighbours(rows):
    start = np.random.default_rng(1).random((300, 2))
    points = umap(rows * np.arange(1, 301)[:, None], start, 0)
    far, near = (
        trustworthiness(rows, at, n_neighbors=10, metric="cosine") for at in (start, points)
    )
    assert far < 0.6
    assert near > 0.98  # umap-learn: 0.99
    centers = points.reshape(12, 25, 2).mean(axis=1)
    nearest = np.linalg.norm(points[:, None] - centers, axis=2).argmin(axis=1)
    assert (nearest == np.repeat(range(12), 25)).mean() > 0.98


def test_a_seed_gives_the_same_points(rows):
    one, two, other = (umap(rows, rows[:, :2], seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()


def test_equal_rows_and_rows_of_zeros():
    rows = np.repeat(np.eye(3), 20, axis=0)
    rows[0] = 0
    assert np.isfinite(umap(rows, rows[:, :2], 0)).all()
    assert umap(rows[:2], rows[18:20, 1:], 0).shape == (2, 2)
