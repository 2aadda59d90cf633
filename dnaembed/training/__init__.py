"""Contrastive training: pairs, losses, and what runs them."""

from ._errors import ErrorModel, add_errors
from ._genomes import GenomeRecord, GenomeStore, list_genomes
from ._pair_batch import PairBatch, PairSource
from ._pairs import GenomePairs, ReadPairs

__all__ = [
    "ErrorModel",
    "GenomePairs",
    "GenomeRecord",
    "GenomeStore",
    "PairBatch",
    "PairSource",
    "ReadPairs",
    "add_errors",
    "list_genomes",
]
