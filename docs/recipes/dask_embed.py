"""Embed FASTA or FASTQ files of any size on a Dask cluster.

    python dask_embed.py EMBEDDINGS.npy READS [SCHEDULER]

SCHEDULER is an address such as tcp://10.0.0.1:8786; without one, a cluster of processes on this
machine is started. READS are read and EMBEDDINGS written here; workers need no files but the model.
"""

import sys
from itertools import islice

import joblib
from distributed import Client

from dnaembed import DNABertSEmbedder
from dnaembed.io import iter_sequences, open_embeddings

if __name__ == "__main__":
    output, reads, *scheduler = sys.argv[1:]
    embedder = DNABertSEmbedder(cache=None).fit(["ACGT"])
    records = iter_sequences(reads)
    with (
        Client(*scheduler),
        joblib.parallel_config(backend="dask"),
        open_embeddings(output) as writer,
    ):
        while some := list(islice(records, 100_000)):
            ids, sequences = zip(*some, strict=True)
            writer.write(ids, embedder.transform(sequences))
