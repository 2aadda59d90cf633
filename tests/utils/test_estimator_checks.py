"""Our checks must pass what is right and catch each thing that can be wrong."""

import sys
from typing import ClassVar

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import SkipTestWarning
from sklearn.utils import estimator_checks as sklearn_checks
from sklearn.utils.validation import check_is_fitted

from dnaembed import KmerEmbedder, check_sequences
from dnaembed.utils import estimator_checks
from dnaembed.utils.estimator_checks import check_sequence_transformer, sequence_transformer_checks


class Tiny(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Frequencies of bases: the least that is right."""

    _parameter_constraints: ClassVar[dict] = {}

    def fit(self, X, y=None):
        check_sequences(X)
        self._n_features_out = 5
        return self

    def __sklearn_is_fitted__(self):
        return hasattr(self, "_n_features_out")

    def transform(self, X):
        check_is_fitted(self, "_n_features_out")
        return frequencies(check_sequences(X))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags


def frequencies(sequences):
    return np.array([[s.count(base) / len(s) for base in "ACGTN"] for s in sequences])


def fit(change):
    """Return a broken `fit`, which makes something else of what it is given."""
    return lambda self, X, y=None: Tiny.fit(self, change(X))


def transform(change):
    """Return a broken `transform`, which makes something else of the right rows."""
    return lambda self, X: change(Tiny.transform(self, X))


def refuse(condition):
    """Return a `fit` that refuses what is fine."""

    def fit(self, X, y=None):
        if condition(X):
            raise TypeError("not this")
        return Tiny.fit(self, X)

    return fit


def remember(name, value):
    """Return a `fit` that sets an attribute."""

    def fit(self, X, y=None):
        setattr(self, name, value(self, X, y))
        return Tiny.fit(self, X)

    return fit


def accept_anything(self, X, y=None):
    self._n_features_out = 5
    return self


def write_to_input(self, X):
    if isinstance(X, list | np.ndarray):
        for i, sequence in enumerate(check_sequences(X)):
            X[i] = sequence
    return Tiny.transform(self, X)


def count_transforms(self, X):
    self._n_transforms = getattr(self, "_n_transforms", 0) + 1
    return Tiny.transform(self, X) * self._n_transforms


def without_n(rows):
    with np.errstate(invalid="ignore"):
        return np.c_[rows[:, :4], rows[:, 0]] / rows[:, :4].sum(axis=1, keepdims=True)


def without_position(self, X, y=None):
    if not isinstance(X, str) and any(x is None for x in X):
        raise TypeError("a sequence is missing")
    return Tiny.fit(self, X)


class MutatesParameter(Tiny):
    _parameter_constraints: ClassVar[dict] = {"bases": "no_validation"}

    def __init__(self, bases=("A",)):
        self.bases = bases

    def fit(self, X, y=None):
        self.bases = [*self.bases, "C"]
        return super().fit(X)


class Unpicklable(Tiny):
    fit = remember("_function", lambda *_: lambda: None)


class WorksInInit(Tiny):
    def __init__(self, k=1):
        self.k = k
        self.columns = list("ACGTN")


def is_frame(X):
    return getattr(X, "ndim", 1) == 2


# What is wrong with an estimator (a class, or methods in place of those of Tiny), by the check that
# must find it out.
BROKEN = {
    "check_sequence_fitted_or_not": {
        "transforms unfitted": {"transform": lambda self, X: frequencies(check_sequences(X))},
        "never fitted": {"__sklearn_is_fitted__": lambda self: False},
        "always fitted": {"__sklearn_is_fitted__": lambda self: True},
    },
    "check_sequence_output": {
        "fit returns nothing": {"fit": lambda self, X, y=None: None},
        "integers": {"transform": transform(lambda rows: rows.astype(int))},
        "features in": {"fit": remember("n_features_in_", lambda *_: 1)},
        "nan": {"transform": transform(lambda rows: rows * np.nan)},
        "nan for N": {"transform": transform(without_n)},
        "needs two": {"fit": refuse(lambda X: len(X) < 2)},
        "too few names": {"get_feature_names_out": lambda self, input_features=None: ["a", "b"]},
        "same names": {"get_feature_names_out": lambda self, input_features=None: ["base"] * 5},
    },
    "check_sequence_parameters_unchanged": {
        "changes a parameter": MutatesParameter,
        "public attribute": {"fit": remember("sequences", lambda self, X, y: X)},
    },
    "check_sequence_same_rows": {
        "fit_transform": {"fit_transform": lambda self, X, y=None: self.fit(X).transform(X) + 1},
        "remembers fits": {
            "fit": remember("_fits", lambda self, *_: getattr(self, "_fits", 0) + 1),
            "transform": lambda self, X: Tiny.transform(self, X) * self._fits,
        },
        "remembers transforms": {"transform": count_transforms},
        "sorts": {"transform": lambda self, X: frequencies(sorted(check_sequences(X), key=len))},
        "depends on the batch": {
            "transform": lambda self, X: Tiny.transform(self, X) * max(map(len, check_sequences(X)))
        },
        "case": {"transform": lambda self, X: frequencies(X)},
        "uses targets": {
            "fit": remember("_targets", lambda self, X, y: y),
            "transform": lambda self, X: (
                Tiny.transform(self, X)
                * (1 if self._targets is None else np.arange(len(X))[:, None])
            ),
        },
    },
    "check_sequence_pickle": {"unpicklable": Unpicklable},
    "check_sequence_containers": {
        "no tuples": {"fit": refuse(lambda X: isinstance(X, tuple))},
        "no series": {"fit": refuse(lambda X: hasattr(X, "iloc"))},
        "no columns": {"fit": refuse(is_frame)},
        "writes to its input": {"transform": write_to_input},
    },
    "check_sequence_refused": {
        "accepts nothing": {
            "fit": lambda self, X, y=None: (Tiny.fit if len(X) else accept_anything)(self, X)
        },
        "accepts a string": {"fit": fit(lambda X: list(X) if isinstance(X, str) else X)},
        "skips what is missing": {
            "fit": fit(lambda X: [x for x in X if x is not None] if isinstance(X, list) else X)
        },
        "no position": {"fit": without_position},
        "replaces characters": {
            "fit": fit(lambda X: [x.replace("*", "N") if isinstance(x, str) else x for x in X])
        },
    },
    "check_sequence_pandas": {
        "no frames": {"fit": refuse(is_frame)},
        "none": {"set_output": lambda self, *, transform=None: self},
        "loses the index": {
            "fit_transform": lambda self, X, y=None: self.fit(X).transform(X).reset_index(drop=True)
        },
    },
    "check_sequence_polars": {
        "no polars": {"fit": refuse(lambda X: type(X).__module__.startswith("polars"))},
        "not as output": {
            "set_output": lambda self, *, transform=None: (
                self if transform == "polars" else Tiny.set_output(self, transform=transform)
            )
        },
    },
    "check_sequence_column_transformer": {
        "no frames": {"fit": refuse(is_frame)},
        "names take no input": {
            "get_feature_names_out": lambda self: Tiny.get_feature_names_out(self)
        },
    },
    "check_no_attributes_set_in_init": {"works in init": WorksInInit},
}
# What a fault may raise: an assertion of ours, or what comes out of the estimator itself.
FAILURES = (AssertionError, AttributeError, TypeError, ValueError)


def broken(check, fault):
    change = BROKEN[check][fault]
    return (type("Broken", (Tiny,), change) if isinstance(change, dict) else change)()


@pytest.mark.parametrize(
    ("estimator", "check"),
    [*sequence_transformer_checks(Tiny()), *sequence_transformer_checks(KmerEmbedder(k=2))],
)
def test_right_transformers_pass(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    ("check", "fault"), [(check, fault) for check, faults in BROKEN.items() for fault in faults]
)
def test_broken_transformers_fail(check, fault):
    estimator = broken(check, fault)
    checks = {one.func.__name__: one for _, one in sequence_transformer_checks(estimator)}
    with pytest.raises(FAILURES):
        checks[check](estimator)


def test_every_check_is_seen_to_fail_and_sklearn_still_has_those_that_are_borrowed():
    assert {check.__name__ for check in estimator_checks._SEQUENCE_CHECKS} <= set(BROKEN)
    for name in estimator_checks._SKLEARN_CHECKS:
        assert hasattr(sklearn_checks, name)


def test_messages_name_the_estimator_and_the_fault():
    with pytest.raises(AssertionError, match="Broken: rows depend on the other sequences"):
        check_sequence_transformer(broken("check_sequence_same_rows", "depends on the batch"))
    estimator = broken("check_sequence_refused", "no position")
    with pytest.raises(AssertionError, match=r"Broken\.fit should raise TypeError for None"):
        estimator_checks.check_sequence_refused("Broken", estimator)


def test_parameter_declarations_are_not_asked_of_others():
    class Plain(TransformerMixin, BaseEstimator):
        pass

    names = [check.func.__name__ for _, check in sequence_transformer_checks(Plain())]
    assert "check_param_validation" not in names
    assert "check_set_params" in names


def test_missing_package_skips_a_check(monkeypatch):
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.warns(SkipTestWarning, match="polars is not installed"):
        check_sequence_transformer(Tiny())
