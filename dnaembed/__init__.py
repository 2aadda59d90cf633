"""Species-aware embeddings of DNA reads and contigs, as scikit-learn estimators."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._cache import clear_memory_cache
    from ._clusterer import SpeciesClusterer
    from ._embedder import DNABertSEmbedder
    from ._few_shot import FewShotSpeciesClassifier
    from ._kmer_embedder import KmerEmbedder
    from ._sequences import check_sequences, normalize_sequence, reverse_complement

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
    "DNABertSEmbedder": "._embedder",
    "FewShotSpeciesClassifier": "._few_shot",
    "KmerEmbedder": "._kmer_embedder",
    "SpeciesClusterer": "._clusterer",
    "check_sequences": "._sequences",
    "clear_memory_cache": "._cache",
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
