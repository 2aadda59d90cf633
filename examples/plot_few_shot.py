"""
Species from a few labelled reads
=================================

How many labelled reads a species does a classifier need? Macro F1 on the other reads, by the
protocol of the DNABERT-S paper, for raw tetranucleotide frequencies, canonical k-mers and the
bundled model.
"""

# %%
# Embed all reads once.

import numpy as np

from dnaembed import DNABertSEmbedder, FewShotSpeciesClassifier, KmerEmbedder
from dnaembed.datasets import load_demo_reads

reads = load_demo_reads(errors=True)
embedders = {
    "raw TNF": KmerEmbedder(method="raw"),
    "canonical 4-mers": KmerEmbedder(),
    "bundled model": DNABertSEmbedder(),
}
print(len(reads.sequences), "reads with 2, 5 or 10 % errors")

# %%
# From one to three reads a species to learn from, three to test; five draws.

from dnaembed.benchmark import few_shot_scores

shots = (1, 2, 3)
curves = {}
for name, embedder in embedders.items():
    embeddings = embedder.fit_transform(reads.sequences)
    curves[name] = few_shot_scores(embeddings, np.array(reads.labels), shots=shots, n_test=3)
    print(f"{name:18}", *(f"{curves[name][n]:.2f}" for n in shots))

# %%
# The picture.

import matplotlib.pyplot as plt

figure, axis = plt.subplots(figsize=(6, 4), layout="constrained")
for (name, scores), marker in zip(curves.items(), "os^", strict=True):
    axis.plot(shots, [scores[n] for n in shots], marker=marker, label=name)
axis.set(xlabel="labelled reads a species", ylabel="macro F1", xticks=shots, ylim=(0, 1))
axis.legend(loc="lower right")
plt.show()

# %%
# The classifier takes sequences as they are, too, and says how sure it is.

labels = np.array(reads.labels)
known = np.concatenate([np.flatnonzero(labels == species)[:5] for species in np.unique(labels)])
classifier = FewShotSpeciesClassifier(embedder=DNABertSEmbedder())
classifier.fit([reads.sequences[i] for i in known], labels[known])
query = next(i for i in range(len(labels)) if i not in known)
probabilities = classifier.predict_proba([reads.sequences[query]])[0]
best = int(np.argmax(probabilities))
print(f"{reads.ids[query]}: {classifier.classes_[best]} ({probabilities[best]:.2f}),", end=" ")
print(f"in truth {labels[query]}")
