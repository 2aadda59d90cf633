"""Telling species apart: classifier, clusterer, and what they stand on."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._bins import bin_confidence, bin_contigs, same_species_probability

__all__ = ["bin_confidence", "bin_contigs", "same_species_probability"]


def __getattr__(name: str) -> Any:
    # Loaded on first use, since the estimators import much that the others do not need.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("._bins", __name__), name)
