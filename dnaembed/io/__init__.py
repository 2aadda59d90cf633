"""Files in and out: FASTA and FASTQ, labels, bins and embeddings."""

from ._abundance import abundance_of, read_abundance
from ._bins import write_bins
from ._embeddings import open_embeddings, read_embeddings, write_embeddings
from ._errors import SequenceFileError
from ._parts import merge_shards
from ._readers import iter_sequences, read_sequences
from ._tables import labels_of, read_frame, read_labels, write_labels

__all__ = [
    "SequenceFileError",
    "abundance_of",
    "iter_sequences",
    "labels_of",
    "merge_shards",
    "open_embeddings",
    "read_abundance",
    "read_embeddings",
    "read_frame",
    "read_labels",
    "read_sequences",
    "write_bins",
    "write_embeddings",
    "write_labels",
]
