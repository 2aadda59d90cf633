"""Base pairs in bins, worked by hand."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnaembed.benchmark import genome_recovery_scores


def test_by_hand():
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
    with np.load(Path(__file__).parents[1] / "data" / "amber.npz") as case:
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


def test_limits_are_strict():
    labels, bins = np.array(list("aab")), np.array([0, -1, 0])
    scores = genome_recovery_scores(labels, bins, np.array([90, 90, 10]))
    assert scores["genomes>50%<10%"] == 0  # exactly half of a, exactly 10 % of b
    scores = genome_recovery_scores(labels, bins, np.array([91, 90, 10]))
    assert scores["genomes>50%<10%"] == 1


def test_a_genome_in_two_bins_counts_once_for_each():
    labels, bins = np.array(list("aab")), np.array([0, 1, -1])
    scores = genome_recovery_scores(labels, bins, np.array([60, 40, 100]))
    assert scores["mean_completeness_bp"] == pytest.approx((0.6 + 0.4 + 0) / 3)
    assert scores["completeness_bp"] == pytest.approx(60 / 200)


def test_no_bin():
    scores = genome_recovery_scores(np.array(["a", "b"]), np.array([-1, -1]), np.array([5, 6]))
    assert np.isnan(scores.pop("purity_bp"))
    assert np.isnan(scores.pop("mean_purity_bp"))
    assert set(scores.values()) == {0.0}


@given(
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.integers(-1, 3), st.integers(1, 1000)), min_size=1
    )
)
def test_ranges_and_perfect_bins(rows):
    labels, bins, lengths = (np.array(column) for column in zip(*rows, strict=True))
    scores = genome_recovery_scores(labels, bins, lengths)
    n_genomes = len(set(labels.tolist()))
    for name, value in scores.items():
        assert 0 <= value <= (n_genomes if name.startswith("genomes") else 1) or np.isnan(value)
    _, perfect = np.unique(labels, return_inverse=True)
    scores = genome_recovery_scores(labels, perfect, lengths)
    assert {scores[name] for name in scores if not name.startswith("genomes")} == {1.0}
    assert {scores[name] for name in scores if name.startswith("genomes")} == {float(n_genomes)}


def test_lengths_must_match():
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        genome_recovery_scores(np.array(["a"]), np.array([0]), np.array([1, 2]))
