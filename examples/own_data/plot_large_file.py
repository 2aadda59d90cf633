"""
Embedding a large file in pieces
================================

A run of a sequencer has millions of reads: more than memory holds as embeddings, and sometimes as
text. The reads go through the model in pieces and the rows to disk, and what comes after reads
them in pieces, too.
"""

# %%
# A file to stand in for a large one: 20,000 pieces of the demo reads, 2 kb each, with 5 % errors
# and from either strand, compressed. (Its reads overlap a lot, as no real run of this size would.
# It shows how to go about it, not how good the clusters of a real run would be.)

import gzip
import tempfile
from pathlib import Path

import numpy as np

from dnaembed import DNABertSEmbedder, reverse_complement
from dnaembed.datasets import load_demo_reads
from dnaembed.training import add_errors

reads = load_demo_reads()
rng = np.random.default_rng(0)
sources = rng.integers(len(reads.sequences), size=20_000)
folder = tempfile.TemporaryDirectory()
fasta, rows_file = Path(folder.name, "run.fasta.gz"), Path(folder.name, "run.npy")
with gzip.open(fasta, "wt", compresslevel=1) as file:
    for number, source in enumerate(sources):
        dna = reads.sequences[source]
        start = rng.integers(len(dna) - 1999)
        [piece] = add_errors([dna[start : start + 2000]], 0.05, random_state=rng)
        if rng.random() < 0.5:
            piece = reverse_complement(piece)
        file.write(f">piece_{number}\n{piece}\n")
print(f"{fasta.stat().st_size / 1e6:.1f} MB of compressed FASTA")

# %%
# One call. Memory stays the same however long the file is, and a run that was stopped resumes
# there. The result is a memory map: rows are read from the disk when they are looked at. Half
# precision halves the file. In the shell: ``dnaembed embed run.fasta.gz -o run.npy``.

embeddings = DNABertSEmbedder(normalize=True).embed_file(fasta, rows_file, dtype="float16")
print(type(embeddings).__name__, embeddings.shape, embeddings.dtype)
print(f"{rows_file.stat().st_size / 1e6:.1f} MB on disk")
print(sorted(path.name for path in Path(folder.name).iterdir()))

# %%
# Several scikit-learn estimators learn piece by piece, with ``partial_fit``. After each piece of
# 1,000 rows we ask how well the clusters of the last piece, which is not learnt from, agree with
# the species. One clusterer starts from the first piece as it comes, the other from centres that
# K-means has found in that piece, the best of ten starts run to their end. The order of the file
# is random here; if yours is sorted, draw rows at random instead.

from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.metrics import adjusted_rand_score


def piece(start):
    """A thousand rows, read from the disk."""
    return np.asarray(embeddings[start : start + 1000], dtype=np.float32)


centers = KMeans(10, n_init=10, random_state=0).fit(piece(0)).cluster_centers_
clusterers = {
    "from the first piece": MiniBatchKMeans(10, n_init=10, random_state=0),
    "from K-means on the first piece": MiniBatchKMeans(10, init=centers, n_init=1, random_state=0),
}
labels = reads.labels[sources]
starts = range(0, 19_000, 1000)
agreement = {}
for name, clusterer in clusterers.items():
    agreement[name] = [
        adjusted_rand_score(
            labels[19_000:], clusterer.partial_fit(piece(start)).predict(piece(19_000))
        )
        for start in starts
    ]
    print(f"{name}: ARI {agreement[name][0]:.2f}, in the end {agreement[name][-1]:.2f}")

# %%
# Predictions are made piece by piece as well, and only they are kept.

clusters = np.concatenate([clusterer.predict(piece(i)) for i in range(0, 20_000, 1000)])
print(f"ARI of all {len(clusters)}: {adjusted_rand_score(labels, clusters):.2f}")

# %%
# Left: agreement as pieces come in. Right: where the reads of each species are in the end.

import matplotlib.pyplot as plt

species = np.unique(labels)
table = np.array([[np.sum((labels == s) & (clusters == c)) for c in range(10)] for s in species])
share = table / table.sum(axis=1, keepdims=True)
order = np.argsort(share.argmax(axis=0), kind="stable")
figure, (curve, matrix) = plt.subplots(1, 2, figsize=(8.6, 3.8), layout="constrained")
thousands = np.arange(1, 20)
for (name, scores), color, marker in zip(
    agreement.items(), ["#E69F00", "#0072B2"], "s^", strict=True
):
    curve.plot(thousands, scores, color=color, marker=marker, label=name)
curve.set(xlabel="rows learnt from (thousands)", xticks=range(0, 20, 5))
curve.set(ylabel="adjusted Rand index, held-out rows", ylim=(0, 1))
curve.legend(loc="lower right")
picture = matrix.imshow(share[:, order], cmap="cividis", vmin=0, vmax=1, aspect="auto")
matrix.set_yticks(range(len(species)), species, style="italic")
matrix.set_xticks(range(10), [str(c) for c in order])
matrix.set(xlabel="cluster")
figure.colorbar(picture, ax=matrix, label="share of the species")
plt.show()
folder.cleanup()

# %%
# A thousand rows are enough for the centres of ten species; how the clusterer starts matters more
# than how many rows it sees afterwards. The errors that remain are close relatives: the two
# streptococci, and *Escherichia* and *Klebsiella*, some of whose reads are taken for each other.
#
# When it is not needed
# ---------------------
#
# A million rows of 384 numbers in half precision are 0.8 GB: up to there
# ``fit_transform`` and :class:`~dnaembed.SpeciesClusterer` in memory are simpler.
#
# When it is not enough
# ---------------------
#
# For billions of reads divide the input among machines, with ``shard="3/64"`` and
# :func:`dnaembed.io.merge_shards`.
