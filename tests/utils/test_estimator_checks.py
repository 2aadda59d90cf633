"""Our checks must pass what is right and catch each thing that can be wrong."""

import warnings
from typing import ClassVar
from unittest import SkipTest

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import SkipTestWarning
from sklearn.utils import estimator_checks as sklearn_checks
from sklearn.utils.validation import check_is_fitted

from dnaembed import KmerEmbedder, check_sequences
from dnaembed.utils import _sequence_checks, estimator_checks
from dnaembed.utils.estimator_checks import (
    check_sequence_transformer,
    parametrize_with_sequence_checks,
    sequence_transformer_checks,
)


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


class Unfitted(Tiny):
    def transform(self, X):
        return frequencies(check_sequences(X))


class NeverFitted(Tiny):
    def __sklearn_is_fitted__(self):
        return False


class AlwaysFitted(Tiny):
    def __sklearn_is_fitted__(self):
        return True


class FitReturnsNothing(Tiny):
    def fit(self, X, y=None):
        super().fit(X)


class Integers(Tiny):
    def transform(self, X):
        return super().transform(X).astype(int)


class FeaturesIn(Tiny):
    def fit(self, X, y=None):
        self.n_features_in_ = 1
        return super().fit(X)


class RemembersFits(Tiny):
    def fit(self, X, y=None):
        self._n_fits = getattr(self, "_n_fits", 0) + 1
        return super().fit(X)

    def transform(self, X):
        return super().transform(X) * self._n_fits


class RemembersTransforms(Tiny):
    def transform(self, X):
        self._n_transforms = getattr(self, "_n_transforms", 0) + 1
        return super().transform(X) * self._n_transforms


class MutatesParameter(Tiny):
    _parameter_constraints: ClassVar[dict] = {"bases": "no_validation"}

    def __init__(self, bases=("A",)):
        self.bases = bases

    def fit(self, X, y=None):
        self.bases = [*self.bases, "C"]
        return super().fit(X)


class PublicAttribute(Tiny):
    def fit(self, X, y=None):
        self.sequences = X
        return super().fit(X)


class OtherFitTransform(Tiny):
    def fit_transform(self, X, y=None):
        return super().fit_transform(X) + 1


class SortsByLength(Tiny):
    def transform(self, X):
        return frequencies(sorted(check_sequences(X), key=len))


class DependsOnBatch(Tiny):
    def transform(self, X):
        longest = max(map(len, check_sequences(X)))
        return super().transform(X) * longest


class Unpicklable(Tiny):
    def fit(self, X, y=None):
        self._function = lambda: None
        return super().fit(X)


class PickleForgets(Tiny):
    def fit(self, X, y=None):
        self._scale = 2.0
        return super().fit(X)

    def transform(self, X):
        return super().transform(X) * getattr(self, "_scale", 1.0)

    def __getstate__(self):
        return {k: v for k, v in super().__getstate__().items() if k != "_scale"}


class WritesToInput(Tiny):
    def transform(self, X):
        if isinstance(X, list | np.ndarray):
            for i, sequence in enumerate(check_sequences(X)):
                X[i] = sequence
        return super().transform(X)


class NeedsTwo(Tiny):
    def fit(self, X, y=None):
        if len(X) < 2:
            raise ValueError("at least two sequences")
        return super().fit(X)


class DropsDuplicates(Tiny):
    def transform(self, X):
        return super().transform(list(dict.fromkeys(check_sequences(X))))


class AcceptsNothing(Tiny):
    def fit(self, X, y=None):
        if len(X):
            return super().fit(X)
        self._n_features_out = 5
        return self


class AcceptsString(Tiny):
    def fit(self, X, y=None):
        return super().fit(list(X) if isinstance(X, str) else X)


class Stringifies(Tiny):
    def fit(self, X, y=None):
        self._n_features_out = 5
        return self

    def transform(self, X):
        if isinstance(X, list):
            X = [str(x).translate({ord(c): "N" for c in "0123456789.b'[],ACGT "}) for x in X]
        return super().transform(X)


class SkipsMissing(Tiny):
    def fit(self, X, y=None):
        return super().fit([x for x in X if x is not None] if isinstance(X, list) else X)


class NoPosition(Tiny):
    def fit(self, X, y=None):
        if not isinstance(X, str) and any(x is None for x in X):
            raise TypeError("a sequence is missing")
        return super().fit(X)


class AcceptsAnything(Tiny):
    def fit(self, X, y=None):
        if isinstance(X, list):
            X = [x.replace("*", "N") if isinstance(x, str) else x for x in X]
        return super().fit(X)


class CaseSensitive(Tiny):
    def transform(self, X):
        super().transform(X)
        return frequencies(list(X)) if isinstance(X, list) else super().transform(X)


class NaNForN(Tiny):
    def transform(self, X):
        with np.errstate(invalid="ignore"):
            counts = super().transform(X)[:, :4]
            return np.c_[counts, counts[:, 0]] / counts.sum(axis=1, keepdims=True)


class ListsOnly(Tiny):
    def transform(self, X):
        if isinstance(X, tuple):
            raise TypeError("lists only")
        return super().transform(X)


class NoSeries(Tiny):
    def fit(self, X, y=None):
        if hasattr(X, "index") and hasattr(X, "iloc"):
            raise TypeError("no pandas")
        return super().fit(X)


class NoPolars(Tiny):
    def fit(self, X, y=None):
        if type(X).__module__.startswith("polars"):
            raise TypeError("no polars")
        return super().fit(X)


class WrongNumberOfNames(Tiny):
    def fit(self, X, y=None):
        super().fit(X)
        self._n_features_out = 3
        return self


class SameNames(Tiny):
    def get_feature_names_out(self, input_features=None):
        return np.array(["base"] * 5, dtype=object)


class SetsNoOutput(Tiny):
    def set_output(self, *, transform=None):
        return self


class LosesIndex(Tiny):
    def transform(self, X):
        return super().transform(X.to_list() if hasattr(X, "to_list") else X)

    def fit_transform(self, X, y=None):
        return self.fit(X).transform(X).reset_index(drop=True)


class UsesTargets(Tiny):
    def fit(self, X, y=None):
        self._shift = 0 if y is None else 1
        return super().fit(X)

    def transform(self, X):
        rows = super().transform(X)
        return rows * np.arange(len(rows))[:, None] if self._shift else rows


class NoFrames(Tiny):
    def fit(self, X, y=None):
        if getattr(X, "ndim", 1) == 2:
            raise ValueError("no tables")
        return super().fit(X)


class NamesTakeNoInput(Tiny):
    def get_feature_names_out(self):
        return super().get_feature_names_out()


class WorksInInit(Tiny):
    def __init__(self, k=1):
        self.k = k
        self.columns = list("ACGTN")


class WrongMixinOrder(BaseEstimator, TransformerMixin):
    _parameter_constraints: ClassVar[dict] = {}
    fit, transform = Tiny.fit, Tiny.transform


BROKEN = {
    "check_sequence_unfitted": [Unfitted],
    "check_sequence_is_fitted": [NeverFitted, AlwaysFitted],
    "check_sequence_fit_returns_self": [FitReturnsNothing],
    "check_sequence_output": [Integers, FeaturesIn],
    "check_sequence_fit_idempotent": [RemembersFits],
    "check_sequence_transform_repeatable": [RemembersTransforms],
    "check_sequence_parameters_unchanged": [MutatesParameter, PublicAttribute],
    "check_sequence_fit_transform": [OtherFitTransform],
    "check_sequence_order_invariance": [SortsByLength],
    "check_sequence_subset_invariance": [DependsOnBatch],
    "check_sequence_pickle": [Unpicklable, PickleForgets],
    "check_sequence_read_only_input": [WritesToInput],
    "check_sequence_one_sample": [NeedsTwo],
    "check_sequence_duplicates": [DropsDuplicates],
    "check_sequence_empty_input": [AcceptsNothing],
    "check_sequence_bare_string": [AcceptsString],
    "check_sequence_not_a_string": [Stringifies],
    "check_sequence_missing_values": [SkipsMissing, NoPosition],
    "check_sequence_bad_characters": [AcceptsAnything],
    "check_sequence_alphabet": [CaseSensitive, NaNForN],
    "check_sequence_containers": [ListsOnly],
    "check_sequence_pandas_containers": [NoSeries, NoFrames],
    "check_sequence_polars_containers": [NoPolars],
    "check_sequence_feature_names": [WrongNumberOfNames, SameNames],
    "check_sequence_set_output_pandas": [SetsNoOutput, LosesIndex],
    "check_sequence_set_output_polars": [SetsNoOutput],
    "check_sequence_pipeline": [UsesTargets],
    "check_sequence_column_transformer": [NoFrames],
    "check_sequence_feature_union": [NamesTakeNoInput],
    "check_no_attributes_set_in_init": [WorksInInit],
    "check_mixin_order": [WrongMixinOrder],
}
# What a fault may raise: an assertion of ours, or what comes out of the estimator itself.
FAILURES = (AssertionError, AttributeError, TypeError, ValueError)


@parametrize_with_sequence_checks([Tiny(), KmerEmbedder(k=2)])
def test_right_transformers_pass(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    ("check_name", "broken"),
    [(name, broken) for name, kinds in BROKEN.items() for broken in kinds],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_broken_transformers_fail(check_name, broken):
    checks = {check.func.__name__: check for _, check in sequence_transformer_checks(broken())}
    with pytest.raises(FAILURES):
        checks[check_name](broken())


def test_every_check_of_ours_is_seen_to_fail():
    assert {check.__name__ for check in _sequence_checks.SEQUENCE_CHECKS} <= set(BROKEN)


def test_messages_name_the_estimator_and_the_fault():
    with pytest.raises(AssertionError, match="DependsOnBatch: rows depend on the other sequences"):
        check_sequence_transformer(DependsOnBatch())


def test_error_of_another_text_does_not_count():
    with pytest.raises(AssertionError, match=r"'\\\\b4\\\\b', got: a sequence is missing"):
        _sequence_checks.check_sequence_missing_values("NoPosition", NoPosition())


def test_sklearn_still_has_the_checks_that_are_borrowed():
    for name in estimator_checks._SKLEARN_CHECKS:
        assert hasattr(sklearn_checks, name)


def test_parameter_declarations_are_not_asked_of_others():
    class Plain(TransformerMixin, BaseEstimator):
        pass

    names = [check.func.__name__ for _, check in sequence_transformer_checks(Plain())]
    assert "check_param_validation" not in names
    assert "check_set_params" in names


def test_missing_package_skips_a_check(monkeypatch):
    def absent(module):
        raise SkipTest(f"{module} is not installed")

    monkeypatch.setattr(_sequence_checks, "import_or_skip", absent)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_sequence_transformer(Tiny())
    skipped = [str(w.message) for w in caught if w.category is SkipTestWarning]
    assert "pandas is not installed" in skipped
    assert "polars is not installed" in skipped


def test_absent_module_is_a_skip():
    with pytest.raises(SkipTest, match="no_such_module is not installed"):
        _sequence_checks.import_or_skip("no_such_module")
