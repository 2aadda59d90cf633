from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from dnaembed.metrics import (
    genome_recovery_scores,
    min_similarity_from_labels,
    retrieval_score,
    species_f1_recall,
)

DATA = Path(__file__).parent / "data"


@pytest.mark.parametrize("case", range(3))
def test_counts_and_thresholds_are_those_of_the_reference(case):
    golden = np.load(DATA / "binning.npz")
    X, y, labels = (golden[f"{case}_{name}"] for name in ("X", "y", "labels"))
    f1, recall = species_f1_recall(y, labels)
    for name, scores in (("f1", f1), ("recall", recall)):
        counts = [np.count_nonzero(scores > i / 10) for i in range(1, 10)]
        np.testing.assert_array_equal(counts, golden[f"{case}_{name}_counts"])
    thresholds = [min_similarity_from_labels(X, y, percentile=p) for p in range(10, 100, 10)]
    expected = golden[f"{case}_class_center_similarity_percentiles"]
    np.testing.assert_allclose(thresholds, expected, atol=1e-6)
    assert min_similarity_from_labels(X, y) == thresholds[6]  # the paper's 70


def test_percentiles_reach_from_least_to_most_similar():
    X, y = [[1, 0], [0.6, 0.8], [0, 1]], ["a", "a", "b"]
    for percentile, expected in ((0, 0.8), (100, 1.0)):
        assert min_similarity_from_labels(X, y, percentile=percentile) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("score", "arguments", "message"),
    [
        (partial(min_similarity_from_labels, percentile=-1), ([[1.0]], ["a"]), "from 0 to 100"),
        (partial(min_similarity_from_labels, percentile=101), ([[1.0]], ["a"]), "from 0 to 100"),
        (species_f1_recall, (["a", "b"], [0]), "inconsistent numbers"),
        (min_similarity_from_labels, ([[1.0], [2.0]], ["a"]), "inconsistent numbers"),
        (genome_recovery_scores, (["a"], [0], [1, 2]), "inconsistent numbers"),
    ],
)
def test_bad_arguments(score, arguments, message):
    with pytest.raises(ValueError, match=message):
        score(*map(np.array, arguments))


def test_unassigned_are_left_out_before_scoring():
    f1, recall = species_f1_recall(["a"] * 4 + ["b"] * 2 + ["c"], [0, 0, -1, -1, 1, 0, -1])
    np.testing.assert_allclose(f1, [4 / 5, 2 / 3, 0])
    np.testing.assert_allclose(recall, [1, 1 / 2, 0])
    f1, recall = species_f1_recall(["a", "b", "b"], [-1, -1, -1])
    assert f1.tolist() == recall.tolist() == [0, 0]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(-1, 4)), min_size=1, max_size=60))
def test_no_other_naming_of_the_bins_puts_more_sequences_right(pairs):
    y, labels = np.array(pairs).T
    f1, recall = species_f1_recall(y, labels)
    assert len(f1) == len(recall) == len(np.unique(y))
    assert ((f1 >= 0) & (f1 <= 1)).all()
    kept = labels >= 0
    right = sum(r * np.sum(y[kept] == s) for s, r in zip(np.unique(y), recall, strict=True))
    for shift in range(5):
        assert right + 1e-9 >= np.count_nonzero((labels[kept] + shift) % 5 == y[kept])


@given(st.permutations(range(6)))
def test_names_of_bins_do_not_matter(names):
    y = np.repeat(np.arange(6), 5)
    labels = np.where(np.arange(30) % 5 == 0, (y + 1) % 6, y)
    f1, recall = species_f1_recall(y, np.array(names)[labels])
    np.testing.assert_allclose(f1, f1_score(y, labels, average=None))
    np.testing.assert_allclose(recall, 0.8)


def test_recovery_by_hand():
    # Genome a (1000 bp): 800 in bin 0, 100 in bin 1, 100 in none. Genome b (500 bp): 40 in bin 0,
    # 460 in bin 1. Genome c (300 bp): in bin 2. Genome d (200 bp): in no bin.
    labels = np.array(list("aaabbcd"))
    bins = np.array([0, 1, -1, 0, 1, 2, -1])
    lengths = np.array([800, 100, 100, 40, 460, 300, 200])
    scores = genome_recovery_scores(labels, bins, lengths)
    assert scores["purity_bp"] == pytest.approx((800 + 460 + 300) / 1700)
    assert scores["completeness_bp"] == pytest.approx((800 + 460 + 300) / 2000)
    assert scores["mean_purity_bp"] == pytest.approx((800 / 840 + 460 / 560 + 1) / 3)
    assert scores["mean_completeness_bp"] == pytest.approx((0.8 + 0.92 + 1 + 0) / 4)
    assert scores["binned_bp"] == pytest.approx(1700 / 2000)
    # Contaminations: bin 0 has 4.8 %, bin 1 has 17.9 %, bin 2 none.
    assert scores["genomes>50%<10%"] == scores["genomes>50%<5%"] == 2
    assert scores["genomes>70%<10%"] == scores["genomes>70%<5%"] == 2
    assert scores["genomes>90%<10%"] == scores["genomes>90%<5%"] == 1


def test_figures_of_amber():
    """cami-amber 2.0.8 on the same bins (``results.tsv`` and ``bin_metrics.tsv``)."""
    with np.load(DATA / "amber.npz") as case:
        scores = genome_recovery_scores(case["labels"], case["bins"], case["lengths"])
    expected = {
        "purity_bp": 0.868053,  # precision_weighted_bp
        "completeness_bp": 0.761078,  # recall_weighted_bp
        "mean_purity_bp": 0.900802,  # precision_avg_bp
        "mean_completeness_bp": 0.631077,  # recall_avg_bp_cami1
        "binned_bp": 0.831450,  # percentage_of_assigned_bps
        "genomes>50%<5%": 4,
        "genomes>70%<5%": 3,
        "genomes>90%<5%": 1,
        "genomes>50%<10%": 7,
        "genomes>70%<10%": 6,
        "genomes>90%<10%": 2,
    }
    assert scores == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("length", "n_recovered"), [(90, 0), (91, 1)])
def test_limits_are_strict(length, n_recovered):
    # With 90: exactly half of a, and exactly 10 % of b.
    labels, bins = np.array(list("aab")), np.array([0, -1, 0])
    scores = genome_recovery_scores(labels, bins, np.array([length, 90, 10]))
    assert scores["genomes>50%<10%"] == n_recovered


def test_recovery_without_bins():
    scores = genome_recovery_scores(np.array(["a", "b"]), np.array([-1, -1]), np.array([5, 6]))
    assert np.isnan([scores.pop("purity_bp"), scores.pop("mean_purity_bp")]).all()
    assert set(scores.values()) == {0.0}


contigs = st.tuples(st.sampled_from("abcd"), st.integers(-1, 3), st.integers(1, 1000))


@given(st.lists(contigs, min_size=1))
def test_recovery_ranges_and_perfect_bins(rows):
    labels, bins, lengths = (np.array(column) for column in zip(*rows, strict=True))
    scores = genome_recovery_scores(labels, bins, lengths)
    n_genomes = len(set(labels.tolist()))
    for name, value in scores.items():
        assert 0 <= value <= (n_genomes if name.startswith("genomes") else 1) or np.isnan(value)
    _, perfect = np.unique(labels, return_inverse=True)
    scores = genome_recovery_scores(labels, perfect, lengths)
    assert {scores[name] for name in scores if not name.startswith("genomes")} == {1.0}
    assert {scores[name] for name in scores if name.startswith("genomes")} == {float(n_genomes)}


@pytest.mark.parametrize(
    ("rows", "labels", "exclude", "expected"),
    [
        # The last one is nearest to a b, and is not nearer to any b than its own kind is.
        ([[1, 0], [0.9, 0.1], [0, 1], [0.1, 0.9], [0.5, 0.6]], "aabba", None, 4 / 5),
        # Genera: 0 finds 2 (as 1 does), 2 finds 0; 3 finds 5 (as 4 does); 5 finds 2.
        ([[1, 0], [0.99, 0.01], [0.9, 0.2], [0, 1], [0.1, 1], [1, 0.9]], "ggghhh", "001223", 5 / 6),
        # Sequences without company are not asked.
        ([[1, 0], [0.9, 0.1], [0.95, 0.05]], "aab", None, 0),  # both find b
        ([[1, 0], [0.9, 0.1], [0.95, 0.05]], "abc", None, np.nan),
        ([[1, 0], [0.9, 0.1], [0.95, 0.05]], "ggh", "sst", np.nan),
    ],
)
def test_retrieval_by_hand(rows, labels, exclude, expected):
    exclude = exclude and np.array(list(exclude))
    found = retrieval_score(np.array(rows), np.array(list(labels)), exclude=exclude)
    assert found == pytest.approx(expected, nan_ok=True)


def test_asking_some_is_close_to_asking_all():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), 100)
    rows = np.eye(10)[labels] + 0.5 * rng.standard_normal((1000, 10))
    everyone = retrieval_score(rows, labels)
    assert retrieval_score(rows, labels, max_queries=500) == pytest.approx(everyone, abs=0.06)
    assert 0.2 < everyone < 0.95
