from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from dnaembed.metrics import (
    center_similarities,
    count_above,
    min_similarity_from_labels,
    species_f1_recall,
)

DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="module")
def golden():
    return np.load(DATA / "binning.npz")


@pytest.mark.parametrize("case", range(3))
def test_counts_are_those_of_the_reference(golden, case):
    f1, recall = species_f1_recall(golden[f"{case}_y"], golden[f"{case}_labels"])
    np.testing.assert_array_equal(count_above(f1), golden[f"{case}_f1_counts"])
    np.testing.assert_array_equal(count_above(recall), golden[f"{case}_recall_counts"])


@pytest.mark.parametrize("case", range(3))
def test_thresholds_are_those_of_the_reference(golden, case):
    X, y = golden[f"{case}_X"], golden[f"{case}_y"]
    thresholds = [min_similarity_from_labels(X, y, percentile=p) for p in range(10, 100, 10)]
    expected = golden[f"{case}_class_center_similarity_percentiles"]
    np.testing.assert_allclose(thresholds, expected, atol=1e-6)


def test_default_percentile_is_the_papers(golden):
    threshold = min_similarity_from_labels(golden["1_X"], golden["1_y"])
    expected = golden["1_class_center_similarity_percentiles"][6]
    assert threshold == pytest.approx(expected, abs=1e-6)


def test_percentiles_reach_from_least_to_most_similar():
    X, y = [[1, 0], [0.6, 0.8], [0, 1]], ["a", "a", "b"]
    similarities = center_similarities(X, y)
    np.testing.assert_allclose(similarities, [0.8, 0.8, 1.0])
    assert min_similarity_from_labels(X, y, percentile=0) == similarities.min()
    assert min_similarity_from_labels(X, y, percentile=100) == similarities.max()


@pytest.mark.parametrize("percentile", [-1, 100.5])
def test_percentile_out_of_range(percentile):
    with pytest.raises(ValueError, match="percentile must be from 0 to 100"):
        min_similarity_from_labels([[1.0]], ["a"], percentile=percentile)


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        species_f1_recall(["a", "b"], [0])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        center_similarities([[1.0], [2.0]], ["a"])


def test_unassigned_are_left_out_before_scoring():
    f1, recall = species_f1_recall(["a"] * 4 + ["b"] * 2 + ["c"], [0, 0, -1, -1, 1, 0, -1])
    np.testing.assert_allclose(f1, [4 / 5, 2 / 3, 0])
    np.testing.assert_allclose(recall, [1, 1 / 2, 0])


def test_nothing_binned():
    f1, recall = species_f1_recall(["a", "b", "b"], [-1, -1, -1])
    assert f1.tolist() == recall.tolist() == [0, 0]


def test_count_above_is_strict():
    assert count_above([0.5, 0.9, 1.0], [0.5, 0.9]).tolist() == [2, 1]
    assert count_above([]).tolist() == [0] * 9


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(-1, 4)), min_size=1, max_size=60))
def test_scores_are_sklearns_after_alignment(pairs):
    y, labels = np.array(pairs).T
    f1, recall = species_f1_recall(y, labels)
    assert len(f1) == len(recall) == len(np.unique(y))
    assert ((f1 >= 0) & (f1 <= 1)).all()
    # No other one-to-one naming of the bins puts more sequences right.
    kept = labels >= 0
    n_kept = {s: np.count_nonzero(y[kept] == s) for s in np.unique(y)}
    right = sum(r * n_kept[s] for s, r in zip(np.unique(y), recall, strict=True))
    for shift in range(5):
        assert right + 1e-9 >= np.count_nonzero((labels[kept] + shift) % 5 == y[kept])


@settings(deadline=None)
@given(st.permutations(range(6)))
def test_names_of_bins_do_not_matter(names):
    y = np.repeat(np.arange(6), 5)
    labels = np.where(np.arange(30) % 5 == 0, (y + 1) % 6, y)
    f1, recall = species_f1_recall(y, np.array(names)[labels])
    np.testing.assert_allclose(f1, f1_score(y, labels, average=None))
    np.testing.assert_allclose(recall, 0.8)
