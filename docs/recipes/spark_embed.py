"""Embed FASTA and FASTQ files on a Spark cluster.

    spark-submit spark_embed.py EMBEDDINGS READS...

READS must be visible to all workers. EMBEDDINGS becomes a folder of Parquet files with the columns
id and embedding.
"""

import sys

import pandas as pd
from pyspark.sql import SparkSession

from dnaembed import DNABertSEmbedder
from dnaembed.io import iter_sequences


def embed(frames):
    """Embed the frames of one partition.

    The model is kept for the next partition: Spark uses its Python processes again, and embedders
    of one process share their model.
    """
    embedder = DNABertSEmbedder(cache=None).fit(["ACGT"])
    for frame in frames:
        rows = embedder.transform(frame["sequence"])
        yield pd.DataFrame({"id": frame["id"], "embedding": list(rows)})


if __name__ == "__main__":
    output, *paths = sys.argv[1:]
    spark = SparkSession.builder.getOrCreate()
    # Rows of a frame that Python is given at a time.
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "1024")
    files = spark.sparkContext.parallelize(paths, len(paths))
    reads = files.flatMap(iter_sequences).toDF("id string, sequence string")
    (
        reads.repartition(2 * spark.sparkContext.defaultParallelism)
        .mapInPandas(embed, "id string, embedding array<float>")
        .write.mode("errorifexists")
        .parquet(output)
    )
    spark.stop()
