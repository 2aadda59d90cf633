"""
MI-Mix and C2LR step by step
============================

DNABERT-S learns in two phases, which together are called C2LR: first to tell reads apart, hard
ones above all, then to place *mixtures* of two reads between the two. We go through a batch of
each by hand, and then let the trainer do it.
"""

# %%
# Pairs
# -----
#
# A batch has eight pairs. The two views of a pair are pieces of one species; here it is two parts
# of one read, the longest of each species. Pieces are drawn anew at each step. (At step 3 of this
# seed no species is drawn twice, which makes the pictures easier to read.)

import numpy as np
import torch
from torch.nn.functional import normalize

from dnaembed.backbones import Mixing, load_backbone
from dnaembed.datasets import load_demo_reads
from dnaembed.training import ReadPairs, mi_mix, weighted_simclr

reads = load_demo_reads()
species = np.unique(reads.labels)
by_species = [
    [dna for dna, s in zip(reads.sequences, reads.labels, strict=True) if s == name]
    for name in species
]
longest = [max(some, key=len) for some in by_species]
source = ReadPairs(longest, species, min_length=2000, seed=2)
batch = source.sample(step=3, n_pairs=8)
order = np.argsort(batch.labels)
view1, view2 = [batch.view1[i] for i in order], [batch.view2[i] for i in order]
names = [f"{s[0]}. {s.split()[1]}" for s in species[batch.labels[order]]]
for name, one, two in zip(names, view1, view2, strict=True):
    print(f"{name:15} {len(one):5} and {len(two):5} bp")

# %%
# Phase one: Weighted SimCLR
# --------------------------
#
# The model embeds both views. Each should be nearer to its partner than to all others. The nearer
# another view is, the more it counts.

backbone = load_backbone("default")


@torch.inference_mode()
def embed(sequences, mixing=None):
    """Unit vectors, mixed at the input of a hidden layer if there is a mixing."""
    inputs = backbone.collate(backbone.featurize(sequences))
    return normalize(backbone.embed(inputs, mixing))


temperature = 0.07
z1, z2 = embed(view1), embed(view2)
found = (z1 @ z2.T).argmax(dim=1).eq(torch.arange(8)).sum()
print(f"{found} of 8 reads are nearest to their own partner")
print(f"Weighted SimCLR: {weighted_simclr(z1, z2, temperature=temperature):.2f}")

# %%
# Phase two: MI-Mix
# -----------------
#
# Three things are drawn for the whole batch: a hidden layer, a partner for each read, and the share
# that a read keeps of itself, from one half to one.

rng = np.random.default_rng(0)
layer = int(rng.integers(backbone.n_mixing_layers))
permutation = torch.from_numpy(rng.permutation(8))
shares = torch.from_numpy(rng.uniform(0.5, 1, 8).astype(np.float32))
print(f"mixed at the input of layer {layer} of {backbone.n_mixing_layers}")
for i, (j, share) in enumerate(zip(permutation.tolist(), shares.tolist(), strict=True)):
    print(f"{share:4.0%} {names[i]:15} {1 - share:4.0%} {names[j]}")

# %%
# The reads of view 1 run up to that layer, are mixed there, and run on as mixtures. View 2 is left
# alone. The target of a mixture: its own partner by the share, the partner of the other read by the
# rest.

mixed = embed(view1, Mixing(layer, permutation, shares))
targets = torch.diag(shares)
targets[torch.arange(8), permutation] += 1 - shares
for views, name in ((mixed, "mixed views"), (z1, "unmixed views")):
    loss = mi_mix(views, z2, permutation, shares, temperature=temperature)
    print(f"MI-Mix, {name}: {loss:.2f}")

# %%
# The mixed views are nearer to what is asked of them than the unmixed ones, as the lower loss says.
# In the picture a row is a read of view 1, a column one of view 2. Left, unmixed reads find their
# partners on the diagonal. In the middle, the targets: rows add up to one. Right, the mixtures.

import matplotlib.pyplot as plt

figure, axes = plt.subplots(1, 3, figsize=(8.6, 4), sharey=True, layout="constrained")
low = float((z1 @ z2.T).min())
for axis, values, title, limits, label in (
    (axes[0], z1 @ z2.T, "not mixed", (low, 1), "cosine similarity"),
    (axes[1], targets, "targets", (0, 1), "share"),
    (axes[2], mixed @ z2.T, f"mixed at layer {layer}", (low, 1), "cosine similarity"),
):
    picture = axis.imshow(values.numpy(), cmap="cividis", vmin=limits[0], vmax=limits[1])
    axis.scatter(permutation, range(8), s=90, facecolors="none", edgecolors="white")
    axis.set_xticks(range(8), names, rotation=90, style="italic")
    axis.set(title=title, xlabel="view 2")
    figure.colorbar(picture, ax=axis, label=label, shrink=0.7)
axes[0].set_yticks(range(8), names, style="italic")
axes[0].set_ylabel("view 1 (white circle: what it is mixed with)")
plt.show()

# %%
# Where the mixture lands
# -----------------------
#
# The first read and its partner in the mixing, with any share, at each of the two layers.

i, j = 0, int(permutation[0])
grid = np.linspace(0, 1, 41)
figure, axis = plt.subplots(figsize=(6.5, 4.2), layout="constrained")
for layer, line in zip(range(backbone.n_mixing_layers), ["-", "--"], strict=True):
    kept = torch.tensor(grid, dtype=torch.float32)
    points = embed(
        [view1[i]] * len(grid) + [view1[j]],
        Mixing(
            layer,
            torch.full((len(grid) + 1,), len(grid)),
            torch.cat([kept, torch.ones(1)]),
        ),
    )[:-1]
    for target, color in ((i, "#0072B2"), (j, "#D55E00")):
        similarity = (points @ z2[target]).numpy()
        label = f"to {names[target]}, mixed at layer {layer}"
        axis.plot(grid, similarity, color=color, linestyle=line, label=label)
axis.set(
    xlabel=f"share of {names[i]} in the mixture with {names[j]}",
    ylabel="cosine similarity to view 2",
)
axis.legend(fontsize="small")
plt.show()

# %%
# The mixture moves from one species to the other, but the curves do not cross at one half: an even
# mixture of these two is an *E. coli* to this model, which was trained with Weighted SimCLR alone.
# MI-Mix asks for a crossing in the middle.
#
# The curriculum
# --------------
#
# The trainer draws, mixes and computes all that. A small network from scratch, on all demo reads
# with their labels: a third of the steps with Weighted SimCLR, the rest with MI-Mix.

from dnaembed.backbones import KmerProfileBackbone, KmerProfileConfig, KmerProfileModel
from dnaembed.training import ContrastiveTrainer, TrainingConfig, fit_profile_statistics

with torch.random.fork_rng(devices=[]):
    torch.manual_seed(0)
    config = KmerProfileConfig(k=[4], hidden_size=64, intermediate_size=128, deep_size=32)
    model = KmerProfileModel(config)
small = KmerProfileBackbone(model)
source = ReadPairs(reads.sequences, reads.labels, seed=0)
fit_profile_statistics(small, source, n_batches=4, n_pairs=128)
trainer = ContrastiveTrainer(
    small,
    source,
    TrainingConfig(
        n_steps=150,
        loss="c2lr",
        temperature=0.1,
        head_size=None,
        learning_rate=2e-3,
        log_every=3,
    ),
    device="cpu",
)
trainer.train()

# %%
# The loss leaps where the second phase begins, though the model is as good as before: it is another
# question, and a harder one. It cannot fall to zero either: a target that is divided between two
# leaves at least its entropy.

c = rng.uniform(0.5, 1, 10_000)
entropy = -np.mean(c * np.log(c) + (1 - c) * np.log1p(-c))
print(f"least MI-Mix loss there could be, on average: {entropy:.2f}")
figure, axis = plt.subplots(figsize=(6.5, 4.2), layout="constrained")
for phase, label, color, marker in (
    ("weighted_simclr", "Weighted SimCLR", "#0072B2", "o"),
    ("mi_mix", "MI-Mix", "#D55E00", "^"),
):
    rows = [row for row in trainer.history if row["phase"] == phase]
    axis.plot(
        [row["step"] for row in rows],
        [row["loss"] for row in rows],
        color=color,
        marker=marker,
        label=label,
    )
axis.hlines(entropy, 50, 150, color="#D55E00", linestyle=":", label="entropy of the targets")
axis.set(xlabel="step", ylabel="loss", ylim=(0, None))
axis.legend()
plt.show()

# %%
# Does it help?
# -------------
#
# In the paper, for a transformer that learns from a fixed set of pairs, it does.
# For a network of k-mer profiles that sees fresh pairs at every step we measured no gain, and the
# bundled model does without: see :doc:`/guide/method`. The small network here is for show; ten
# genomes teach a model nothing about others.
