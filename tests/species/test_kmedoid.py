import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import adjusted_rand_score
from sklearn.metrics.cluster import contingency_matrix
from sklearn.preprocessing import normalize

from dnaembed.species._kmedoid import modified_kmedoid
from dnaembed.species._neighbors import nearest_neighbors
from dnaembed.utils import _rows

DATA = Path(__file__).parents[1] / "data"


def same_bins(a, b):
    """Whether two labelings differ by the names of the bins only (-1 is not a name)."""
    one_to_one = (contingency_matrix(a, b) > 0).sum(axis=0).max() == 1
    one_to_one &= (contingency_matrix(a, b) > 0).sum(axis=1).max() == 1
    return bool(one_to_one and ((a == -1) == (b == -1)).all())


def dense_kmedoid(X, min_similarity, min_bin_size, max_iter):
    """The definition, step by step, with all similarities at hand."""
    similarities = X @ X.T
    similarities[similarities < min_similarity] = 0
    density = similarities.sum(axis=1)
    bins = np.full(len(X), -1)
    for number in range(max_iter):
        if (bins >= 0).all() or density.max() <= -100:
            break
        seed = density.argmax()
        density[seed] = -100
        center = X[seed]
        for _ in range(3):
            taken = np.flatnonzero((bins < 0) & (X @ center >= min_similarity))
            if not len(taken):
                break
            center = X[taken].mean(axis=0)
        bins[taken] = number
        density -= similarities[:, taken].sum(axis=1)
        density[taken] = -100
    for number in np.unique(bins):
        if np.count_nonzero(bins == number) < min_bin_size:
            bins[bins == number] = -1
    return bins


@pytest.mark.parametrize("block_bytes", [4096, 1 << 26])
@pytest.mark.parametrize("case", range(3))
def test_bins_of_the_reference(case, block_bytes, monkeypatch):
    monkeypatch.setattr(_rows, "_BLOCK_BYTES", block_bytes)
    golden = np.load(DATA / "binning.npz")
    X, least, size = (golden[f"{case}_{name}"] for name in ("X", "min_similarity", "min_bin_size"))
    bins = modified_kmedoid(X, least, min_bin_size=int(size), max_iter=1000)
    assert same_bins(bins.labels, golden[f"{case}_labels"])
    assert len(bins.centers) == len(np.unique(golden[f"{case}_labels"])) - 1


@settings(max_examples=50)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_species=st.integers(1, 8),
    spread=st.floats(0.1, 2.0),
    min_similarity=st.floats(0.05, 0.95),
    min_bin_size=st.integers(1, 6),
    max_iter=st.sampled_from([1, 3, 1000]),
)
def test_equals_the_dense_definition(
    seed, n_species, spread, min_similarity, min_bin_size, max_iter
):
    if max_iter < 1000:
        # Rows like no other all have density 1, so rounding decides which of them comes last.
        min_bin_size = max(min_bin_size, 2)
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(n_species, 6))
    X = normalize(centers[rng.integers(n_species, size=80)] + spread * rng.normal(size=(80, 6)))
    bins = modified_kmedoid(X, min_similarity, min_bin_size=min_bin_size, max_iter=max_iter)
    assert same_bins(bins.labels, dense_kmedoid(X, min_similarity, min_bin_size, max_iter))
    for number, center in enumerate(bins.centers):
        np.testing.assert_allclose(center, X[bins.labels == number].mean(axis=0), atol=1e-12)


@settings(max_examples=50)
@given(
    X=arrays(
        np.float32, st.tuples(st.integers(1, 25), st.integers(1, 3)), elements=st.integers(-2, 2)
    ),
    min_similarity=st.floats(0, 1),
    min_bin_size=st.integers(1, 30),
)
def test_any_rows_give_consecutive_bins_of_the_size_asked_for(X, min_similarity, min_bin_size):
    bins = modified_kmedoid(normalize(X), min_similarity, min_bin_size=min_bin_size, max_iter=1000)
    assert bins.labels.shape == (len(X),)
    assert np.isfinite(bins.centers).all()
    assert (bins.centers.dtype, bins.centers.shape[1]) == (X.dtype, X.shape[1])
    assert set(bins.labels) - {-1} == set(range(len(bins.centers)))
    sizes = np.bincount(bins.labels[bins.labels >= 0])
    assert (sizes >= min_bin_size).all()
    assert 1 <= bins.n_rounds <= len(X)


def test_the_threshold_itself_is_similar_enough_and_rows_of_zeros_each_are_a_round():
    X = np.array([[1.0, 0], [0.6, 0.8]])
    assert modified_kmedoid(X, 0.6, min_bin_size=1, max_iter=9).labels.tolist() == [0, 0]
    X = np.array([[0.0, 0], [1, 0], [0, 0], [0, 1], [0, 0]])
    bins = modified_kmedoid(X, 0.5, min_bin_size=1, max_iter=9)
    assert bins.labels.tolist() == [-1, 0, -1, 1, -1]
    assert bins.n_rounds == 5
    assert modified_kmedoid(X, 0.5, min_bin_size=1, max_iter=4).n_rounds == 4


def test_memory_does_not_grow_with_the_square():
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(60, 32))
    y = rng.integers(60, size=12_000)
    X = normalize(centers[y] + 0.2 * rng.normal(size=(12_000, 32))).astype(np.float32)
    tracemalloc.start()
    bins = modified_kmedoid(X, 0.7, min_bin_size=10, max_iter=1000)
    nearest_neighbors(X, 3)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert adjusted_rand_score(y, bins.labels) > 0.95
    assert peak < 0.25 * 4 * len(X) ** 2
