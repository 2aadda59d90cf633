import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, normalize
from sklearn.utils.estimator_checks import parametrize_with_checks

from dnaembed import KmerEmbedder, SpeciesClusterer
from dnaembed.species import _clusterer
from dnaembed.species._abundance import abundance_share, fit_abundance_scale
from dnaembed.species._graph import Sizes, join_pieces, neighbor_graph, separation_of_bins
from dnaembed.species._neighbors import nearest_neighbors
from tests.helpers.benchmarks import embedding_mixture

DATA = Path(__file__).parents[1] / "data"


def species_mixture(n_species, n_features, spread, *, sizes=(10, 60)):
    """Rows around random directions, in unequal numbers."""
    rng = np.random.default_rng(0)
    centers = normalize(rng.normal(size=(n_species, n_features)))
    genera = rng.normal(size=(max(2, n_species // 4), n_features))
    rng.integers(len(genera), size=n_species)  # not needed any more: the rows stay as they were
    y = np.repeat(np.arange(n_species), rng.integers(*sizes, size=n_species))
    noise = rng.normal(size=(len(y), n_features)) * spread / np.sqrt(n_features)
    return (centers[y] + noise).astype(np.float32), y


def reads_of(genomes, n, length=300, seed=0):
    """Reads of made-up genomes that differ in how often they use each base."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(genomes)), n)
    return ["".join(rng.choice(list("ACGT"), length, p=genomes[i])) for i in y], y


GENOMES = ([0.7, 0.1, 0.1, 0.1], [0.1, 0.4, 0.4, 0.1], [0.45, 0.05, 0.45, 0.05])


@parametrize_with_checks([SpeciesClusterer(), SpeciesClusterer(min_similarity=0.5)])
def test_sklearn_checks(estimator, check):
    check(estimator)


# --- K-means ---


def test_kmeans_protocol_of_the_paper():
    X, _ = species_mixture(12, 16, 0.8)
    clusterer = SpeciesClusterer(12, init="random", n_init=3, max_iter=1000, random_state=3)
    reference = KMeans(12, init="random", n_init=3, max_iter=1000, random_state=3)
    np.testing.assert_array_equal(clusterer.fit_predict(X), reference.fit_predict(normalize(X)))
    np.testing.assert_array_equal(clusterer.cluster_centers_, reference.cluster_centers_)
    assert clusterer.n_iter_ == reference.n_iter_
    assert clusterer.n_clusters_ == 12
    np.testing.assert_array_equal(clusterer.predict(X), clusterer.labels_)


def test_kmeans_of_equal_rows():
    with pytest.warns(ConvergenceWarning, match="distinct clusters"):
        clusterer = SpeciesClusterer(3, random_state=0).fit(np.ones((5, 4)))
    assert (clusterer.labels_ == 0).all()


# --- K-means on many rows, as if 1,000 were many ---


@pytest.fixture
def many(monkeypatch):
    monkeypatch.setattr(_clusterer, "LARGE_ROWS", 1000)
    monkeypatch.setattr(_clusterer, "_START_ROWS", 800)
    monkeypatch.setattr(_clusterer, "_BATCH_ROWS", 500)


def inertia(X, clusterer):
    return ((normalize(X) - clusterer.cluster_centers_[clusterer.labels_]) ** 2).sum()


def test_many_rows_are_clustered_as_well(many):
    X, y = embedding_mixture(6000, 48, 20, seed=2)
    clusterer = SpeciesClusterer(20, random_state=0).fit(X)
    full = KMeans(20, n_init=10, max_iter=1000, random_state=0).fit(X)
    assert inertia(X, clusterer) < 1.02 * full.inertia_
    scores = [adjusted_rand_score(y, labels) for labels in (clusterer.labels_, full.labels_)]
    assert scores[0] > scores[1] - 0.05
    assert clusterer.labels_.dtype == full.labels_.dtype
    assert clusterer.n_iter_ > 1
    np.testing.assert_array_equal(clusterer.predict(X), clusterer.labels_)
    again = SpeciesClusterer(20, random_state=0).fit(X)
    np.testing.assert_array_equal(again.labels_, clusterer.labels_)


def test_lengths_and_types_of_many_rows(many):
    X, _ = embedding_mixture(2000, 32, 5)
    expected = SpeciesClusterer(5, random_state=0).fit_predict(X)
    scaled = X.astype(np.float64) * np.random.default_rng(0).uniform(0.1, 10, (len(X), 1))
    for rows in (X.astype(np.float64), scaled, X.astype(np.float16)):
        clusterer = SpeciesClusterer(5, random_state=0).fit(rows)
        assert adjusted_rand_score(expected, clusterer.labels_) > 0.99
        assert clusterer.cluster_centers_.dtype == np.float32


def test_abundance_of_many_rows(many):
    X, y = embedding_mixture(2000, 32, 6)
    coverage = np.exp(np.random.default_rng(0).normal(size=(6, 3)))[y]
    clusterer = SpeciesClusterer(6, random_state=0).fit(X, abundance=coverage)
    assert clusterer.cluster_centers_.shape == (6, 32 + 2 * 32 * 3)
    np.testing.assert_array_equal(clusterer.predict(X, abundance=coverage), clusterer.labels_)
    assert adjusted_rand_score(y, clusterer.labels_) > 0.8


def test_memory_mapped_rows_are_not_copied(many, tmp_path, monkeypatch):
    X, _ = embedding_mixture(20_000, 64, 10)
    np.save(tmp_path / "rows.npy", X)
    monkeypatch.setattr("dnaembed.utils._rows._BLOCK_BYTES", 1 << 16)
    rows = np.load(tmp_path / "rows.npy", mmap_mode="r")
    tracemalloc.start()
    clusterer = SpeciesClusterer(10, n_init=1, random_state=0).fit(rows)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < X.nbytes / 3
    np.testing.assert_array_equal(clone(clusterer).fit_predict(X), clusterer.labels_)


# --- bins ---


def test_bins_have_no_name_for_strays_and_new_reads_join_bins_or_none():
    X = np.r_[np.repeat(np.eye(4)[:2], 15, axis=0), np.eye(4)[2:]]
    clusterer = SpeciesClusterer(min_similarity=0.9).fit(X)
    assert clusterer.labels_.tolist() == [0] * 15 + [1] * 15 + [-1, -1]
    assert clusterer.n_clusters_ == 2
    np.testing.assert_allclose(clusterer.cluster_centers_, np.eye(4)[:2])
    assert clusterer.min_similarity_ == 0.9
    assert clusterer.n_iter_ == 4
    new = [[5, 1, 0, 0], [0.1, 0.9, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    assert clusterer.predict(new).tolist() == [0, 1, -1, -1, -1]


def test_prediction_in_small_blocks(monkeypatch):
    X, _ = species_mixture(10, 16, 0.5)
    clusterer = SpeciesClusterer(min_similarity=0.6).fit(X)
    expected = clusterer.predict(X)
    monkeypatch.setattr("dnaembed.utils._rows._BLOCK_BYTES", 256)
    np.testing.assert_array_equal(clusterer.predict(X), expected)
    assert np.mean(expected == clusterer.labels_) > 0.95


METHODS = [
    *({"min_similarity": limit} for limit in (0.0, 0.5, 1.0)),
    *({"method": "graph", "min_bin_size": size} for size in (1, 10)),
]
ODD = {
    "one": np.ones((1, 3)),
    "few": np.ones((4, 3)),
    "few zeros": np.zeros((4, 3)),
    "zeros": np.zeros((40, 3)),
    "equal": np.ones((40, 3)),
    "column": np.ones((40, 1)),
    "half zeros": np.r_[np.zeros((20, 2)), np.ones((20, 2))],
    "strangers": -np.eye(12),
    "orthogonal": np.eye(30),
}


@pytest.mark.parametrize("parameters", METHODS, ids=str)
@pytest.mark.parametrize("kind", ODD)
def test_small_and_odd_data(kind, parameters):
    X = ODD[kind]
    clusterer = SpeciesClusterer(**parameters, random_state=0).fit(X)
    assert clusterer.labels_.shape == clusterer.predict(X).shape == (len(X),)
    assert clusterer.labels_.max() == clusterer.n_clusters_ - 1
    assert (clusterer.labels_[~X.any(axis=1)] == -1).all() or parameters == METHODS[0]


def test_separation_of_bins():
    X = np.repeat(np.eye(3), 4, axis=0)
    y = np.repeat([0, 1, 2], 4)
    assert separation_of_bins(X, y) == 1
    assert separation_of_bins(X, np.where(y == 2, -1, y)) == 1
    for nothing in (np.arange(12) // 2, np.zeros(12, dtype=int), np.full(12, -1)):
        assert separation_of_bins(X, nothing) == 0
    tracemalloc.start()  # no memory that grows with the square of the number of bins
    separation_of_bins(np.random.default_rng(0).normal(size=(5000, 4)), np.arange(5000))
    assert tracemalloc.get_traced_memory()[1] < 150e6  # 25 million similarities have 200 MB
    tracemalloc.stop()


@pytest.mark.parametrize("n_clusters", [3, None])
def test_sequences_and_their_embeddings_are_clustered_alike(n_clusters):
    reads, y = reads_of(GENOMES, 15)
    clusterer = SpeciesClusterer(n_clusters, embedder=KmerEmbedder(k=2), random_state=0).fit(reads)
    assert adjusted_rand_score(y, clusterer.labels_) > 0.9
    by_hand = clone(clusterer).fit(KmerEmbedder(k=2).fit_transform(reads))
    np.testing.assert_array_equal(by_hand.labels_, clusterer.labels_)
    new, y_new = reads_of(GENOMES, 5, seed=1)
    assert adjusted_rand_score(y_new, clusterer.predict(pd.Series(new))) > 0.8


# --- the graph ---


@pytest.mark.parametrize(
    ("n_species", "n_features", "spread", "sizes"),
    [(20, 64, 0.5, (20, 60)), (3, 32, 0.5, (20, 60)), (20, 64, 0.6, (20, 150))],
    ids=["many", "three", "unequal"],
)
def test_graph_recovers_species(n_species, n_features, spread, sizes):
    X, y = species_mixture(n_species, n_features, spread, sizes=sizes)
    clusterer = SpeciesClusterer(random_state=0).fit(X)
    assert adjusted_rand_score(y, clusterer.labels_) > 0.9
    assert clusterer.n_clusters_ == n_species
    found = np.bincount(clusterer.labels_[clusterer.labels_ >= 0])
    assert (np.diff(found) <= 0).all()
    assert found.min() >= 10
    again = clusterer.predict(X)
    assert adjusted_rand_score(y[again >= 0], again[again >= 0]) > 0.9
    assert clusterer.predict(-X[:5]).tolist() == [-1] * 5


def test_graph_leaves_strays_out_and_clouds_and_large_species_together(caplog):
    X, y = species_mixture(20, 64, 0.7, sizes=(20, 60))
    strays = np.random.default_rng(1).normal(size=(len(X) // 10, 64)).astype(np.float32)
    labels = SpeciesClusterer(random_state=0).fit_predict(np.r_[X, strays])
    assert adjusted_rand_score(y, labels[: len(X)]) > 0.9
    assert np.mean(labels[len(X) :] == -1) > 0.7
    caplog.set_level("INFO", "dnaembed")
    for n_rows in (300, 60):  # a graph, a tree
        cloud = 1 + np.random.default_rng(0).normal(size=(n_rows, 64))
        assert SpeciesClusterer(random_state=0).fit(cloud).n_clusters_ == 1
        assert "if you know the number of species" in caplog.messages.pop()
    large, y = species_mixture(2, 64, 0.9, sizes=(1200, 1400))
    assert adjusted_rand_score(y, SpeciesClusterer(random_state=0).fit_predict(large)) > 0.95


def test_threshold_asks_for_the_kmedoid():
    X, _ = species_mixture(4, 16, 0.3)
    clusterer = SpeciesClusterer(min_similarity=0.6, random_state=0).fit(X)
    assert clusterer.min_similarity_ == 0.6
    clusterer.set_params(method="graph").fit(X)
    assert clusterer.bin_limits_.shape == (clusterer.n_clusters_,)
    assert not hasattr(clusterer, "min_similarity_")
    clusterer.set_params(method="kmedoid").fit(X)
    assert not hasattr(clusterer, "bin_limits_")
    with pytest.raises(ValueError, match="needs min_similarity, from 0 to 1, got None"):
        clusterer.set_params(min_similarity=None).fit(X)


def test_many_similar_species_are_not_one_bin():
    # They stand out from each other no more than pieces of one species do.
    X, y = embedding_mixture(2000, 384, 20, seed=0)
    labels = SpeciesClusterer(random_state=0).fit_predict(X)
    assert adjusted_rand_score(y, labels) > 0.7


def test_resolution_gives_more_bins():
    X, _ = species_mixture(10, 32, 0.8, sizes=(30, 60))
    few, many = (SpeciesClusterer(resolution=r, min_bin_size=2, random_state=0) for r in (1, 30))
    assert few.fit(X).n_clusters_ < many.fit(X).n_clusters_


def test_neighbor_graph_by_hand():
    # Two pairs: each row's only neighbour is its twin, and they share both.
    X = np.array([[1.0, 0], [1.0, 0], [0, 1.0], [0, 1.0]])
    graph = neighbor_graph(*nearest_neighbors(X, 1)).toarray()
    expected = np.kron(np.eye(2), [[0, 1], [1, 0]])
    np.testing.assert_allclose(graph, expected)


def test_bins_are_ranked_by_size_and_kept_by_rows_or_bases():
    labels = np.array([3, 0, 0, -1, 3, 3, 1])
    assert Sizes(2).ranked(labels).tolist() == [0, 1, 1, -1, 0, 0, -1]
    assert Sizes(1).ranked(np.array([-1, -1])).tolist() == [-1, -1]
    lengths = np.array([1, 1, 1, 900, 1, 1, 200])
    assert Sizes(3, 200, lengths).ranked(labels).tolist() == [0, -1, -1, -1, 0, 0, 1]


@pytest.mark.parametrize(
    ("n_species", "size"), [(1, 6), (1, 20), (1, 100), (2, 5), (2, 8), (5, 5), (10, 8), (3, 30)]
)
def test_few_contigs(n_species, size):
    X, y = species_mixture(n_species, 64, 0.7, sizes=(size, size + 1))
    labels = SpeciesClusterer(random_state=0).fit_predict(X)
    assert (labels >= 0).mean() > 0.9
    assert adjusted_rand_score(y[labels >= 0], labels[labels >= 0]) == 1


def test_bins_that_would_be_too_small_keep_strays():
    X = np.repeat(np.eye(10, 32), 10, axis=0)
    X += np.random.default_rng(0).normal(0, 0.02, X.shape)
    X[0, 20] += 0.5
    assert np.bincount(SpeciesClusterer(random_state=0).fit(X).labels_).tolist() == [10] * 10
    assert SpeciesClusterer(min_bin_size=9, random_state=0).fit(X).labels_.tolist().count(-1) == 1


@pytest.mark.parametrize("min_similarity", [None, 0.7])
@pytest.mark.parametrize("size", [10, 60])
def test_closed_genomes_are_bins_alone(min_similarity, size):
    """Three contigs of a whole genome among five species in pieces."""
    X, y = species_mixture(8, 64, 0.6, sizes=(size, size + 1))
    places = np.r_[0, size, 2 * size, np.arange(3 * size, len(y))]
    lengths = np.where(places < 3 * size, 600_000, 5000)
    clusterer = SpeciesClusterer(min_similarity=min_similarity, random_state=0, min_bin_size=8)
    labels = clusterer.fit(X[places], lengths=lengths).labels_
    assert len(set(labels[:3].tolist())) == 3
    assert min(labels[:3]) >= 0
    assert not set(labels[:3].tolist()) & set(labels[3:].tolist())
    assert clusterer.n_clusters_ == 8
    assert (clusterer.fit(X[places]).labels_[:3] == -1).all()  # lengths are not known
    clusterer.set_params(min_bin_bases=600_001).fit(X[places], lengths=lengths)
    assert (clusterer.labels_[:3] == -1).all()
    with pytest.raises(ValueError, match="lengths must have one value for each"):
        clusterer.fit(X, lengths=lengths)


def test_lengths_of_sequences_are_known():
    reads, _ = reads_of(GENOMES[:2], 5)
    clusterer = SpeciesClusterer(embedder=KmerEmbedder(k=1), min_bin_size=6, min_bin_bases=1500)
    assert clusterer.fit(reads).n_clusters_ == 2
    assert clusterer.set_params(min_bin_bases=1501).fit(reads).n_clusters_ == 0


# --- abundances ---


def coverage_of(y, n_profiles, noise):
    rng = np.random.default_rng(0)
    means = np.exp(np.random.default_rng(99).normal(0, 1.5, (y.max() + 1, n_profiles)))
    return means[y] * np.exp(rng.normal(0, noise, (len(y), n_profiles)))


@pytest.mark.parametrize("min_similarity", [None, 0.7])
def test_abundance_tells_apart_what_sequence_does_not(min_similarity):
    X, y = species_mixture(6, 32, 0.4, sizes=(30, 50))
    twins = X.copy()
    twins[y == 1] += X[y == 0].mean(axis=0) - X[y == 1].mean(axis=0)
    coverage = coverage_of(y, 4, 0.1)
    how = {"min_similarity": min_similarity, "abundance_weight": 0.5}
    clusterer = SpeciesClusterer(**how, random_state=0)
    assert adjusted_rand_score(y, clusterer.fit(twins).labels_) < 0.9
    joined = clusterer.fit(twins, abundance=pd.DataFrame(coverage))
    assert adjusted_rand_score(y, joined.labels_) > 0.95
    found = joined.predict(twins, abundance=coverage)
    assert adjusted_rand_score(y[found >= 0], found[found >= 0]) > 0.95


def test_weight_of_abundance():
    X, y = species_mixture(6, 32, 0.4, sizes=(30, 50))
    coverage = coverage_of(np.random.default_rng(5).permutation(y), 4, 0.1)  # of other groups
    plain = SpeciesClusterer(random_state=0).fit(X)
    none = SpeciesClusterer(abundance_weight=0, random_state=0).fit(X, abundance=coverage)
    np.testing.assert_array_equal(plain.labels_, none.labels_)
    alone = SpeciesClusterer(abundance_weight=1, random_state=0).fit(X, abundance=coverage)
    assert adjusted_rand_score(y, alone.labels_) < 0.2


def test_abundance_scale():
    X, y = species_mixture(6, 32, 0.2, sizes=(60, 80))
    coverage = coverage_of(y, 2, 0.2)
    scale = fit_abundance_scale(coverage, X)
    np.testing.assert_allclose(scale.widths, 2 * 0.2, rtol=0.3)  # twice the noise
    rows = scale.rows(coverage)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1)
    z = np.log(coverage / coverage.mean(axis=0) + 0.01)
    distances = (z[:, None] - z) / scale.widths
    near = (np.abs(distances) < 3).all(axis=2)
    kernel = np.exp(-(distances**2) / 2).mean(axis=2)
    np.testing.assert_allclose((rows @ rows.T)[near], kernel[near], atol=0.06)
    # Without coverage, and with too few contigs to tell its noise, all are finite.
    for few in (np.zeros((4, 2)), np.ones((2, 2)), np.ones((1, 2))):
        assert np.isfinite(fit_abundance_scale(few, np.eye(len(few))).rows(np.ones((1, 2)))).all()


def test_coverage_counts_more_the_more_samples_there_are():
    shares = [abundance_share("auto", n_profiles) for n_profiles in (1, 3, 10, 40)]
    assert [*shares, abundance_share(0.7, 3)] == pytest.approx([0.1, 0.3, 0.5, 0.5, 0.7])


def test_pieces_of_a_species_are_joined():
    X, y = species_mixture(4, 32, 0.4, sizes=(40, 60))
    X = normalize(X)
    pieces = 2 * y + (np.arange(len(y)) % 2)
    joined = join_pieces(X, pieces, 0.9)
    assert adjusted_rand_score(y, joined) == 1
    assert np.bincount(joined).tolist() == sorted(np.bincount(y), reverse=True)
    pieces[:3] = -1
    assert (join_pieces(X, pieces, 0.9)[:3] == -1).all()
    np.testing.assert_array_equal(np.unique(join_pieces(X, pieces, 1.1)), np.arange(-1, 8))
    one = np.zeros(len(X), dtype=int)
    np.testing.assert_array_equal(join_pieces(X, one, 0.1), one)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a[:-1], "abundance must have one row for each of the .* sequences"),
        (lambda a: -a, "abundance must be >= 0, got -.* in row 0, sample 0"),
        (lambda a: np.where(a == a[0, 0], np.nan, a), "Input abundance contains NaN"),
        (lambda a: a[:, 0], "Expected 2D array, got 1D array"),
    ],
)
def test_bad_abundance(change, message):
    X, y = species_mixture(3, 16, 0.3)
    with pytest.raises(ValueError, match=message):
        SpeciesClusterer().fit(X, abundance=change(coverage_of(y, 2, 0.1)))


def test_a_path_is_no_abundance():
    with pytest.raises(TypeError, match=r"read_abundance reads depth\.tsv"):
        SpeciesClusterer().fit(np.eye(20), abundance="depth.tsv")


def test_abundance_of_another_kind():
    X, y = species_mixture(3, 16, 0.3)
    clusterer = SpeciesClusterer(min_similarity=0.5).fit(X, abundance=coverage_of(y, 2, 0.1))
    with pytest.raises(ValueError, match="has 1 columns, but SpeciesClusterer was fitted"):
        clusterer.predict(X, abundance=coverage_of(y, 1, 0.1))


def test_abundance_can_be_routed():
    with sklearn.config_context(enable_metadata_routing=True):
        clusterer = SpeciesClusterer(min_similarity=0.5).set_fit_request(abundance=True)
        X, y = species_mixture(3, 16, 0.3)
        pipeline = make_pipeline(FunctionTransformer(), clusterer)
        pipeline.fit(X, abundance=coverage_of(y, 2, 0.1))
        assert clusterer.get_metadata_routing().fit.requests["abundance"] is True
        assert pipeline[-1].cluster_centers_.shape[1] == 16 + 2 * 64


BAD = {
    "n_clusters": 0, "method": "best", "min_similarity": 1.5, "n_neighbors": 0,
    "neighbors": "few", "resolution": 0.0, "abundance_weight": "equal",
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_parameters_are_named(name):
    with pytest.raises(ValueError, match=f"The '{name}' parameter"):
        SpeciesClusterer(**{name: BAD[name]}).fit(np.eye(3))


# --- how near, how sure ---


@pytest.mark.parametrize("parameters", [{"n_clusters": 12}, {}, {"min_similarity": 0.6}])
def test_distances_similarities_and_shares_agree_with_predict(parameters):
    X, _ = species_mixture(12, 16, 0.8)
    clusterer = SpeciesClusterer(**parameters, random_state=0).fit(X)
    centers, rows = clusterer.cluster_centers_, normalize(X)
    distances, shares = clusterer.transform(X), clusterer.predict_proba(X)
    expected = np.linalg.norm(rows[:, None] - centers, axis=2)
    np.testing.assert_allclose(distances, expected, atol=1e-5)
    np.testing.assert_allclose(clusterer.score_samples(X), (rows @ centers.T).max(1), atol=1e-5)
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    calls = clusterer.predict(X)
    np.testing.assert_array_equal(shares.argmax(axis=1)[calls >= 0], calls[calls >= 0])
    # The formula of the docstring.
    shift = (centers**2).sum(axis=1) / 2 if parameters.get("n_clusters") else 0
    kappa = 8 / (1 - np.mean((centers**2).sum(axis=1)))
    weights = np.exp(kappa * (rows[0] @ centers.T - shift))
    np.testing.assert_allclose(shares[0], weights / weights.sum(), atol=1e-4)
    assert len(clusterer.get_feature_names_out()) == clusterer.n_clusters_


def test_no_bins_at_all():
    X = np.eye(3)
    clusterer = SpeciesClusterer(min_similarity=0.9, min_bin_size=2).fit(X)
    assert clusterer.n_clusters_ == 0
    assert clusterer.cluster_centers_.shape == (0, 3)
    assert clusterer.labels_.tolist() == clusterer.predict(X).tolist() == [-1, -1, -1]
    assert clusterer.transform(X).shape == clusterer.predict_proba(X).shape == (3, 0)
    assert clusterer.score_samples(X).tolist() == [-1, -1, -1]
    with pytest.raises(ValueError, match="without abundance, got some"):
        clusterer.transform(X, abundance=np.ones((3, 1)))
