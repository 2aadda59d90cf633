"""
A map of species
================

Do reads of one species lie together, before anybody has told the computer what a species is? We
embed 400 reads of ten bacteria by tetranucleotide frequencies and by the bundled model, cluster
both, and look at them.
"""

# %%
# The reads are fragments of real genomes, 2 to 6 kb long, from either strand. The labels serve for
# colours and scores only.

from dnaembed.datasets import load_demo_reads

reads = load_demo_reads()
print(len(reads.sequences), "reads of", len(set(reads.labels)), "species")

# %%
# Both embedders are scikit-learn transformers: sequences in, one row of numbers per sequence out.

from dnaembed import DNABertSEmbedder, KmerEmbedder

embeddings = {
    "tetranucleotide frequencies": KmerEmbedder(method="raw").fit_transform(reads.sequences),
    "bundled model": DNABertSEmbedder(normalize=True).fit_transform(reads.sequences),
}
for name, rows in embeddings.items():
    print(f"{name:28}", rows.shape)

# %%
# K-means looks for ten clusters in each, as ``dnaembed demo`` does. The adjusted Rand index (ARI)
# compares them with the species: 1 means the same groups, 0 what chance would give.

from dnaembed.benchmark import clustering_scores

for name, rows in embeddings.items():
    print(f"{name:28} ARI {clustering_scores(rows, reads.labels)['ari']:.2f}")

# %%
# A map in two dimensions: above the two principal components, which show distances as they are but
# only part of them (the percentages on the axes); below t-SNE, which shows which reads are
# neighbours, but neither distances between groups nor their sizes.

import matplotlib.pyplot as plt

from dnaembed.plotting import EmbeddingDisplay

figure, axes = plt.subplots(2, 2, figsize=(8.6, 6.4), layout="constrained")
draw = EmbeddingDisplay.from_predictions
for (above, below), (name, rows) in zip(axes.T, embeddings.items(), strict=True):
    draw(rows, reads.labels, method="pca", title=name, legend=False, ax=above)
    draw(rows, reads.labels, method="tsne", legend=below is axes[1, 1], ax=below)
plt.show()

# %%
# On the left species run into each other along one line, which is mostly the share of G and C. On
# the right they are islands.
#
# When it would not work
# ----------------------
#
# The model saw other genomes of most of these genera in training, so
# that this map shows how to use it, not how good it is on new genera: see :doc:`/results` for that.
# It sees composition alone: members of one genus can fall on one island, and reads under a kilobase
# scatter.
