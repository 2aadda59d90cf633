"""Species-aware embeddings of DNA reads and contigs, as scikit-learn estimators."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._sequences import check_sequences, normalize_sequence, reverse_complement
    from .embedding._cache import clear_memory_cache
    from .embedding._embedder import DNABertSEmbedder
    from .embedding._kmer_embedder import KmerEmbedder
    from .species._classifier import FewShotSpeciesClassifier
    from .species._clusterer import SpeciesClusterer

__version__ = "0.1.0"

__all__ = [
    "DNABertSEmbedder",
    "FewShotSpeciesClassifier",
    "KmerEmbedder",
    "SpeciesClusterer",
    "check_sequences",
    "clear_memory_cache",
    "normalize_sequence",
    "reverse_complement",
]

_MODULES = {
    "DNABertSEmbedder": ".embedding._embedder",
    "FewShotSpeciesClassifier": ".species._classifier",
    "KmerEmbedder": ".embedding._kmer_embedder",
    "SpeciesClusterer": ".species._clusterer",
    "check_sequences": "._sequences",
    "clear_memory_cache": ".embedding._cache",
    "normalize_sequence": "._sequences",
    "reverse_complement": "._sequences",
}


def __getattr__(name: str) -> Any:
    # Loaded on first use: torch takes seconds, which ``dnaembed --help`` has no need of.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name], __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
