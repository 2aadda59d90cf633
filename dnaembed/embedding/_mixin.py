"""What all transformers of sequences have in common, and what embeddings were made by."""

from dataclasses import dataclass, field, replace
from numbers import Integral
from typing import Any, Self

from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin

from .._sequences import as_container
from ..utils._messages import printable


@dataclass(frozen=True)
class EmbeddingSource:
    """What embeddings were made by: the fingerprint of a model, and how sequences were read.

    `model` is the name that the user gave it; `others` are further settings that change embeddings.
    """

    fingerprint: str
    window_size: int | None
    both_strands: bool
    model: str | None = field(default=None, compare=False)
    others: str = ""

    def __post_init__(self) -> None:
        kinds: Any = (str, Integral | None, bool, str | None, str)
        if not all(map(isinstance, vars(self).values(), kinds)):
            raise TypeError("what the embeddings were made by is not text and numbers")

    def __str__(self) -> str:
        name = "a model" if self.model is None else f"the model {printable(self.model)!r}"
        strands = ", both strands" if self.both_strands else ""
        window = "" if self.window_size is None else f", windows of {self.window_size} bp"
        others = printable(self.others)
        return f"{name} (fingerprint {printable(self.fingerprint)[:12]}{strands}{window}{others})"

    def agrees_with(self, other: Self) -> bool:
        """Tell whether both give one sequence the same embedding."""
        return replace(self, others="") == replace(other, others="")


class SequenceTransformerMixin(ClassNamePrefixFeaturesOutMixin, TransformerMixin):
    """Takes strings, which have no ``n_features_in_``; fitted when the columns are known."""

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """Fit, and embed the same sequences; parameters and result as of `fit` and `transform`."""
        return super().fit_transform(as_container(X), y)  # reads X twice

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_n_features_out")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.transformer_tags.preserves_dtype = []
        return tags


def check_made_by(estimator: Any, fitted: Any, now: Any) -> None:
    """Raise if an estimator would embed otherwise than when it was fitted."""
    if now != fitted:
        change = f"was fitted with {fitted}, but now it has {now}"
        advice = "fit it again, or give it back what it was fitted with"
        raise ValueError(f"This {type(estimator).__name__} {change}: {advice}.")
