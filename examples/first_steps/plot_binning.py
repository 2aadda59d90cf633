"""
Binning a skewed community
==========================

A metagenome holds a few common species and many rare ones, and nobody knows how many. We bin
fragments of ten species, the commonest with ten times as many as the rarest.
"""

# %%
# Take from 4 to 40 reads of each species.

import numpy as np

from dnaembed import DNABertSEmbedder, SpeciesClusterer
from dnaembed.datasets import load_demo_reads

reads = load_demo_reads()
species = np.unique(reads.labels)
counts = np.geomspace(4, 40, len(species)).round().astype(int)
chosen = np.concatenate(
    [np.flatnonzero(reads.labels == s)[:n] for s, n in zip(species, counts, strict=True)]
)
sequences = [reads.sequences[i] for i in chosen]
labels = reads.labels[chosen]
print(len(sequences), "fragments:", *counts)

# %%
# Without ``n_clusters``, bins are the communities of a graph that links each fragment to its
# nearest neighbours, 15 unless told otherwise. Their number comes from the data. Bins of fewer
# than four fragments are given up here, so that the rarest species has a chance.

from sklearn.metrics import adjusted_rand_score

embeddings = DNABertSEmbedder().fit_transform(sequences)
found = {}


def report(name, binner):
    found[name] = binner.labels_
    in_none = np.mean(binner.labels_ == -1)
    ari = adjusted_rand_score(labels, binner.labels_)
    print(f"{name}: {binner.n_clusters_} bins, {in_none:.0%} in none, ARI {ari:.2f}")


report("15 neighbours", SpeciesClusterer(min_bin_size=4, random_state=0).fit(embeddings))

# %%
# Half of the species have fewer fragments than that, so that their fragments must be linked to
# others. With five neighbours rare species can stand alone.

binner = SpeciesClusterer(n_neighbors=5, min_bin_size=4, random_state=0)
report("5 neighbours", binner.fit(embeddings))

# %%
# Fragments of one genome are equally deep in every sample that was sequenced, which tells apart
# what sequence alone does not. The demo reads are of no metagenome: the coverages in three samples
# are **made up** here (log-normal by species, with a noise of 20 % per fragment). Yours come from a
# read mapper, by way of :func:`dnaembed.io.read_abundance`.

rng = np.random.default_rng(0)
codes = np.searchsorted(species, labels)
depth = np.exp(rng.normal(0, 1, (len(species), 3)))
coverage = depth[codes] * rng.lognormal(0, 0.2, (len(codes), 3))
report("5 neighbours, coverage", binner.fit(embeddings, abundance=coverage))

# %%
# Which species went where? Numbers are fragments; in a perfect picture each row and each column has
# a single number.

import matplotlib.pyplot as plt

from dnaembed.plotting import BinningDisplay

figure, axes = plt.subplots(1, 3, figsize=(8.6, 3.8), sharey=True, layout="constrained")
numbers = dict(zip(species, counts, strict=True))
names = [f"{name} ({numbers[name]})" for name in labels]
for axis, (title, bins) in zip(axes, found.items(), strict=True):
    BinningDisplay.from_predictions(bins, names, title=title, ax=axis)
plt.show()

# %%
# The common species have bins of their own from the start. With 15 neighbours rare ones share a bin
# with a relative, or with each other; with five most come free. Coverage helps a little further, as
# far as the depths of two species differ.
#
# When it would not work
# ----------------------
#
# Few neighbours suit few fragments: with thousands of contigs per species
# they cut genomes into pieces, and the default is the better choice. Two strains of one species
# have the same composition, and only coverage in many samples could tell them apart.
