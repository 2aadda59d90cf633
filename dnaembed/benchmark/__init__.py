"""How well embeddings tell species apart, measured as the DNABERT-S paper does."""

from ._protocols import binning_scores, clustering_scores, few_shot_scores

__all__ = ["binning_scores", "clustering_scores", "few_shot_scores"]
