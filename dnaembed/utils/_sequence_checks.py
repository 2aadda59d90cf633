"""What `estimator_checks` asks of a transformer of DNA sequences, a function per convention."""

import importlib
import pickle
from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import Any
from unittest import SkipTest

import joblib
import numpy as np
import pandas as pd
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils._testing import raises
from sklearn.utils.validation import check_is_fitted

TOLERANCE = 1e-5


def example_sequences() -> list[str]:
    """Return the sequences that the checks use: many lengths, some alike, some N, two equal."""
    rng = np.random.default_rng(0)
    lengths = [60, 31, 450, 60, 128, 20, 700, 31, 64, 255]
    sequences = ["".join(rng.choice(list("ACGT"), length)) for length in lengths]
    sequences[3] = sequences[3][:20] + "N" * 10 + sequences[3][30:]
    return [*sequences, sequences[0]]


def _fresh(estimator: Any) -> Any:
    estimator = clone(estimator)
    if "random_state" in estimator.get_params(deep=False):
        estimator.set_params(random_state=0)
    return estimator


def _fitted(estimator: Any, X: Any = None) -> Any:
    return _fresh(estimator).fit(example_sequences() if X is None else X)


def _rows(estimator: Any, X: Any = None) -> Any:
    """Embed sequences, those of the checks if None, by an estimator fitted to them."""
    return _fitted(estimator, X).transform(example_sequences() if X is None else X)


def _assert_close(actual: Any, expected: Any, message: str) -> None:
    actual, expected = (np.asarray(rows, dtype=np.float64) for rows in (actual, expected))
    assert_allclose(actual, expected, rtol=TOLERANCE, atol=TOLERANCE, err_msg=message)


def import_or_skip(module: str) -> ModuleType:
    """Import a module, or raise `SkipTest` if it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise SkipTest(f"{module} is not installed") from None


def check_sequence_fitted_or_not(name: str, estimator_orig: Any) -> None:
    """Before `fit`, and in a clone, all raise NotFittedError; `check_is_fitted` knows the state."""
    for estimator in (_fresh(estimator_orig), clone(_fitted(estimator_orig))):
        for what, use in {
            "transform": lambda one: one.transform(example_sequences()),
            "get_feature_names_out": lambda one: one.get_feature_names_out(),
            "check_is_fitted": check_is_fitted,
        }.items():
            with raises(NotFittedError, err_msg=f"{name}: {what} should raise before fit."):
                use(estimator)
    try:
        check_is_fitted(_fitted(estimator_orig))
    except NotFittedError as error:
        raise AssertionError(
            f"{name} fails check_is_fitted after fit: set an attribute that ends with '_', or "
            "define __sklearn_is_fitted__."
        ) from error


def check_sequence_output(name: str, estimator_orig: Any) -> None:
    """`transform` gives finite floats, one row per sequence; there is no n_features_in_."""
    X = example_sequences()
    estimator = _fresh(estimator_orig)
    assert estimator.fit(X) is estimator, f"{name}.fit should return self."
    embeddings = estimator.transform(X)
    assert isinstance(embeddings, np.ndarray), f"{name}.transform should return an array."
    assert embeddings.shape[:-1] == (len(X),), f"{name}.transform should return a row per sequence."
    assert embeddings.dtype.kind == "f", f"{name}.transform should return floats."
    assert np.isfinite(embeddings).all(), f"{name}.transform should return finite numbers."
    assert not hasattr(estimator, "n_features_in_"), (
        f"{name} should not set n_features_in_: sequences have no features yet."
    )
    found = _fresh(estimator_orig).fit_transform(X)
    _assert_close(found, embeddings, f"{name}: fit_transform(X) differs from fit(X).transform(X).")


def check_sequence_repeatable(name: str, estimator_orig: Any) -> None:
    """A second `transform`, and a second `fit`, change nothing."""
    X = example_sequences()
    estimator = _fitted(estimator_orig)
    first = np.array(estimator.transform(X))
    _assert_close(estimator.transform(X), first, f"{name}: a second transform differs.")
    _assert_close(estimator.fit(X).transform(X), first, f"{name}: a second fit changes embeddings.")


def check_sequence_parameters_unchanged(name: str, estimator_orig: Any) -> None:
    """`fit` and `transform` leave parameters alone, and add only attributes that end with `_`."""
    estimator = _fresh(estimator_orig)
    before = {key: joblib.hash(value) for key, value in estimator.get_params().items()}
    known = set(vars(estimator))
    estimator.fit(example_sequences()).transform(example_sequences())
    after = {key: joblib.hash(value) for key, value in estimator.get_params().items()}
    changed = sorted(key for key in before | after if before.get(key) != after.get(key))
    assert not changed, f"{name} should not change its parameters, but changes {changed}."
    added = sorted(set(vars(estimator)) - known)
    wrong = [key for key in added if not (key.startswith("_") or key.endswith("_"))]
    assert not wrong, f"{name} should add only attributes that end with '_', but adds {wrong}."


def check_sequence_independence(name: str, estimator_orig: Any) -> None:
    """A row depends on its sequence alone: padding, masks, sorting and duplicates are right."""
    X = example_sequences()
    estimator = _fitted(estimator_orig)
    expected = estimator.transform(X)
    assert len(expected) == len(X), f"{name} should return a row for each duplicate."
    for order in (np.random.default_rng(1).permutation(len(X)), np.arange(len(X))[::-1]):
        found = estimator.transform([X[i] for i in order])
        message = f"{name}: rows depend on the order of the sequences."
        _assert_close(found, expected[order], message)
    # Fitted anew for each size: what an estimator remembers of a sequence must not hide a fault.
    for size in (1, 3):
        estimator = _fitted(estimator_orig)
        parts = [estimator.transform(X[i : i + size]) for i in range(0, len(X), size)]
        message = f"{name}: rows depend on the other sequences."
        _assert_close(np.concatenate(parts), expected, message)
    assert len(_rows(estimator_orig, X[:1])) == 1, f"{name} should be content with one sequence."


def check_sequence_pickle(name: str, estimator_orig: Any) -> None:
    """A pickle, made before or after `fit`, works as the original."""
    X = example_sequences()
    expected = _rows(estimator_orig)
    unfitted = pickle.loads(pickle.dumps(_fresh(estimator_orig)))
    _assert_close(unfitted.fit(X).transform(X), expected, f"{name}: an unpickled one fits badly.")
    fitted = pickle.loads(pickle.dumps(_fitted(estimator_orig)))
    _assert_close(fitted.transform(X), expected, f"{name}: an unpickled fitted one differs.")


def check_sequence_input_unchanged(name: str, estimator_orig: Any) -> None:
    """Read-only input is fine, and input is not changed."""
    X = [sequence.lower() for sequence in example_sequences()]
    array = np.array(X, dtype=object)
    array.flags.writeable = False
    _rows(estimator_orig, array)
    as_list = list(X)
    _rows(estimator_orig, as_list)
    assert as_list == X, f"{name} should not change its input."


# In the place of all sequences, or of the one at position 4: what must be refused, and how.
_REFUSED_INPUTS: tuple[tuple[Any, str], ...] = (
    ([], r"Found array with 0 sample\(s\)"),
    (np.array([], dtype=object), r"Found array with 0 sample\(s\)"),
    ("ACGTACGT", "Iterable over DNA sequences expected, string object received"),
)
_REFUSED_ITEMS = {
    TypeError: (7, 1.5, b"ACGT", ["ACGT", "ACGT"], None, np.nan),
    ValueError: ("", "ACGT*ACGT", "MKVLAAGE", "ACGT ACGT", "ACG7"),
}


def _check_refused(
    name: str, estimator_orig: Any, X: Any, kind: type[Exception], match: str, what: str
) -> None:
    for method, estimator in {"fit": _fresh, "transform": _fitted}.items():
        message = f"{name}.{method} should raise {kind.__name__} for {what}, matching {match!r}."
        with raises(kind, match=match, err_msg=message):
            getattr(estimator(estimator_orig), method)(X)


def check_sequence_refused_inputs(name: str, estimator_orig: Any) -> None:
    """No sequences at all, and a bare string, are refused as scikit-learn does."""
    for X, match in _REFUSED_INPUTS:
        _check_refused(name, estimator_orig, X, ValueError, match, repr(X))


def check_sequence_refused_items(name: str, estimator_orig: Any) -> None:
    """What is not a string, missing, empty or not DNA is refused with its position."""
    for kind, items in _REFUSED_ITEMS.items():
        for item in items:
            X: list[Any] = example_sequences()
            X[4] = item
            # Missing values arrive in arrays as well.
            both = (X,) if isinstance(item, str | list) else (X, np.array(X, dtype=object))
            for given in both:
                what = f"{item!r} and name its position"
                _check_refused(name, estimator_orig, given, kind, r"\b4\b", what)


def check_sequence_alphabet(name: str, estimator_orig: Any) -> None:
    """Lower case, U and IUPAC codes are read as they should; all N is defined."""
    X = example_sequences()
    codes = "RYSWKMBDHV"
    for what, change in {
        "case changes embeddings": ([s.lower() for s in X], X),
        "U is not read as T": ([s.replace("T", "U") for s in X], X),
        "IUPAC codes are not read as N": ([X[0] + codes], [X[0] + "N" * len(codes)]),
    }.items():
        found, expected = (_fitted(estimator_orig).transform(sequences) for sequences in change)
        _assert_close(found, expected, f"{name}: {what}.")
    odd = _fitted(estimator_orig).transform(["N" * 40, "N", "A"])
    assert np.isfinite(odd).all(), f"{name}: all N, or a single base, should give finite numbers."


def _check_containers(name: str, estimator_orig: Any, kinds: Iterable[Callable]) -> None:
    X = example_sequences()
    expected = _rows(estimator_orig)
    for make in kinds:
        message = f"{name}: {type(make(X))} gives other rows than a list."
        _assert_close(_rows(estimator_orig, make(X)), expected, message)


_CONTAINERS: list[Callable[[list[str]], Any]] = [
    tuple,
    np.array,
    lambda X: np.array(X, dtype=object),
    lambda X: np.array(X, dtype=object)[:, None],
    lambda X: pd.Series(X, index=range(7, 7 + len(X)), dtype=object),
    lambda X: pd.Series(X, dtype="string"),
    lambda X: pd.array(X, dtype="string"),
    lambda X: pd.DataFrame({"sequence": X}),
]
if hasattr(np.dtypes, "StringDType"):  # from numpy 2 on
    _CONTAINERS.append(lambda X: np.array(X, dtype=np.dtypes.StringDType()))


def check_sequence_containers(name: str, estimator_orig: Any) -> None:
    """Tuples, arrays of all string types and columns of pandas are as good as lists."""
    _check_containers(name, estimator_orig, _CONTAINERS)
    missing = pd.Series([*example_sequences()[:4], None], dtype="string")
    what = "pandas.NA and name its position"
    _check_refused(name, estimator_orig, missing, TypeError, r"\b4\b", what)


def check_sequence_polars_containers(name: str, estimator_orig: Any) -> None:
    """Columns of polars are as good as lists."""
    polars = import_or_skip("polars")
    kinds = (polars.Series, lambda X: polars.DataFrame({"sequence": X}))
    _check_containers(name, estimator_orig, kinds)


def check_sequence_feature_names(name: str, estimator_orig: Any) -> None:
    """There is a name for each column, all different, all strings."""
    estimator = _fitted(estimator_orig)
    names = estimator.get_feature_names_out()
    n_columns = np.shape(estimator.transform(example_sequences()))[1]
    assert len(names) == n_columns, f"{name} has {len(names)} names for {n_columns} columns."
    assert all(isinstance(column, str) for column in names), f"{name}: names should be strings."
    assert len(set(names)) == len(names), f"{name}: names should differ."


def check_sequence_set_output(name: str, estimator_orig: Any) -> None:
    """``set_output`` gives frames with the names, of pandas with the index, of polars if there."""
    X, expected = example_sequences(), _rows(estimator_orig)
    for kind in ("pandas", "polars"):
        library: Any = pd if kind == "pandas" else import_or_skip(kind)
        table = library.DataFrame({"sequence": X})
        if kind == "pandas":
            table.index = [f"read{i}" for i in range(len(X))]
        estimator = _fresh(estimator_orig).set_output(transform=kind)
        for frame in (estimator.fit_transform(table), estimator.transform(table)):
            assert isinstance(frame, library.DataFrame), f"{name} should return a frame of {kind}."
            names = list(estimator.get_feature_names_out())
            assert list(frame.columns) == names, f"{name}: columns should be the feature names."
            _assert_close(frame, expected, f"{name}: the frame has other numbers than the array.")
            if kind == "pandas":
                assert frame.index.equals(table.index), f"{name} should keep the index."


def check_sequence_pipeline(name: str, estimator_orig: Any) -> None:
    """Works in a Pipeline, where `fit` is given y, which changes nothing."""
    X = example_sequences()
    expected = StandardScaler().fit_transform(_rows(estimator_orig))
    for y in (None, np.arange(len(X)) % 2):
        found = make_pipeline(_fresh(estimator_orig), StandardScaler()).fit(X, y).transform(X)
        _assert_close(found, expected, f"{name} differs in a Pipeline.")


def check_sequence_column_transformer(name: str, estimator_orig: Any) -> None:
    """Works on a column of a table, given by its name or in a list, and in a FeatureUnion."""
    X = example_sequences()
    rows, coverage = _rows(estimator_orig), np.arange(len(X), dtype=float)
    table = pd.DataFrame({"coverage": coverage, "sequence": X})
    for column in ("sequence", ["sequence"]):
        embed = ("embed", _fresh(estimator_orig), column)
        columns = ColumnTransformer([embed], remainder="passthrough")
        _check_joined(name, columns, table, [rows, coverage])
    union = FeatureUnion([("a", _fresh(estimator_orig)), ("b", _fresh(estimator_orig))])
    _check_joined(name, union, X, [rows, rows])


def _check_joined(name: str, joined: Any, X: Any, expected: list[Any]) -> None:
    kind, found = type(joined).__name__, joined.fit_transform(X)
    _assert_close(found, np.column_stack(expected), f"{name} differs in a {kind}.")
    n_names = len(joined.get_feature_names_out())
    assert n_names == found.shape[1], f"{name} has no good names in a {kind}."


#: All of the above, in their order.
SEQUENCE_CHECKS: Sequence[Callable[[str, Any], None]] = tuple(
    check for name, check in list(globals().items()) if name.startswith("check_sequence_")
)
