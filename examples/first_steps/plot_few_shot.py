"""
Species from a few labelled reads
=================================

How many labelled reads does a classifier need of each species? We draw the learning curve for raw
tetranucleotide frequencies, canonical k-mers and the bundled model, on reads with 10 % errors.
"""

# %%
# The demo reads, as an old nanopore sequencer would have read them.

import numpy as np

from dnaembed import DNABertSEmbedder, FewShotSpeciesClassifier, KmerEmbedder
from dnaembed.datasets import load_demo_reads
from dnaembed.training import add_errors

reads = load_demo_reads()
labels = reads.labels
noisy = add_errors(reads.sequences, 0.1, random_state=0)
embedders = {
    "raw TNF": KmerEmbedder(method="raw"),
    "canonical TNF": KmerEmbedder(),
    "bundled model": DNABertSEmbedder(),
}

# %%
# The protocol of the DNABERT-S paper: a logistic regression learns from some reads per species and
# is tested on twenty others. Which reads these are is drawn ten times: with a single labelled read,
# luck matters.

from dnaembed.benchmark import few_shot_scores

shots = (1, 2, 3, 5, 10, 20)
curves = {}
for name, embedder in embedders.items():
    embeddings = embedder.fit_transform(noisy)
    draws = [
        few_shot_scores(embeddings, labels, shots=shots, n_test=20, n_repeats=1, first_seed=seed)
        for seed in range(10)
    ]
    curves[name] = np.array([[draw[n] for n in shots] for draw in draws])
    print(f"{name:18}", *(f"{f1:.2f}" for f1 in curves[name].mean(axis=0)))

# %%
# The lines are means over the draws, the bars their standard deviations.

import matplotlib.pyplot as plt

figure, axis = plt.subplots(figsize=(6.5, 4.2), layout="constrained")
colors = ["#E69F00", "#009E73", "#0072B2"]
for (name, scores), color, marker in zip(curves.items(), colors, "s^o", strict=True):
    mean, spread = scores.mean(axis=0), scores.std(axis=0, ddof=1)
    axis.errorbar(shots, mean, spread, color=color, marker=marker, capsize=3, label=name)
axis.set_xscale("log")
axis.set_xticks(shots, [str(n) for n in shots])
axis.minorticks_off()
axis.set(xlabel="labelled reads per species", ylabel="macro F1 on other reads", ylim=(0.4, 1))
axis.legend(loc="lower right")
plt.show()

# %%
# One labelled read per species brings the bundled model about as far as five bring raw frequencies;
# with twenty they come closer to each other.
#
# The classifier takes sequences as they are, too, and says how sure it is. Here are the five reads
# out of 350 that it is least sure of, after five labelled reads per species.

known = np.concatenate([np.flatnonzero(labels == species)[:5] for species in np.unique(labels)])
queries = np.setdiff1d(np.arange(len(labels)), known)
classifier = FewShotSpeciesClassifier(embedder=DNABertSEmbedder(), calibrate=True)
classifier.fit([noisy[i] for i in known], labels[known])
sequences = [noisy[i] for i in queries]
calls, sure = classifier.predict(sequences), classifier.confidence(sequences)
print(f"{np.mean(calls == labels[queries]):.0%} are right")
for i in np.argsort(sure)[:5]:
    print(f"{reads.ids[queries[i]]}: {calls[i]} ({sure[i]:.2f}), in truth {labels[queries[i]]}")

# %%
# When it would not work
# ----------------------
#
# Reads under a kilobase say little, and members of one genus are mixed up. For reads of species
# that were not among the labelled ones, see
# :ref:`sphx_glr_auto_examples_first_steps_plot_unknown_species.py`. The model has seen relatives of
# the demo species in training; :doc:`/results` has the curve for genera that it never saw.
