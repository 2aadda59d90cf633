"""
A map of species
================

Embed 400 reads of ten bacteria and look at them in two dimensions: tetranucleotide frequencies on
the left, the bundled model on the right. Neither has seen a label.
"""

# %%
# The reads are fragments of real genomes, 2 to 6 kb long, from either strand.

from dnaembed.datasets import load_demo_reads

reads = load_demo_reads()
print(len(reads.sequences), "reads of", len(set(reads.labels)), "species")

# %%
# Both embedders are scikit-learn transformers.

from dnaembed import DNABertSEmbedder, KmerEmbedder

embeddings = {
    "tetranucleotide frequencies": KmerEmbedder(method="raw").fit_transform(reads.sequences),
    "dnaembed": DNABertSEmbedder(normalize=True).fit_transform(reads.sequences),
}

# %%
# How well do clusters agree with species?

from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

for name, rows in embeddings.items():
    clusters = KMeans(10, n_init=10, random_state=0).fit_predict(rows)
    print(f"{name:28} ARI {adjusted_rand_score(reads.labels, clusters):.3f}")

# %%
# The pictures say the same.

import matplotlib.pyplot as plt

from dnaembed.plotting import plot_species, project

figure, axes = plt.subplots(1, 2, figsize=(12, 5), layout="constrained")
for axis, (name, rows) in zip(axes, embeddings.items(), strict=True):
    points, names = project(rows)
    plot_species(points, reads.labels, names=names, title=name, ax=axis, legend=axis is axes[1])
plt.show()
