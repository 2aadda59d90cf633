"""What `estimator_checks` asks of a transformer of DNA sequences, a function per convention."""

from __future__ import annotations

import importlib
import pickle
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any
from unittest import SkipTest

import joblib
import numpy as np
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

TOLERANCE = 1e-5


def example_sequences() -> list[str]:
    """Return the sequences that the checks use: many lengths, some alike, some N."""
    rng = np.random.default_rng(0)
    lengths = [60, 31, 450, 60, 128, 20, 700, 31, 64, 255]
    sequences = ["".join(rng.choice(list("ACGT"), length)) for length in lengths]
    sequences[3] = sequences[3][:20] + "N" * 10 + sequences[3][30:]
    return sequences


def _fresh(estimator: Any) -> Any:
    estimator = clone(estimator)
    if "random_state" in estimator.get_params(deep=False):
        estimator.set_params(random_state=0)
    return estimator


def _fitted(estimator: Any, X: Any = None) -> Any:
    return _fresh(estimator).fit(example_sequences() if X is None else X)


def _rows(estimator: Any, X: Any = None) -> Any:
    """Embed sequences, those of the checks if None, by an estimator fitted to them."""
    return _fitted(estimator).transform(example_sequences() if X is None else X)


def _assert_close(actual: Any, expected: Any, message: str) -> None:
    actual, expected = (np.asarray(rows, dtype=np.float64) for rows in (actual, expected))
    assert_allclose(actual, expected, rtol=TOLERANCE, atol=TOLERANCE, err_msg=message)


@contextmanager
def _must_raise(
    kinds: type[Exception] | tuple[type[Exception], ...], match: str, message: str
) -> Iterator[None]:
    try:
        yield
    except kinds as error:
        if not re.search(match, str(error)):
            raise AssertionError(
                f"{message} The error should match {match!r}, got: {error}"
            ) from error
    else:
        raise AssertionError(message)


def import_or_skip(module: str) -> ModuleType:
    """Import a module, or raise `SkipTest` if it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise SkipTest(f"{module} is not installed") from None


def check_sequence_unfitted(name: str, estimator_orig: Any) -> None:
    """`transform` and `get_feature_names_out` raise NotFittedError unless fitted; so do clones."""
    for estimator in (_fresh(estimator_orig), clone(_fitted(estimator_orig))):
        message = f"{name} should raise NotFittedError before fit: call check_is_fitted."
        with _must_raise(NotFittedError, "", message):
            estimator.transform(example_sequences())
        with _must_raise(NotFittedError, "", message):
            estimator.get_feature_names_out()


def check_sequence_is_fitted(name: str, estimator_orig: Any) -> None:
    """`check_is_fitted`, which FrozenEstimator and others call, knows whether `fit` was called."""
    with _must_raise(NotFittedError, "", f"{name} passes check_is_fitted before fit."):
        check_is_fitted(_fresh(estimator_orig))
    try:
        check_is_fitted(_fitted(estimator_orig))
    except NotFittedError as error:
        raise AssertionError(
            f"{name} fails check_is_fitted after fit: set an attribute that ends with '_', or "
            f"define __sklearn_is_fitted__."
        ) from error


def check_sequence_fit_returns_self(name: str, estimator_orig: Any) -> None:
    """`fit` returns the estimator itself."""
    estimator = _fresh(estimator_orig)
    assert estimator.fit(example_sequences()) is estimator, f"{name}.fit should return self."


def check_sequence_output(name: str, estimator_orig: Any) -> None:
    """`transform` gives finite floats, one row per sequence; there is no n_features_in_."""
    X = example_sequences()
    estimator = _fitted(estimator_orig)
    embeddings = estimator.transform(X)
    assert isinstance(embeddings, np.ndarray), f"{name}.transform should return an array."
    assert embeddings.shape[:-1] == (len(X),), f"{name}.transform should return a row per sequence."
    assert embeddings.dtype.kind == "f", f"{name}.transform should return floats."
    assert np.isfinite(embeddings).all(), f"{name}.transform should return finite numbers."
    assert not hasattr(estimator, "n_features_in_"), (
        f"{name} should not set n_features_in_: sequences have no features yet."
    )


def check_sequence_fit_idempotent(name: str, estimator_orig: Any) -> None:
    """Fitting again on the same sequences changes nothing."""
    X = example_sequences()
    estimator = _fitted(estimator_orig)
    first = estimator.transform(X)
    _assert_close(estimator.fit(X).transform(X), first, f"{name}: a second fit changes embeddings.")


def check_sequence_transform_repeatable(name: str, estimator_orig: Any) -> None:
    """A second `transform` gives what the first one gave."""
    X = example_sequences()
    estimator = _fitted(estimator_orig)
    first = np.array(estimator.transform(X))
    _assert_close(estimator.transform(X), first, f"{name}: a second transform differs.")


def check_sequence_parameters_unchanged(name: str, estimator_orig: Any) -> None:
    """`fit` and `transform` leave parameters alone, and add only attributes that end with `_`."""
    estimator = _fresh(estimator_orig)
    before = {key: joblib.hash(value) for key, value in estimator.get_params().items()}
    public = {key for key in vars(estimator) if not key.startswith("_")}
    estimator.fit(example_sequences()).transform(example_sequences())
    after = {key: joblib.hash(value) for key, value in estimator.get_params().items()}
    changed = sorted(key for key in before | after if before.get(key) != after.get(key))
    assert not changed, f"{name} should not change its parameters, but changes {changed}."
    added = {key for key in vars(estimator) if not key.startswith("_")} - public
    wrong = sorted(key for key in added if not key.endswith("_"))
    assert not wrong, f"{name} should add only attributes that end with '_', but adds {wrong}."


def check_sequence_fit_transform(name: str, estimator_orig: Any) -> None:
    """`fit_transform` is `fit` and `transform`."""
    found = _fresh(estimator_orig).fit_transform(example_sequences())
    message = f"{name}: fit_transform(X) differs from fit(X).transform(X)."
    _assert_close(found, _rows(estimator_orig), message)


def check_sequence_order_invariance(name: str, estimator_orig: Any) -> None:
    """A row does not depend on the order of the sequences."""
    X = example_sequences()
    estimator = _fitted(estimator_orig)
    expected = estimator.transform(X)
    for order in (np.random.default_rng(1).permutation(len(X)), np.arange(len(X))[::-1]):
        found = estimator.transform([X[i] for i in order])
        message = f"{name}: rows depend on the order of the sequences."
        _assert_close(found, expected[order], message)


def check_sequence_subset_invariance(name: str, estimator_orig: Any) -> None:
    """A row does not depend on the other sequences: padding, masks and sorting are right."""
    X = example_sequences()
    expected = _rows(estimator_orig)
    # Fitted anew for each subset: what an estimator remembers of a sequence must not hide a fault.
    for size in (1, 3):
        estimator = _fitted(estimator_orig)
        parts = [estimator.transform(X[i : i + size]) for i in range(0, len(X), size)]
        message = f"{name}: rows depend on the other sequences."
        _assert_close(np.concatenate(parts), expected, message)


def check_sequence_pickle(name: str, estimator_orig: Any) -> None:
    """A pickle, made before or after `fit`, works as the original."""
    X = example_sequences()
    expected = _rows(estimator_orig)
    unfitted = pickle.loads(pickle.dumps(_fresh(estimator_orig)))
    _assert_close(unfitted.fit(X).transform(X), expected, f"{name}: an unpickled one fits badly.")
    fitted = pickle.loads(pickle.dumps(_fitted(estimator_orig)))
    _assert_close(fitted.transform(X), expected, f"{name}: an unpickled fitted one differs.")


def check_sequence_read_only_input(name: str, estimator_orig: Any) -> None:
    """Read-only input is fine, and input is not changed."""
    X = [sequence.lower() for sequence in example_sequences()]
    array = np.array(X, dtype=object)
    array.flags.writeable = False
    _fitted(estimator_orig, array).transform(array)
    as_list = list(X)
    _fitted(estimator_orig, as_list).transform(as_list)
    assert as_list == X, f"{name} should not change its input."


def check_sequence_one_sample(name: str, estimator_orig: Any) -> None:
    """One sequence is enough."""
    embeddings = _fresh(estimator_orig).fit_transform(example_sequences()[:1])
    assert np.shape(embeddings)[0] == 1, f"{name} should embed a single sequence as one row."


def check_sequence_duplicates(name: str, estimator_orig: Any) -> None:
    """Equal sequences have equal rows, each in its place."""
    X = example_sequences()
    rows = _rows(estimator_orig, [*X, *X[::-1]])
    assert len(rows) == 2 * len(X), f"{name} should return a row for each duplicate."
    _assert_close(rows[len(X) :], rows[: len(X)][::-1], f"{name}: duplicates have other rows.")


def _check_refused(
    name: str, estimator_orig: Any, X: Any, kind: type[Exception], match: str, what: str
) -> None:
    for method in ("fit", "transform"):
        estimator = _fresh(estimator_orig) if method == "fit" else _fitted(estimator_orig)
        with _must_raise(kind, match, f"{name}.{method} should raise {kind.__name__} for {what}."):
            getattr(estimator, method)(X)


def check_sequence_empty_input(name: str, estimator_orig: Any) -> None:
    """No sequences at all are refused as scikit-learn does."""
    match = r"Found array with 0 sample\(s\)"
    _check_refused(name, estimator_orig, [], ValueError, match, "an empty list")
    nothing = np.array([], dtype=object)
    _check_refused(name, estimator_orig, nothing, ValueError, match, "an empty array")


def check_sequence_bare_string(name: str, estimator_orig: Any) -> None:
    """A single string is refused: it would be taken for an iterable over bases."""
    match = "Iterable over DNA sequences expected, string object received"
    _check_refused(name, estimator_orig, "ACGTACGT", ValueError, match, "a bare string")


def _check_items_refused(
    name: str, estimator_orig: Any, items: Sequence[Any], kind: type[Exception]
) -> None:
    for item in items:
        X: list[Any] = example_sequences()
        X[4] = item
        # Missing values arrive in arrays as well.
        for container in (X,) if isinstance(item, str | list) else (X, np.array(X, dtype=object)):
            what = f"{item!r} and name its position"
            _check_refused(name, estimator_orig, container, kind, r"\b4\b", what)


def check_sequence_not_a_string(name: str, estimator_orig: Any) -> None:
    """An item that is not a string is refused with its position."""
    _check_items_refused(name, estimator_orig, (7, 1.5, b"ACGT", ["ACGT", "ACGT"]), TypeError)


def check_sequence_missing_values(name: str, estimator_orig: Any) -> None:
    """A missing value is refused with its position."""
    _check_items_refused(name, estimator_orig, (None, np.nan), TypeError)


def check_sequence_bad_characters(name: str, estimator_orig: Any) -> None:
    """Empty sequences and what is not DNA are refused with their position."""
    bad = ("", "ACGT*ACGT", "MKVLAAGE", "ACGT ACGT", "ACG7")
    _check_items_refused(name, estimator_orig, bad, ValueError)


def check_sequence_alphabet(name: str, estimator_orig: Any) -> None:
    """Lower case, U and IUPAC codes are read as they should; all N is defined."""
    X = example_sequences()
    codes = "RYSWKMBDHV"
    for what, change in {
        "case changes embeddings": ([s.lower() for s in X], X),
        "U is not read as T": ([s.replace("T", "U") for s in X], X),
        "IUPAC codes are not read as N": ([X[0] + codes], [X[0] + "N" * len(codes)]),
    }.items():
        found, expected = (_rows(estimator_orig, sequences) for sequences in change)
        _assert_close(found, expected, f"{name}: {what}.")
    odd = _rows(estimator_orig, ["N" * 40, "N", "A"])
    assert np.isfinite(odd).all(), f"{name}: all N, or a single base, should give finite numbers."


def _check_containers(
    name: str, estimator_orig: Any, kinds: dict[str, Callable[[list[str]], Any]]
) -> None:
    X = example_sequences()
    expected = _fresh(estimator_orig).fit_transform(X)
    for what, make in kinds.items():
        message = f"{name}: {what} gives other rows than a list."
        _assert_close(_fitted(estimator_orig, make(X)).transform(make(X)), expected, message)


def check_sequence_containers(name: str, estimator_orig: Any) -> None:
    """Tuples and numpy arrays of all string types are as good as lists."""
    string = getattr(np.dtypes, "StringDType", None)  # from numpy 2 on
    kinds: dict[str, Callable[[list[str]], Any]] = {
        "a tuple": tuple,
        "a U array": np.array,
        "an object array": lambda X: np.array(X, dtype=object),
        "an (n, 1) object array": lambda X: np.array(X, dtype=object)[:, None],
    }
    if string is not None:
        kinds["a StringDType array"] = lambda X: np.array(X, dtype=string())
    _check_containers(name, estimator_orig, kinds)


def check_sequence_pandas_containers(name: str, estimator_orig: Any) -> None:
    """Columns of pandas are as good as lists, and missing values in them are refused."""
    pandas = import_or_skip("pandas")
    kinds = {
        "an object Series": lambda X: pandas.Series(X, index=range(7, 7 + len(X)), dtype=object),
        "a string Series": lambda X: pandas.Series(X, dtype="string"),
        "a pandas string array": lambda X: pandas.array(X, dtype="string"),
        "a frame of one column": lambda X: pandas.DataFrame({"sequence": X}),
    }
    _check_containers(name, estimator_orig, kinds)
    missing = pandas.Series([*example_sequences()[:4], None], dtype="string")
    what = "pandas.NA and name its position"
    _check_refused(name, estimator_orig, missing, TypeError, r"\b4\b", what)


def check_sequence_polars_containers(name: str, estimator_orig: Any) -> None:
    """Columns of polars are as good as lists."""
    polars = import_or_skip("polars")
    kinds = {
        "a polars Series": polars.Series,
        "a polars frame of one column": lambda X: polars.DataFrame({"sequence": X}),
    }
    _check_containers(name, estimator_orig, kinds)


def check_sequence_feature_names(name: str, estimator_orig: Any) -> None:
    """There is a name for each column, all different, all strings."""
    estimator = _fitted(estimator_orig)
    names = estimator.get_feature_names_out()
    n_columns = np.shape(estimator.transform(example_sequences()))[1]
    assert len(names) == n_columns, f"{name} has {len(names)} names for {n_columns} columns."
    assert all(isinstance(column, str) for column in names), f"{name}: names should be strings."
    assert len(set(names)) == len(names), f"{name}: names should differ."


def _check_set_output(name: str, estimator_orig: Any, library: str, X: Any) -> list[Any]:
    expected = _rows(estimator_orig)
    estimator = _fresh(estimator_orig).set_output(transform=library)
    frames = [estimator.fit_transform(X), estimator.transform(X)]
    for frame in frames:
        assert isinstance(frame, import_or_skip(library).DataFrame), (
            f"{name} should return a {library} frame."
        )
        assert list(frame.columns) == list(estimator.get_feature_names_out()), (
            f"{name}: columns should have the names of get_feature_names_out."
        )
        _assert_close(frame, expected, f"{name}: the frame has other numbers than the array.")
    return frames


def check_sequence_set_output_pandas(name: str, estimator_orig: Any) -> None:
    """``set_output(transform="pandas")`` gives a frame with the index and the names."""
    X = example_sequences()
    index = [f"read{i}" for i in range(len(X))]
    table = import_or_skip("pandas").DataFrame({"sequence": X}, index=index)
    for frame in _check_set_output(name, estimator_orig, "pandas", table):
        assert list(frame.index) == index, f"{name} should keep the index."


def check_sequence_set_output_polars(name: str, estimator_orig: Any) -> None:
    """``set_output(transform="polars")`` gives a frame with the names."""
    X = import_or_skip("polars").Series(example_sequences())
    _check_set_output(name, estimator_orig, "polars", X)


def check_sequence_pipeline(name: str, estimator_orig: Any) -> None:
    """Works in a Pipeline, where `fit` is given y, which changes nothing."""
    X = example_sequences()
    expected = StandardScaler().fit_transform(_rows(estimator_orig))
    for y in (None, np.arange(len(X)) % 2):
        found = make_pipeline(_fresh(estimator_orig), StandardScaler()).fit(X, y).transform(X)
        _assert_close(found, expected, f"{name} differs in a Pipeline.")


def check_sequence_column_transformer(name: str, estimator_orig: Any) -> None:
    """Works on a column of a table, given by its name or in a list."""
    X = example_sequences()
    coverage = np.arange(len(X), dtype=float)
    table = import_or_skip("pandas").DataFrame({"coverage": coverage, "sequence": X})
    expected = np.column_stack([_rows(estimator_orig), coverage])
    for column in ("sequence", ["sequence"]):
        embed = ("embed", _fresh(estimator_orig), column)
        columns = ColumnTransformer([embed], remainder="passthrough")
        found = columns.fit_transform(table)
        _assert_close(found, expected, f"{name} differs in a ColumnTransformer.")
        assert len(columns.get_feature_names_out()) == found.shape[1], (
            f"{name} has no good names in a ColumnTransformer."
        )


def check_sequence_feature_union(name: str, estimator_orig: Any) -> None:
    """Works beside another in a FeatureUnion."""
    expected = _rows(estimator_orig)
    union = FeatureUnion([("a", _fresh(estimator_orig)), ("b", _fresh(estimator_orig))])
    found = union.fit_transform(example_sequences())
    _assert_close(found, np.hstack([expected, expected]), f"{name} differs in a FeatureUnion.")
    assert len(union.get_feature_names_out()) == found.shape[1], (
        f"{name} has no good names in a FeatureUnion."
    )


#: All of the above, in their order.
SEQUENCE_CHECKS: Sequence[Callable[[str, Any], None]] = tuple(
    check for name, check in list(globals().items()) if name.startswith("check_sequence_")
)
