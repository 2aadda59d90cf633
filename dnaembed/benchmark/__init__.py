"""How well embeddings tell species apart: the DNABERT-S paper's protocols, and some it lacks."""

from ._benchmark import benchmark, default_embedders
from ._pictures import plot_bars, plot_few_shot
from ._protocols import PROTOCOLS, binning_scores, clustering_scores, few_shot_scores
from ._results import BenchmarkResult

__all__ = [
    "PROTOCOLS",
    "BenchmarkResult",
    "benchmark",
    "binning_scores",
    "clustering_scores",
    "default_embedders",
    "few_shot_scores",
    "plot_bars",
    "plot_few_shot",
]
