"""Embed FASTA and FASTQ files on a Ray cluster.

    python ray_embed.py EMBEDDINGS WORKERS READS...

READS must be visible to all workers. EMBEDDINGS becomes a folder of Parquet files with the columns
id and embedding. On a cluster, ``ray.init()`` finds it through RAY_ADDRESS; without one it starts
one on this machine.
"""

import sys

import ray
from ray.data import ActorPoolStrategy

from dnaembed import DNABertSEmbedder
from dnaembed.io import iter_sequences


def read(row):
    """Yield the records of one file."""
    for name, sequence in iter_sequences(row["item"]):
        yield {"id": name, "sequence": sequence}


class Embed:
    """Lives as long as its worker process: the model is loaded once in each."""

    def __init__(self):
        self.embedder = DNABertSEmbedder(cache=None).fit(["ACGT"])

    def __call__(self, batch):
        return {"id": batch["id"], "embedding": self.embedder.transform(list(batch["sequence"]))}


if __name__ == "__main__":
    output, n_workers, *paths = sys.argv[1:]
    ray.init()
    # Fractions, so that there may be as many workers as CPUs, and files can still be read and
    # written. With GPUs, num_gpus=1 gives each worker one to itself.
    (
        ray.data.from_items(paths)
        .flat_map(read, num_cpus=0.25)
        .map_batches(
            Embed, batch_size=1024, num_cpus=0.75, compute=ActorPoolStrategy(size=int(n_workers))
        )
        .write_parquet(output, ray_remote_args={"num_cpus": 0.25})
    )
