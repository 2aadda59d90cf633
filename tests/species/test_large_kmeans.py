import tracemalloc

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from sklearn.preprocessing import normalize

from dnaembed import KmerEmbedder, SpeciesClusterer
from dnaembed.datasets import load_demo_reads
from dnaembed.species import _clusterer, _large_kmeans
from dnaembed.species._large_kmeans import large_kmeans
from dnaembed.species._unit_rows import UnitRows
from tests.helpers.benchmarks import embedding_mixture


@pytest.fixture
def many(monkeypatch):
    """As if 1,000 rows were many."""
    monkeypatch.setattr(_clusterer, "LARGE_ROWS", 1000)
    monkeypatch.setattr(_large_kmeans, "_SAMPLE_ROWS", 800)


def inertia(X, labels, centers):
    return ((normalize(X) - centers[labels]) ** 2).sum()


def run(X, k=12, **options):
    options = {"init": "k-means++", "n_init": 3, "max_iter": 100, "tol": 1e-4} | options
    return large_kmeans(UnitRows(X), k, random_state=np.random.RandomState(0), **options)


def test_as_good_as_all_rows_at_once(many):
    X, y = embedding_mixture(6000, 48, 20, seed=2)
    sampled = SpeciesClusterer(20, random_state=0).fit(X)
    full = KMeans(20, n_init=10, max_iter=1000, random_state=0).fit(X)
    assert inertia(X, sampled.labels_, sampled.cluster_centers_) < 1.01 * full.inertia_
    truth = [adjusted_rand_score(y, labels) for labels in (sampled.labels_, full.labels_)]
    assert truth[0] > truth[1] - 0.05
    assert sampled.labels_.dtype == full.labels_.dtype
    assert sampled.cluster_centers_.dtype == np.float32
    assert sampled.n_iter_ > 1


def test_demo_reads(monkeypatch):
    monkeypatch.setattr(_large_kmeans, "_SAMPLE_ROWS", 60)
    reads = load_demo_reads()
    X = KmerEmbedder().fit_transform(reads.sequences)
    k = len(set(reads.labels))
    full = SpeciesClusterer(k, random_state=0).fit_predict(X)
    monkeypatch.setattr(_clusterer, "LARGE_ROWS", 10)
    sampled = SpeciesClusterer(k, random_state=0).fit_predict(X)
    scores = [adjusted_rand_score(reads.labels, labels) for labels in (sampled, full)]
    assert scores[0] > scores[1] - 0.1


def test_predict_agrees_with_fit(many):
    X, _ = embedding_mixture(3000, 32, 10)
    clusterer = SpeciesClusterer(10, random_state=0).fit(X)
    np.testing.assert_array_equal(clusterer.predict(X), clusterer.labels_)


def test_same_seed_same_clusters_whatever_the_blocks(many, monkeypatch):
    X, _ = embedding_mixture(3000, 32, 10)
    first = SpeciesClusterer(10, random_state=1).fit(X)
    np.testing.assert_array_equal(
        SpeciesClusterer(10, random_state=1).fit_predict(X), first.labels_
    )
    monkeypatch.setattr("dnaembed.species._kmedoid._BLOCK_BYTES", 10_000)
    blocks = SpeciesClusterer(10, random_state=1).fit(X)
    np.testing.assert_array_equal(blocks.labels_, first.labels_)
    np.testing.assert_allclose(blocks.cluster_centers_, first.cluster_centers_, atol=1e-5)
    np.testing.assert_array_equal(blocks.predict(X), first.labels_)


def test_up_to_the_size_all_rows_are_started_on(many):
    X, _ = embedding_mixture(1000, 16, 5)
    clusterer = SpeciesClusterer(5, random_state=0).fit(X)
    reference = KMeans(5, n_init=10, max_iter=1000, random_state=0).fit(normalize(X))
    np.testing.assert_array_equal(clusterer.labels_, reference.labels_)
    assert _large_kmeans.LARGE_ROWS == 100_000


def test_iterations_end():
    X, _ = embedding_mixture(2000, 16, 12)
    assert run(X, max_iter=1)[2] == 1
    assert run(X, tol=0)[2] < 100
    assert run(X, tol=1)[2] == 2


def test_centre_that_loses_its_rows_stays(monkeypatch):
    X = np.repeat(np.eye(3, dtype=np.float32), 4, axis=0)
    centers = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [-5, -5, -5]], dtype=np.float32)

    class Start:
        def __init__(self, *args, **options): ...

        def fit(self, X):
            self.cluster_centers_ = centers
            return self

    monkeypatch.setattr(_large_kmeans, "KMeans", Start)
    labels, found, _ = run(X, 4)
    assert labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    np.testing.assert_array_equal(found, centers)


def test_lengths_and_types_of_rows(many):
    X, _ = embedding_mixture(2000, 32, 5)
    expected = SpeciesClusterer(5, random_state=0).fit_predict(X)
    scaled = X.astype(np.float64) * np.random.default_rng(0).uniform(0.1, 10, (len(X), 1))
    for rows in (X.astype(np.float64), scaled, X.astype(np.float16)):
        clusterer = SpeciesClusterer(5, random_state=0).fit(rows)
        assert adjusted_rand_score(expected, clusterer.labels_) > 0.99
        assert clusterer.cluster_centers_.dtype == np.float32
        assert adjusted_rand_score(expected, clusterer.predict(rows)) > 0.99


def test_abundance_of_many(many):
    X, y = embedding_mixture(2000, 32, 6)
    coverage = np.exp(np.random.default_rng(0).normal(size=(6, 3)))[y]
    clusterer = SpeciesClusterer(6, random_state=0).fit(X, abundance=coverage)
    assert clusterer.cluster_centers_.shape == (6, 32 + 2 * 3)
    np.testing.assert_array_equal(clusterer.predict(X, abundance=coverage), clusterer.labels_)
    assert adjusted_rand_score(y, clusterer.labels_) > 0.8


def test_memory_mapped_rows_are_not_copied(many, tmp_path, monkeypatch):
    X, _ = embedding_mixture(20_000, 64, 10)
    np.save(tmp_path / "rows.npy", X)
    monkeypatch.setattr("dnaembed.species._kmedoid._BLOCK_BYTES", 1 << 16)
    rows = np.load(tmp_path / "rows.npy", mmap_mode="r")
    tracemalloc.start()
    clusterer = SpeciesClusterer(10, n_init=1, random_state=0).fit(rows)
    labels = clusterer.predict(rows)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < X.nbytes / 3
    assert np.mean(labels == clusterer.labels_) > 0.999  # but for ties within rounding
    np.testing.assert_array_equal(
        SpeciesClusterer(10, n_init=1, random_state=0).fit_predict(X), clusterer.labels_
    )
