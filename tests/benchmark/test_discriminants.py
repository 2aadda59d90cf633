"""Shrunken discriminants against scikit-learn's where the two agree."""

import numpy as np
import pytest
from scipy.linalg import subspace_angles
from sklearn.base import clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from dnaembed.benchmark import ShrunkenDiscriminants


def classes(n_classes=4, n_each=200, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(n_classes), n_each)
    mixing = rng.standard_normal((6, 6))
    centers = 3 * rng.standard_normal((n_classes, 6))
    return (centers[labels] + rng.standard_normal((len(labels), 6))) @ mixing, labels


def test_directions_are_those_of_scikit_learn():
    X, y = classes()
    ours = ShrunkenDiscriminants(3, shrinkage=0.0).fit(X, y)
    theirs = LinearDiscriminantAnalysis(solver="eigen").fit(X, y)
    # A ridge of a thousandth is left where there is no shrinkage.
    assert subspace_angles(ours.scalings_, theirs.scalings_[:, :3]).max() < 0.05
    rows = ours.transform(X)
    assert rows.shape == (800, 3)
    np.testing.assert_allclose(rows.mean(axis=0), 0, atol=1e-9)


def test_rows_of_a_class_vary_by_one():
    X, y = classes()
    rows = ShrunkenDiscriminants(3, shrinkage=0.0).fit_transform(X, y)
    within = np.mean([np.cov(rows[y == c], rowvar=False) for c in range(4)], axis=0)
    np.testing.assert_allclose(within, np.eye(3), atol=0.05)


def test_same_data_same_directions_and_others_after_refit():
    X, y = classes()
    model = ShrunkenDiscriminants(2).fit(X, y)
    np.testing.assert_array_equal(model.scalings_, clone(model).fit(X, y).scalings_)
    first = model.scalings_
    assert not np.allclose(first, model.fit(*classes(seed=1)).scalings_)
    assert model.get_feature_names_out().tolist() == [
        "shrunkendiscriminants0",
        "shrunkendiscriminants1",
    ]


@pytest.mark.parametrize(
    ("parameters", "y", "message"),
    [
        ({"n_components": 7}, [0, 0, 1, 1], "7 directions do not exist among 6 columns"),
        ({"n_components": 1}, [0, 0, 0, 0], "At least two classes are required, got 1"),
        ({"n_components": 1}, [0, 1, 2, 3], "A class of two rows or more is required"),
        ({"shrinkage": 2.0}, [0, 0, 1, 1], "shrinkage"),
    ],
)
def test_wrong_input(parameters, y, message):
    with pytest.raises(ValueError, match=message):
        ShrunkenDiscriminants(**parameters).fit(np.eye(4, 6), y)
