"""What all transformers of sequences tell scikit-learn about themselves."""

from __future__ import annotations

from typing import Any

from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin


class SequenceTransformerMixin(ClassNamePrefixFeaturesOutMixin, TransformerMixin):
    """Takes strings and nothing else; is fitted once it knows how many columns it gives.

    A number of input features means nothing for strings, so that ``n_features_in_`` is not set.
    """

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_n_features_out")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.transformer_tags.preserves_dtype = []
        return tags
