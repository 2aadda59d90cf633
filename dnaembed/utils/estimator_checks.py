"""Checks for transformers of DNA sequences, where scikit-learn's own do not fit.

`sklearn.utils.estimator_checks.check_estimator` feeds numbers, and so leaves an estimator of
strings all but unchecked. Here are those of its checks that need no data, and string versions of
the rest. Each check is a function of a name and an estimator that raises if something is wrong.

An estimator that caches should be checked with its cache switched off as well: a cached row hides
that it would depend on the other sequences of its batch.
"""

import pickle
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from unittest import SkipTest

import joblib
import numpy as np
import pandas as pd
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError, SkipTestWarning
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.utils import estimator_checks as sklearn_checks
from sklearn.utils._testing import raises
from sklearn.utils.validation import check_is_fitted

__all__ = ["check_sequence_transformer", "sequence_transformer_checks"]

# Those of scikit-learn's checks that hold for any input.
_SKLEARN_CHECKS = (
    "check_estimator_cloneable", "check_estimator_tags_renamed", "check_valid_tag_types",
    "check_estimator_repr", "check_no_attributes_set_in_init", "check_estimators_unfitted",
    "check_do_not_raise_errors_in_init_or_set_params", "check_mixin_order",
    "check_transformers_unfitted", "check_parameters_default_constructible",
    "check_get_params_invariance", "check_set_params",
)  # fmt: skip
_TOLERANCE = 1e-5


def _example_sequences() -> list[str]:
    """Return the sequences that the checks use: many lengths, some alike, some N, two equal."""
    rng = np.random.default_rng(0)
    lengths = [60, 31, 450, 60, 128, 20, 700, 31, 64, 255]
    sequences = ["".join(rng.choice(list("ACGT"), length)) for length in lengths]
    sequences[3] = sequences[3][:20] + "N" * 10 + sequences[3][30:]
    return [*sequences, sequences[0]]


_ORDER = np.random.default_rng(1).permutation(11)
# Ways to the rows of the sequences `X` by an estimator that was not fitted yet, and what is wrong
# with one that gives others than ``fit(X).transform(X)``.
_WAYS: dict[str, Callable[[Any, list[str]], Any]] = {
    "fit_transform(X) differs": lambda new, X: new.fit_transform(X),
    "a second transform differs": lambda new, X: [new.fit(X).transform(X), new.transform(X)][1],
    "a second fit changes embeddings": lambda new, X: new.fit(X).fit(X).transform(X),
    "fit depends on y": lambda new, X: new.fit(X, np.arange(len(X)) % 2).transform(X),
    "it differs in a Pipeline": lambda new, X: make_pipeline(new).fit(X, None).transform(X),
    "rows depend on the order of the sequences": lambda new, X: new.fit(X).transform(
        [X[i] for i in _ORDER]
    )[np.argsort(_ORDER)],
    # Fitted anew, so that what an estimator remembers of a sequence hides no fault.
    "rows depend on the other sequences": lambda new, X: np.concatenate(
        [new.fit(X).transform([x]) for x in X]
    ),
    "rows depend on the sequences beside them": lambda new, X: np.concatenate(
        [new.fit(X).transform(X[i : i + 3]) for i in range(0, len(X), 3)]
    ),
    "case changes embeddings": lambda new, X: new.fit_transform([x.lower() for x in X]),
    "U is not read as T": lambda new, X: new.fit_transform([x.replace("T", "U") for x in X]),
    "IUPAC codes are not read as N": lambda new, X: new.fit_transform(
        [x.replace("N" * 10, "RYSWKMBDHV") for x in X]
    ),
}
_CONTAINERS: list[Callable[[list[str]], Any]] = [
    tuple,
    np.array,
    lambda X: np.array(X, dtype=object),
    lambda X: np.array(X, dtype=object)[:, None],
    lambda X: pd.Series(X, index=range(7, 7 + len(X)), dtype=object),
    lambda X: pd.Series(X, dtype="string"),
    lambda X: pd.array(X, dtype="string"),
]
if hasattr(np.dtypes, "StringDType"):  # from numpy 2 on
    _CONTAINERS.append(lambda X: np.array(X, dtype=np.dtypes.StringDType()))


def _fresh(estimator: Any) -> Any:
    estimator = clone(estimator)
    if "random_state" in estimator.get_params(deep=False):
        estimator.set_params(random_state=0)
    return estimator


def _rows(estimator: Any, X: Any = None) -> Any:
    """Embed sequences, those of the checks if None, by an estimator fitted to them."""
    X = _example_sequences() if X is None else X
    return _fresh(estimator).fit(X).transform(X)


def _assert_close(actual: Any, expected: Any, message: str) -> None:
    actual, expected = (np.asarray(rows, dtype=np.float64) for rows in (actual, expected))
    assert_allclose(actual, expected, rtol=_TOLERANCE, atol=_TOLERANCE, err_msg=message)


def check_sequence_fitted_or_not(name: str, estimator_orig: Any) -> None:
    """Before `fit`, and in a clone, all raise NotFittedError; `check_is_fitted` knows the state."""
    X = _example_sequences()
    fitted = _fresh(estimator_orig).fit(X)
    uses: Any = {"transform": lambda one: one.transform(X), "check_is_fitted": check_is_fitted}
    uses["get_feature_names_out"] = lambda one: one.get_feature_names_out()
    for estimator in (_fresh(estimator_orig), clone(fitted)):
        for what, use in uses.items():
            with raises(NotFittedError, err_msg=f"{name}: {what} should raise before fit."):
                use(estimator)
    try:
        check_is_fitted(fitted)
    except NotFittedError as error:
        message = f"{name} fails check_is_fitted after fit: set an attribute that ends with '_'."
        raise AssertionError(message) from error


def check_sequence_output(name: str, estimator_orig: Any) -> None:
    """`transform` gives finite floats, one row per sequence; there is no n_features_in_."""
    X = _example_sequences()
    estimator = _fresh(estimator_orig)
    assert estimator.fit(X) is estimator, f"{name}.fit should return self."
    for given in (X, X[:1], ["N" * 40, "N", "A"]):
        embeddings = estimator.fit(given).transform(given)
        assert isinstance(embeddings, np.ndarray), f"{name}.transform should return an array."
        assert len(embeddings) == len(given), f"{name} should return a row per sequence."
        assert embeddings.dtype.kind == "f", f"{name}.transform should return floats."
        assert np.isfinite(embeddings).all(), f"{name}.transform should return finite numbers."
    message = f"{name} should not set n_features_in_: sequences have no features yet."
    assert not hasattr(estimator, "n_features_in_"), message
    names = estimator.get_feature_names_out()
    n_columns = np.shape(embeddings)[1]
    assert len(names) == n_columns, f"{name} has {len(names)} names for {n_columns} columns."
    are_good = len(set(names)) == len(names) and all(isinstance(column, str) for column in names)
    assert are_good, f"{name}: names of columns should be strings, and differ."


def check_sequence_parameters_unchanged(name: str, estimator_orig: Any) -> None:
    """`fit` and `transform` leave parameters alone, and add only attributes that end with `_`."""
    estimator = _fresh(estimator_orig)
    before, known = joblib.hash(estimator.get_params()), set(vars(estimator))
    estimator.fit(_example_sequences()).transform(_example_sequences())
    assert joblib.hash(estimator.get_params()) == before, f"{name} should keep its parameters."
    added = sorted(set(vars(estimator)) - known)
    wrong = [key for key in added if not (key.startswith("_") or key.endswith("_"))]
    assert not wrong, f"{name} should add only attributes that end with '_', but adds {wrong}."


def check_sequence_same_rows(name: str, estimator_orig: Any) -> None:
    """A row depends on its sequence alone, however it is written, and on nothing before."""
    X = _example_sequences()
    expected = _rows(estimator_orig)
    for fault, way in _WAYS.items():
        _assert_close(way(_fresh(estimator_orig), X), expected, f"{name}: {fault}.")


def check_sequence_pickle(name: str, estimator_orig: Any) -> None:
    """A pickle, made before or after `fit`, works as the original."""
    X, expected = _example_sequences(), _rows(estimator_orig)
    unfitted = pickle.loads(pickle.dumps(_fresh(estimator_orig)))
    _assert_close(unfitted.fit(X).transform(X), expected, f"{name}: an unpickled one fits badly.")
    fitted = pickle.loads(pickle.dumps(_fresh(estimator_orig).fit(X)))
    _assert_close(fitted.transform(X), expected, f"{name}: an unpickled fitted one differs.")


def check_sequence_containers(name: str, estimator_orig: Any) -> None:
    """Tuples, arrays of all string types and columns of pandas are as good as lists."""
    expected = _rows(estimator_orig)
    for make in _CONTAINERS:
        given = make(_example_sequences())
        message = f"{name}: {type(given)} gives other rows than a list."
        _assert_close(_rows(estimator_orig, given), expected, message)
    # Read-only input is fine, and input is not changed.
    X = [sequence.lower() for sequence in _example_sequences()]
    array = np.array(X, dtype=object)
    array.flags.writeable = False
    _rows(estimator_orig, array)
    as_list = list(X)
    _rows(estimator_orig, as_list)
    assert as_list == X, f"{name} should not change its input."


# In the place of all sequences, or of the one at position 4: what must be refused, and how.
_EMPTY = r"Found array with 0 sample\(s\)"
_REFUSED_INPUTS: tuple[tuple[Any, type[Exception], str], ...] = (
    ([], ValueError, _EMPTY),
    (np.array([], dtype=object), ValueError, _EMPTY),
    ("ACGTACGT", ValueError, "Iterable over DNA sequences expected, string object received"),
    (pd.Series([*"ACGT", None], dtype="string"), TypeError, r"\b4\b"),
)
_REFUSED_ITEMS = {
    TypeError: (7, 1.5, b"ACGT", ["ACGT", "ACGT"], None, np.nan),
    ValueError: ("", "ACGT*ACGT", "MKVLAAGE", "ACGT ACGT", "ACG7"),
}


def check_sequence_refused(name: str, estimator_orig: Any) -> None:
    """Input that is not a list of strings, empty or not DNA is refused, with its position."""
    refused = [(X, kind, match, repr(X)) for X, kind, match in _REFUSED_INPUTS]
    for kind, items in _REFUSED_ITEMS.items():
        for item in items:
            X: list[Any] = _example_sequences()
            X[4] = item
            refused.append((X, kind, r"\b4\b", f"{item!r} and name its position"))
            if not isinstance(item, str | list):  # missing values arrive in arrays as well
                refused.append((np.array(X, dtype=object), *refused[-1][1:]))
    fitted = _fresh(estimator_orig).fit(_example_sequences())
    for X, kind, match, what in refused:
        for method, estimator in {"fit": _fresh(estimator_orig), "transform": fitted}.items():
            message = f"{name}.{method} should raise {kind.__name__} for {what}, matching {match}."
            with raises(kind, match=match, err_msg=message):
                getattr(estimator, method)(X)


def check_sequence_pandas(name: str, estimator_orig: Any, library: Any = pd) -> None:
    """Columns of pandas are as good as lists; ``set_output`` gives frames, with the index."""
    X, expected = _example_sequences(), _rows(estimator_orig)
    table = library.DataFrame({"sequence": X})
    if library is pd:
        table.index = [f"read{i}" for i in range(len(X))]
    for given in (table, table["sequence"]):
        message = f"{name}: {type(given)} gives other rows than a list."
        _assert_close(_rows(estimator_orig, given), expected, message)
    estimator = _fresh(estimator_orig).set_output(transform=library.__name__)
    for frame in (estimator.fit_transform(table), estimator.transform(table)):
        kind = f"a frame of {library.__name__}"
        assert isinstance(frame, library.DataFrame), f"{name} should return {kind}."
        names = list(estimator.get_feature_names_out())
        assert list(frame.columns) == names, f"{name}: columns should be the feature names."
        _assert_close(frame, expected, f"{name}: the frame has other numbers than the array.")
        if library is pd:
            assert frame.index.equals(table.index), f"{name} should keep the index."


def check_sequence_polars(name: str, estimator_orig: Any) -> None:
    """The same of polars, where it is installed."""
    try:
        import polars
    except ImportError:
        raise SkipTest("polars is not installed") from None
    check_sequence_pandas(name, estimator_orig, polars)


def check_sequence_column_transformer(name: str, estimator_orig: Any) -> None:
    """Works on a column of a table, given by its name or in a list, and in a FeatureUnion."""
    X = _example_sequences()
    rows, coverage = _rows(estimator_orig), np.arange(len(X), dtype=float)
    table = pd.DataFrame({"coverage": coverage, "sequence": X})
    union = FeatureUnion([("a", _fresh(estimator_orig)), ("b", _fresh(estimator_orig))])
    joins: list[tuple[Any, Any, list[Any]]] = [(union, X, [rows, rows])]
    for column in ("sequence", ["sequence"]):
        embed = ("embed", _fresh(estimator_orig), column)
        columns = ColumnTransformer([embed], remainder="passthrough")
        joins.append((columns, table, [rows, coverage]))
    for joined, given, expected in joins:
        kind, found = type(joined).__name__, joined.fit_transform(given)
        _assert_close(found, np.column_stack(expected), f"{name} differs in a {kind}.")
        n_names = len(joined.get_feature_names_out())
        assert n_names == found.shape[1], f"{name} has no good names in a {kind}."


# All of the above, in their order.
_SEQUENCE_CHECKS: list[Callable[[str, Any], None]] = [
    check for name, check in list(globals().items()) if name.startswith("check_sequence_")
]


def sequence_transformer_checks(estimator: Any) -> Iterator[tuple[Any, Callable[[Any], None]]]:
    """Yield the checks of a transformer of DNA sequences, for `pytest.mark.parametrize`.

    Parameters
    ----------
    estimator : transformer
        An instance; the checks work on clones.

    Yields
    ------
    tuple of (transformer, callable)
        The one given, and a check: ``check(estimator)`` raises if something is wrong, and
        `unittest.SkipTest` if it needs a package that is not installed.

    Examples
    --------
    >>> from dnaembed import KmerEmbedder
    >>> from dnaembed.utils.estimator_checks import sequence_transformer_checks
    >>> for estimator, check in sequence_transformer_checks(KmerEmbedder()):
    ...     check(estimator)
    """
    # Private to scikit-learn: one that a later version drops is not missed.
    checks = [getattr(sklearn_checks, check, None) for check in _SKLEARN_CHECKS]
    if hasattr(estimator, "_parameter_constraints"):  # which others need not declare
        checks.append(getattr(sklearn_checks, "check_param_validation", None))
    for check in (*checks, *_SEQUENCE_CHECKS):
        if check is not None:
            yield estimator, partial(check, type(estimator).__name__)


def check_sequence_transformer(estimator: Any) -> None:
    """Check that a transformer of DNA sequences keeps scikit-learn's conventions.

    Parameters
    ----------
    estimator : transformer
        An instance; the checks work on clones.

    Raises
    ------
    Exception
        That of the first check that fails, most often an `AssertionError` that says what to do. A
        check that needs a package that is not installed gives a `SkipTestWarning`.

    Examples
    --------
    >>> from dnaembed import KmerEmbedder
    >>> from dnaembed.utils.estimator_checks import check_sequence_transformer
    >>> check_sequence_transformer(KmerEmbedder(k=2))
    """
    for estimator_, check in sequence_transformer_checks(estimator):
        try:
            check(estimator_)
        except SkipTest as reason:
            warnings.warn(str(reason), SkipTestWarning, stacklevel=2)
