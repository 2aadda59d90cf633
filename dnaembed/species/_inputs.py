"""What classifier and clusterer share: X is DNA sequences, or embeddings made beforehand."""

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.utils import assert_all_finite, check_array, check_consistent_length, column_or_1d
from sklearn.utils.validation import validate_data

from .._sequences import as_container, check_sequences, holds_sequences
from ..embedding._mixin import check_made_by


class Embedded(NamedTuple):
    """Embeddings; bases of the sequences, and what made them, where that is known."""

    rows: np.ndarray
    lengths: np.ndarray | None = None
    source: Any = None


class SequencesOrEmbeddingsMixin:
    """For estimators with a parameter ``embedder`` that take sequences or 2-D numbers."""

    embedder: Any
    # What stands for None, by the name of the parameter.
    _defaults: ClassVar[dict[str, Callable[[], Any]]] = {"embedder": lambda: default_embedder()}

    def set_params(self, **params: Any) -> Any:
        """Set parameters, also of `embedder` and `classifier`, whose names begin with these words.

        Where one of them is None, its parameters are set on a new one of the default.
        """
        for name, make in self._defaults.items():
            inside = any(key.startswith(f"{name}__") for key in params)
            if inside and params.get(name, getattr(self, name)) is None:
                params = params | {name: make()}
        return super().set_params(**params)  # type: ignore[misc]

    def _fit_inputs(self, X: Any, y: Any = None) -> Embedded:
        """Return the embeddings of X, and keep the fitted embedder if X holds sequences."""
        for name in ("embedder_", "n_features_in_", "feature_names_in_"):
            self.__dict__.pop(name, None)  # of an earlier fit, perhaps on the other kind of input
        given = X if isinstance(X, Embedded) else Embedded(as_container(X))
        X = given.rows
        if not holds_sequences(X):
            X = validate_data(self, _in_single(X), dtype=[np.float64, np.float32])
            check_consistent_length(X, y)
            return given._replace(rows=X)
        check_consistent_length(sequences := check_sequences(X), y)
        embedder = default_embedder() if self.embedder is None else clone(self.embedder)
        if hasattr(embedder, "fit_transform"):
            embeddings = embedder.fit_transform(sequences, y)
        else:  # as FrozenEstimator
            embeddings = embedder.fit(sequences, y).transform(sequences)
        self.embedder_ = embedder
        self._embedded_by = getattr(embedder, "_made_by", None)
        return Embedded(_as_embeddings(embeddings), lengths_of(sequences), self._embedded_by)

    def _fit_inputs_and_targets(self, X: Any, y: Any) -> tuple[Embedded, np.ndarray]:
        """Do as `_fit_inputs`, and return the labels as well."""
        if y is None:
            needs = f"This {type(self).__name__} estimator requires y to be passed"
            raise ValueError(f"{needs}, but the target y is None.")
        y = check_labels(y)
        return self._fit_inputs(X, y), y

    def _check_inputs(self, X: Any) -> Embedded:
        """Return the embeddings of X, which must be of the kind that `fit` was given."""
        given = X if isinstance(X, Embedded) else Embedded(as_container(X))
        X = given.rows
        if hasattr(self, "embedder_"):
            if not holds_sequences(X) and not (isinstance(X, list | tuple) and not X):
                got = "was fitted on DNA sequences, got something else"
                advice = "give it sequences, or fit it on embeddings"
                raise ValueError(f"This {type(self).__name__} {got}: {advice}.")
            # A frozen embedder may have been fitted again, by somebody who shares it.
            now = getattr(self.embedder_, "_made_by", None)
            check_made_by(self, getattr(self, "_embedded_by", now), now)
            sequences = check_sequences(X)
            rows = _as_embeddings(self.embedder_.transform(sequences))
            return Embedded(rows, lengths_of(sequences), now)
        if holds_sequences(X):
            got = "was fitted on embeddings, got DNA sequences"
            advice = "embed them as those were, or fit it on sequences"
            raise ValueError(f"This {type(self).__name__} {got}: {advice}.")
        X = validate_data(self, _in_single(X), dtype=[np.float64, np.float32], reset=False)
        return given._replace(rows=X)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        # `one_d_array` stays False: scikit-learn takes it for "1-D numbers only".
        tags.input_tags.string = True
        return tags


def check_labels(y: Any) -> np.ndarray:
    """Return labels as a 1-D array; raise if one is missing, and say where."""
    y = as_container(y)
    # Numpy would make "nan" of a missing label among strings, and forgets a mask.
    labels = np.asarray(y.tolist() if isinstance(y, np.ma.MaskedArray) else y, dtype=object)
    missing = [i for i, label in enumerate(labels.ravel()) if _is_missing(label)]
    if missing:
        got = f"{labels.flat[missing[0]]} at position {missing[0]}"
        count = f"{len(missing):,} of {labels.size:,} are missing (None or NaN)"
        raise ValueError(f"y must have a label for each read, got {got}: {count}.")
    assert_all_finite(labels := column_or_1d(y, warn=True), input_name="y")
    return labels


def _is_missing(label: Any) -> bool:
    if label is None or type(label).__name__ == "NAType":  # pandas.NA is not even unequal to itself
        return True
    return not getattr(label, "shape", ()) and bool(label != label)


def default_embedder() -> Any:
    """Return the embedder that stands for ``embedder=None``."""
    # Imported here, as embeddings alone need no model.
    from ..embedding._embedder import DNABertSEmbedder

    return DNABertSEmbedder()


def _in_single(X: Any) -> Any:
    """Widen half precision, as embeddings may be stored, no more than computing with it needs."""
    if getattr(X, "dtype", None) == np.float16:
        return np.asarray(X, dtype=np.float32)
    return X


def lengths_of(sequences: list[str]) -> np.ndarray:
    return np.fromiter(map(len, sequences), np.int64, len(sequences))


def _as_embeddings(embeddings: Any) -> np.ndarray:
    # An embedder may return a frame (set_output) or be a user's own.
    how: Any = {"dtype": [np.float64, np.float32], "input_name": "embeddings"}
    return check_array(_in_single(embeddings), **how)
