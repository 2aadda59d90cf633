"""
Comparing embedders on your own data
====================================

Which embedder is best for *your* reads? If some of them have labels, measure it:
:func:`dnaembed.benchmark.benchmark` runs the protocols of the DNABERT-S paper on any number of
sets and embedders, yours included.
"""

# %%
# Your data are a FASTA or FASTQ file and a table of two columns, identifier and species. Here the
# demo reads play their part, written to files first.

import tempfile
from pathlib import Path

from sklearn.utils import Bunch

from dnaembed.datasets import load_demo_reads
from dnaembed.io import labels_of, read_labels, read_sequences, write_labels

folder = tempfile.TemporaryDirectory()
fasta, table = Path(folder.name, "mine.fasta"), Path(folder.name, "mine.tsv")
demo = load_demo_reads()
fasta.write_text(
    "".join(f">{name}\n{dna}\n" for name, dna in zip(demo.ids, demo.sequences, strict=True))
)
write_labels(table, demo.ids, demo.labels)

# %%
# From here on, everything is the same with files of your own. A second set has short pieces of the
# same reads, to see whether they do as well.

ids, sequences = read_sequences(fasta)
labels = labels_of(ids, read_labels(table))
sets = {
    "whole reads": Bunch(sequences=sequences, labels=labels),
    "first kilobase": Bunch(sequences=[dna[:1000] for dna in sequences], labels=labels),
}

# %%
# An embedder is any scikit-learn transformer of sequences: those of this package, a pipeline of
# several, one of your own, or the name of a model, such as a hub id, for a
# :class:`~dnaembed.DNABertSEmbedder`.

from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline, make_union

from dnaembed import DNABertSEmbedder, KmerEmbedder

embedders = {
    "raw TNF": KmerEmbedder(method="raw"),
    "canonical TNF": KmerEmbedder(),
    "PCA of 4- and 5-mers": make_pipeline(
        make_union(KmerEmbedder(4), KmerEmbedder(5)), PCA(32, random_state=0)
    ),
    "bundled model": DNABertSEmbedder(cache=None),
}

# %%
# Clusters, species from few labelled reads, and nearest neighbours. ``cache="folder"`` would keep
# what is done, so that a long run can be stopped and resumed. The time is that of embedding on this
# machine.

from dnaembed.benchmark import benchmark

result = benchmark(
    sets,
    embedders,
    protocols=["clustering", "few_shot", "retrieval"],
    shots=(1, 2, 5, 10),
    n_repeats=3,
)
for name in embedders:
    for set_name in sets:
        scores = {
            score: result.mean(name, set_name, score)
            for score in ("clustering ari", "few_shot f1@5", "retrieval species")
        }
        print(f"{name:21} {set_name:15}", *(f"{s} {v:.2f}" for s, v in scores.items()), sep="  ")

# %%
# Bars, in the order of the legend: how well ten clusters agree with the species (adjusted Rand
# index). Lines: macro F1 of a classifier from few labelled reads, on the short pieces.

import matplotlib.pyplot as plt

from dnaembed.benchmark import plot_bars, plot_few_shot

figure, (bars, curves) = plt.subplots(1, 2, figsize=(8.6, 3.8), layout="constrained")
plot_bars(result, "clustering ari", ax=bars)
bars.set(ylabel="adjusted Rand index of K-means", ylim=(0, 1))
bars.get_legend().remove()  # that of the curves serves both
plot_few_shot(result, "first kilobase", ax=curves)
folder.cleanup()
plt.show()

# %%
# An order can depend on the question: principal components are as good as canonical 4-mers for
# clusters, and the worst of all for few labelled reads. Measure the one that you have. Short pieces
# cost every embedder, the bundled model least.
#
# When it would not work
# ----------------------
#
# The demo species are not new to the bundled model, which has met their
# genera in training, so that this is a comparison in its favour; :doc:`/results` has one on genera
# that it never saw. With your own reads, ask the same: has the model, or its threshold, seen them
# before? And one set of reads gives one score. To see how far chance goes, pass several draws of a
# set as a list.
