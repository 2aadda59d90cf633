"""UMAP: neighbours stay neighbours."""

import numpy as np
from sklearn.manifold import trustworthiness

from dnaembed.utils._umap import umap


def test_neighbours_by_cosine_stay_neighbours():
    random = np.random.default_rng(0)
    rows = np.repeat(random.standard_normal((12, 30)), 25, axis=0) + random.random((300, 30))
    start = random.random((300, 2))
    points, again, other = (umap(rows * np.arange(1, 301)[:, None], start, s) for s in (0, 0, 1))
    np.testing.assert_array_equal(points, again)
    assert (points != other).any()
    kept = [trustworthiness(rows, at, n_neighbors=10, metric="cosine") for at in (start, points)]
    assert kept[1] > 0.98  # umap-learn: 0.99


def test_equal_rows_and_rows_of_zeros():
    rows = np.repeat(np.eye(3), 20, axis=0)
    rows[0] = 0
    assert np.isfinite(umap(rows, rows[:, :2], 0)).all()
    assert umap(rows[:2], rows[18:20, 1:], 0).shape == (2, 2)
