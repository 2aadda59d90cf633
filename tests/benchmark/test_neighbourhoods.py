"""Retrieval and silhouette against hand-worked cases and scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import silhouette_score

from dnaembed.benchmark import retrieval_score, species_silhouette


def test_retrieval_by_hand():
    rows = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9], [0.5, 0.6]])
    labels = np.array(["a", "a", "b", "b", "a"])
    # The last one is nearest to a b, and is not nearer to any b than its own kind is.
    assert retrieval_score(rows, labels) == 4 / 5


def test_retrieval_of_genera_skips_the_species():
    rows = np.array([[1.0, 0.0], [0.99, 0.01], [0.9, 0.2], [0.0, 1.0], [0.1, 1.0], [1.0, 0.9]])
    genus = np.array(["g", "g", "g", "h", "h", "h"])
    species = np.array(["g1", "g1", "g2", "h1", "h1", "h2"])
    # g1 finds g2 (twice), g2 finds g1; h1 finds h2 (twice); h2 finds g2.
    assert retrieval_score(rows, genus, exclude=species) == 5 / 6


def test_sequences_without_company_are_not_asked():
    rows = np.array([[1.0, 0.0], [0.9, 0.1], [0.95, 0.05]])
    assert retrieval_score(rows, np.array(["a", "a", "b"])) == 0.0  # both find b
    assert np.isnan(retrieval_score(rows, np.array(["a", "b", "c"])))
    assert np.isnan(
        retrieval_score(rows, np.array(["g", "g", "h"]), exclude=np.array(["s", "s", "t"]))
    )


def test_asking_some_is_close_to_asking_all():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), 100)
    rows = np.eye(10)[labels] + 0.5 * rng.standard_normal((1000, 10))
    everyone = retrieval_score(rows, labels)
    assert retrieval_score(rows, labels, max_queries=500) == pytest.approx(everyone, abs=0.06)
    assert 0.2 < everyone < 0.95


@given(st.integers(2, 6), st.integers(1, 5), st.integers(0, 1000))
def test_silhouette_is_that_of_scikit_learn(n_species, most, seed):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(n_species), rng.integers(1, most + 2, n_species))
    if len(labels) == n_species:
        labels = np.append(labels, 0)
    rows = rng.standard_normal((len(labels), 4))
    expected = silhouette_score(rows, labels, metric="cosine")
    assert species_silhouette(rows, labels) == pytest.approx(expected, abs=1e-9)


def test_silhouette_needs_two_species():
    with pytest.raises(ValueError, match="At least two species are required, got 1"):
        species_silhouette(np.eye(3), np.zeros(3))


def test_rows_of_zeros_are_near_nobody():
    rows = np.array([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    # Those of b are perfect (1), those of a as far from each other as from b (0).
    assert species_silhouette(rows, np.array(["a", "a", "b", "b"])) == 0.5
