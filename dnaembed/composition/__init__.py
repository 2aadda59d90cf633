"""Composition of sequences: counts of k-mers, and what can be made of them without training."""

from ._counting import kmer_counts, kmer_names

__all__ = ["kmer_counts", "kmer_names"]
