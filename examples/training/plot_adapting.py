"""
Adapting without labels
=======================

Two parts of one read are of one species, whichever it is. From such pairs a model can learn about
a sample that nobody has labelled. It takes many reads: we show what too few do, and what was
measured with enough.
"""

# %%
# Without labels, the fine-tuner declines the 400 demo reads.

import warnings

from dnaembed import DNABertSEmbedder
from dnaembed.datasets import load_demo_reads
from dnaembed.training import ContrastiveFineTuner

reads = load_demo_reads()
embedder = DNABertSEmbedder(fine_tuner=ContrastiveFineTuner(), random_state=0)
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    embedder.fit(reads.sequences)
print(told[0].message)

# %%
# Why? ``min_reads=0`` insists. After more and more steps we look at the loss, and at how well
# K-means clusters of the embeddings agree with the species (adjusted Rand index).

from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score


def agreement(embedder):
    """Adjusted Rand index of ten clusters and the species."""
    rows = embedder.transform(reads.sequences)
    clusters = KMeans(10, n_init=10, random_state=0).fit_predict(rows)
    return adjusted_rand_score(reads.labels, clusters)


steps = [0, 25, 50, 100, 200]
scores = [agreement(DNABertSEmbedder(normalize=True).fit(reads.sequences))]
for n_steps in steps[1:]:
    tuner = ContrastiveFineTuner(min_reads=0, n_steps=n_steps, batch_size=64)
    embedder = DNABertSEmbedder(normalize=True, fine_tuner=tuner, random_state=0)
    embedder.fit(reads.sequences)
    scores.append(agreement(embedder))
    history = embedder.fine_tuner_.history_
    first, last = history[0]["loss"], history[-1]["loss"]
    print(f"{n_steps:3} steps: loss {first:.2f} to {last:.2f}, ARI {scores[-1]:.2f}")

# %%
# The loss falls as it should, and the embedding gets worse. From 400 reads, drawn again and again,
# the model learns to know each *read*, and pushes reads of one species apart like all others. The
# loss cannot tell: judge an adapted model by labelled reads, if only by a few.
#
# With enough reads it is the other way round. These are the figures of ``python
# docs/benchmarks/fine_tuning.py``: species of genera that the model was not trained on, about 3,900
# reads of 78 labels in each of three draws, before and after 300 steps. (The virus sets in that
# table have under 1,000 reads: the model stays as it is.)

before_after = {  # adjusted Rand index: before, after
    "clean": [(0.5433, 0.5955), (0.5546, 0.5911), (0.5481, 0.5869)],
    "with errors": [(0.5141, 0.5491), (0.5381, 0.5619), (0.5259, 0.5523)],
    "short": [(0.3555, 0.3535), (0.3571, 0.3478), (0.3458, 0.3443)],
}

import matplotlib.pyplot as plt

figure, (few, many) = plt.subplots(1, 2, figsize=(8.6, 3.8), layout="constrained")
few.plot(steps, scores, color="#D55E00", marker="o")
few.set(title="400 reads of ten species (made here)", xlabel="steps without labels", ylim=(0, 1))
few.set_ylabel("adjusted Rand index of K-means")
for place, pairs in enumerate(before_after.values()):
    for x, pair in zip((place - 0.15, place, place + 0.15), pairs, strict=True):
        many.plot([x, x], pair, color="gray", zorder=1)
        many.scatter(x, pair[0], color="#E69F00", marker="s", zorder=2)
        many.scatter(x, pair[1], color="#0072B2", marker="^", zorder=2)
many.scatter([], [], color="#E69F00", marker="s", label="bundled model")
many.scatter([], [], color="#0072B2", marker="^", label="adapted, 300 steps")
many.set_xticks(range(3), list(before_after))
many.set(title="3,900 reads of 78 new species (measured before)", xlabel="kind of reads")
many.set(ylabel="adjusted Rand index of K-means", ylim=(0.3, 0.65))
many.legend(loc="upper right")
plt.show()

# %%
# Note the scales: with few reads most can be lost; with many, a few hundredths are gained on long
# reads, and nothing on short ones.
#
# When to do it
# -------------
#
# Adapt when you have a few thousand reads of a kilobase or more, of a sample unlike the genomes
# that the model was trained on. Use ``DNABertSEmbedder(fine_tuner=ContrastiveFineTuner())`` as it
# is, or ``dnaembed adapt``. Step size and limits were chosen on the genomes of the right-hand
# picture, so its gains are on the high side.
