"""
Fine-tuning on labelled reads
=============================

With a few hundred labelled reads, the bundled model can be adapted to the species at hand. The
fine-tuner is a parameter of the embedder, so that `fit` tunes a copy of the model on the training
reads alone.
"""

# %%
# Thirty reads a species to learn from; with fewer than 300 in all, the fine-tuner would leave the
# model as it is.

import numpy as np
from sklearn.model_selection import train_test_split

from dnaembed import DNABertSEmbedder
from dnaembed.datasets import load_demo_reads
from dnaembed.training import ContrastiveFineTuner

reads = load_demo_reads()
train, test, y_train, y_test = train_test_split(
    reads.sequences, reads.labels, train_size=300, stratify=reads.labels, random_state=0
)

embedders = {
    "bundled model": DNABertSEmbedder(normalize=True).fit(train),
    "fine-tuned": DNABertSEmbedder(
        normalize=True, fine_tuner=ContrastiveFineTuner(n_steps=100), random_state=0
    ).fit(train, y_train),
}

# %%
# How often is the nearest training read of the same species, for the reads held out? And how far
# are reads of one species and of different species apart?

import matplotlib.pyplot as plt

figure, axes = plt.subplots(1, 2, figsize=(9, 3.5), sharey=True, layout="constrained")
same = np.array(y_test)[:, None] == np.array(y_train)
for axis, (name, embedder) in zip(axes, embedders.items(), strict=True):
    similarities = embedder.transform(test) @ embedder.transform(train).T
    nearest = np.array(y_train)[similarities.argmax(axis=1)]
    print(f"{name:14} nearest neighbour right: {np.mean(nearest == y_test):.2f}")
    bins = np.linspace(-1, 1, 50)
    axis.hist(similarities[same], bins, density=True, alpha=0.7, label="one species")
    axis.hist(similarities[~same], bins, density=True, alpha=0.7, label="different species")
    axis.set(title=name, xlabel="cosine similarity")
axes[0].set_ylabel("density")
axes[0].legend()
plt.show()
