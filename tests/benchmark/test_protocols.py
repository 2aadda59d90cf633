"""The paper's protocols against the authors' numbers and against cases with a known answer."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from sklearn.preprocessing import normalize

from dnaembed.benchmark import binning_scores, clustering_scores, few_shot_scores

GOLDEN = Path(__file__).parents[1] / "data" / "binning.npz"
THRESHOLDS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as data:
        return dict(data)


def blobs(n_species=4, n_each=30, noise=0.1, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.repeat([f"species {i}" for i in range(n_species)], n_each)
    rows = np.repeat(np.eye(n_species, 8), n_each, axis=0)
    return rows + noise * rng.standard_normal(rows.shape), labels


@pytest.mark.parametrize("case", [0, 1, 2])
def test_binning_counts_of_the_authors(golden, case):
    names = ("min_similarity", "min_bin_size")
    how = {name: golden[f"{case}_{name}"].item() for name in names}
    counts = binning_scores(golden[f"{case}_X"], golden[f"{case}_y"], **how)
    assert list(counts["f1"]) == list(counts["recall"]) == THRESHOLDS
    assert list(counts["f1"].values()) == golden[f"{case}_f1_counts"].tolist()
    assert list(counts["recall"].values()) == golden[f"{case}_recall_counts"].tolist()


def test_clustering_is_the_mean_over_seeds():
    rows, labels = blobs(noise=0.6)
    options = {"init": "random", "n_init": 3, "max_iter": 1000}
    several = (KMeans(4, random_state=seed, **options) for seed in range(5))
    clusters = [kmeans.fit_predict(normalize(rows)) for kmeans in several]
    ours = clustering_scores(rows, labels)
    assert ours["ari"] == pytest.approx(np.mean([adjusted_rand_score(labels, c) for c in clusters]))
    assert 0 < ours["ari"] < 1
    assert set(ours) == {"ari", "purity", "completeness", "nmi"}


def test_scale_of_rows_does_not_matter_to_clusters_and_bins():
    rows, labels = blobs(noise=0.4)
    scaled = rows * np.linspace(1, 9, len(rows))[:, None]
    assert clustering_scores(rows, labels) == pytest.approx(clustering_scores(scaled, labels))
    bins, others = (binning_scores(X, labels, min_similarity=0.5) for X in (rows, scaled))
    assert bins == others


def test_few_shot_learns_more_from_more_and_nothing_from_noise():
    rows, labels = blobs(noise=0.5, n_each=60)
    scores = few_shot_scores(rows, labels, shots=[1, 20], n_test=40)
    assert scores[1] < scores[20]
    noise = np.random.default_rng(0).standard_normal(rows.shape)
    assert few_shot_scores(noise, labels, shots=[20], n_test=40)[20] < 0.4


def test_few_shot_test_sequences_are_not_learnt_from():
    # Labels that only a memory could know.
    rng = np.random.default_rng(0)
    rows, labels = rng.standard_normal((200, 300)), rng.permutation(np.repeat([0, 1], 100))
    assert few_shot_scores(rows, labels, shots=[20], n_test=80)[20] < 0.65


def test_few_shot_needs_enough_sequences():
    rows, labels = blobs(n_each=30)
    with pytest.raises(ValueError, match=r"20 shots and 80 test .* need 100 .*species 0 has 30"):
        few_shot_scores(rows, labels)


def test_few_shot_with_fewer_sequences():
    rng = np.random.default_rng(0)
    labels = np.repeat(["a", "b", "c"], [100, 100, 11])
    rows = np.eye(3)[np.unique(labels, return_inverse=True)[1]]
    rows = rows + 0.01 * rng.standard_normal(rows.shape)
    scores = few_shot_scores(rows, labels, allow_fewer=True)
    assert scores == {1: 1.0, 2: 1.0, 5: 1.0}  # 10 and 20 would leave c nothing to test on
    assert few_shot_scores(rows[-12:], labels[-12:], allow_fewer=True) == {}
    # Where there is enough, it changes nothing.
    rows, labels = blobs(noise=0.5, n_each=100)
    assert few_shot_scores(rows, labels, allow_fewer=True) == few_shot_scores(rows, labels)


@pytest.mark.parametrize(
    "score",
    [
        lambda *args, **seeds: few_shot_scores(*args, shots=[2], n_test=20, **seeds)[2],
        lambda *args, **seeds: clustering_scores(*args, **seeds)["ari"],
    ],
)
def test_seeds_follow_each_other(score):
    data = blobs(noise=0.6, n_each=40)
    single = [score(*data, n_repeats=1, first_seed=seed) for seed in (3, 4)]
    assert single[0] != single[1]
    assert score(*data, n_repeats=2, first_seed=3) == pytest.approx(np.mean(single))


def test_nothing_binned_counts_nothing():
    rows, labels = blobs(n_each=5)
    counts = binning_scores(rows, labels, min_similarity=0.5, min_bin_size=10)
    assert set(counts["f1"].values()) == set(counts["recall"].values()) == {0}


@given(st.permutations(range(40)), st.integers(0, 3))
def test_order_of_sequences_does_not_matter_to_bins(order, seed):
    rows, labels = blobs(n_each=10, noise=0.02, seed=seed)
    counts = binning_scores(rows[order], labels[order], min_similarity=0.8, min_bin_size=5)
    assert counts == binning_scores(rows, labels, min_similarity=0.8, min_bin_size=5)
    assert counts["f1"][0.9] == 4
