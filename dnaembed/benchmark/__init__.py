"""How well embeddings tell species apart, measured as the DNABERT-S paper does."""

from ._protocols import (
    binning_scores,
    clustering_scores,
    count_found_species,
    few_shot_scores,
    similarity_threshold,
)

__all__ = [
    "binning_scores",
    "clustering_scores",
    "count_found_species",
    "few_shot_scores",
    "similarity_threshold",
]
