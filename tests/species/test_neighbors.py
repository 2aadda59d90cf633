import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import adjusted_rand_score

from dnaembed import SpeciesClusterer
from dnaembed.species import _neighbors
from dnaembed.species._neighbors import (
    approximate_neighbors,
    find_neighbors,
    nearest_neighbors,
    own_similarity_sums,
    similarity_sums,
)
from tests.helpers.benchmarks import embedding_mixture


def recall(found, exact):
    shared = [len(np.intersect1d(a, b)) for a, b in zip(found, exact, strict=True)]
    return np.sum(shared) / exact.size


# Small whole numbers have exact products, and many ties.
@settings(max_examples=60)
@given(
    X=arrays(
        st.sampled_from([np.float32, np.float64]),
        st.tuples(st.integers(2, 23), st.integers(1, 3)),
        elements=st.integers(-3, 3),
    ),
    n_neighbors=st.integers(1, 22),
    tile=st.integers(1, 30),
)
def test_neighbors_are_the_first_of_the_most_similar(X, n_neighbors, tile):
    n_neighbors = min(n_neighbors, len(X) - 1)
    products = (X @ X.T).astype(float)
    np.fill_diagonal(products, -np.inf)
    expected = np.argsort(-products, axis=1, kind="stable")[:, :n_neighbors]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_neighbors, "_TILE", tile)
        indices, similarities = nearest_neighbors(X, n_neighbors)
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_array_equal(similarities, np.take_along_axis(products, expected, axis=1))
    assert similarities.dtype == X.dtype


@settings(max_examples=30)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 40),
    min_similarity=st.floats(-0.5, 1, width=32),
    tile=st.integers(1, 50),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_sums_do_not_depend_on_tiles(seed, n, min_similarity, tile, dtype):
    # Of whole numbers, products are exact, and some are equal to the threshold.
    X = (np.random.default_rng(seed).integers(-8, 8, size=(n, 3)) / 8).astype(dtype)
    products = X @ X.T
    expected = np.where(products >= min_similarity, products, 0).sum(axis=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_neighbors, "_TILE", tile)
        np.testing.assert_allclose(own_similarity_sums(X, min_similarity), expected, atol=1e-5)
    np.testing.assert_allclose(similarity_sums(X, X, min_similarity), expected, atol=1e-5)


def test_approximate_neighbors_are_nearly_the_exact_ones():
    X, y = embedding_mixture(3000, 64, 20, seed=1)
    exact, _ = nearest_neighbors(X, 15)
    found, products = approximate_neighbors(X, 15, np.random.RandomState(0))
    assert recall(found, exact) > 0.95
    assert (found != np.arange(len(X))[:, None]).all()
    assert (np.diff(products, axis=1) <= 0).all()
    rows = np.arange(len(X))[:, None]
    np.testing.assert_allclose(products, (X[rows] * X[found]).sum(axis=2), atol=1e-6)
    again, _ = approximate_neighbors(X, 15, np.random.RandomState(0))
    np.testing.assert_array_equal(found, again)
    ways = [SpeciesClusterer(neighbors=how, random_state=0) for how in ("exact", "approximate")]
    bins = [way.fit_predict(X) for way in ways]
    scores = [adjusted_rand_score(y[b >= 0], b[b >= 0]) for b in bins]
    assert scores[0] == pytest.approx(scores[1], abs=0.05)


@pytest.mark.parametrize("X", [np.ones((30, 4)), np.eye(30), np.repeat(np.eye(9), 20, axis=0)])
def test_approximate_neighbors_of_odd_rows(X):
    n_neighbors = min(5, len(X) - 1)
    indices, similarities = approximate_neighbors(X, n_neighbors, np.random.RandomState(0))
    assert indices.shape == similarities.shape == (len(X), n_neighbors)
    assert ((indices >= 0) & (indices < len(X))).all()
    assert np.isfinite(similarities).all()


@pytest.mark.parametrize(
    ("n", "how", "expected"),
    [
        (10, "auto", "exact"), (11, "auto", "few"), (11, "exact", "exact"),
        (9, "approximate", "few"), (5, "approximate", "exact"),
    ],
)  # fmt: skip
def test_auto_is_exact_up_to_a_size(n, how, expected, monkeypatch):
    monkeypatch.setattr(_neighbors, "EXACT_ROWS", 10)
    monkeypatch.setattr(_neighbors, "_TILE", 5)
    monkeypatch.setattr(_neighbors, "nearest_neighbors", lambda *_: "exact")
    monkeypatch.setattr(_neighbors, "approximate_neighbors", lambda *_: "few")
    assert find_neighbors(np.ones((n, 2)), 1, how=how, random_state=None) == expected
