"""
Binning a skewed community
==========================

Bin fragments of ten species of which some are ten times as abundant as others, without telling how
many there are.
"""

# %%
# Take from 4 to 40 reads of each species.

import numpy as np

from dnaembed import DNABertSEmbedder, SpeciesClusterer
from dnaembed.datasets import load_demo_reads

reads = load_demo_reads()
labels = np.asarray(reads.labels)
species = sorted(set(labels))
counts = np.geomspace(4, 40, len(species)).round().astype(int)
taken = dict(zip(species, counts, strict=True))
chosen = np.concatenate([np.flatnonzero(labels == s)[:n] for s, n in taken.items()])
sequences = [reads.sequences[i] for i in chosen]
labels = labels[chosen]

# %%
# With ``n_clusters=None``, bins are the communities of a graph that links each fragment to its
# nearest neighbours; their number comes from the data.

embeddings = DNABertSEmbedder().fit_transform(sequences)
binner = SpeciesClusterer(min_bin_size=4, random_state=0).fit(embeddings)
print(f"{binner.n_clusters_} bins")
print(f"{np.mean(binner.labels_ == -1):.0%} of the fragments stay unbinned")

# %%
# Which species went where?

import matplotlib.pyplot as plt

bins = np.unique(binner.labels_)
table = np.array([[np.sum((labels == s) & (binner.labels_ == b)) for b in bins] for s in species])
figure, axis = plt.subplots(figsize=(8, 4), layout="constrained")
image = axis.imshow(table, cmap="cividis", aspect="auto")
axis.set_yticks(range(len(species)), [f"{s} ({n})" for s, n in taken.items()])
axis.set_xticks(range(len(bins)), ["unbinned" if b < 0 else str(b) for b in bins])
axis.set(xlabel="bin")
figure.colorbar(image, label="fragments")
plt.show()
