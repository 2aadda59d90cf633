"""Species-aware embeddings of DNA reads and contigs, as scikit-learn estimators."""

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
