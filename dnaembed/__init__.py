"""Species-aware embeddings of DNA reads and contigs, as scikit-learn estimators."""

from ._kmer_embedder import KmerEmbedder
from ._sequences import check_sequences, normalize_sequence, reverse_complement

__version__ = "0.1.0"

__all__ = ["KmerEmbedder", "check_sequences", "normalize_sequence", "reverse_complement"]
