"""The pictures of the user guide: ``python docs/figures/guide.py [NAME...]``.

One function for each, on the demo reads or on the committed results; each takes seconds. Pictures
are 6.4 inches wide at 100 dots per inch, the width at which pages show them, with letters that are
still legible when a phone halves them. Their ground is transparent.
"""

import csv
import sys
from functools import cache
from io import BytesIO
from itertools import product
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from PIL import Image

from dnaembed import (
    DNABertSEmbedder,
    FewShotSpeciesClassifier,
    KmerEmbedder,
    SpeciesClusterer,
    reverse_complement,
)
from dnaembed.datasets import load_demo_reads
from dnaembed.plotting import (
    BinningDisplay,
    EmbeddingDisplay,
    NoveltyDisplay,
    new_figure,
    project,
)

RESULTS = Path(__file__).parent.parent / "results"
STYLE = {
    "font.size": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 12,
    "legend.frameon": False,
    "savefig.transparent": True,
}
_BLUE, _ORANGE, _GREEN, _GREY = "#0072B2", "#D55E00", "#009E73", "#888888"  # Okabe and Ito
_TEN = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00",
    "#56B4E9", "#7F3C8D", "#A5AA99", "#8C564B", "#11A579",
)  # fmt: skip
_MARKERS = "osD^vP*<>h"


@cache
def _demo():
    reads = load_demo_reads()
    rows = DNABertSEmbedder(normalize=True).fit_transform(reads.sequences)
    return reads.sequences, np.asarray(reads.labels), rows


@cache
def _tnf():
    return KmerEmbedder(method="raw").fit_transform(_demo()[0])


def _short(species):
    genus, _, rest = species.partition(" ")
    return f"{genus[0]}. {rest}"


def _panel(height=3.4):
    figure, [axis] = new_figure(1)
    figure.set_size_inches(6.4, height)
    return figure, axis


def _table(name):
    with (RESULTS / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def embeddings():
    """Similarities of all reads."""
    _, labels, rows = _demo()
    order = np.argsort(labels, kind="stable")[::4]
    figure, axis = _panel(4.2)
    image = axis.imshow(
        (rows @ rows.T)[order][:, order], cmap="viridis", vmin=0.5, vmax=1, aspect="auto"
    )
    species, first, counts = np.unique(labels[order], return_index=True, return_counts=True)
    axis.set_yticks(first + counts / 2, [_short(name) for name in species], style="italic")
    axis.set(xticks=[], title="100 reads beside 100 reads")
    figure.colorbar(image, ax=axis, label="cosine similarity")
    return figure


def sequences():
    """How far errors move an embedding."""
    from dnaembed.training import add_errors

    reads, labels, rows = _demo()
    embedder = DNABertSEmbedder(normalize=True, cache=None).fit(reads)
    rates = [0, 0.02, 0.05, 0.1, 0.15]
    same = [
        np.sum(rows * embedder.transform(add_errors(reads, rate, random_state=0)), axis=1).mean()
        for rate in rates
    ]
    turned = embedder.transform([reverse_complement(read) for read in reads])
    figure, axis = _panel()
    axis.plot(100 * np.array(rates), same, "o-", color=_BLUE, label="to the read without errors")
    axis.plot(
        0,
        np.sum(rows * turned, axis=1).mean(),
        "*",
        ms=16,
        color=_GREEN,
        label="to its other strand",
    )
    different = (rows @ rows.T)[labels[:, None] != labels].mean()
    axis.axhline(different, color=_ORANGE, ls="--", label="reads of two species")
    axis.set(xlabel="errors (% of bases)", ylabel="cosine similarity", ylim=(0.5, 1.03))
    axis.legend(loc="center right")
    return figure


def choosing():
    """Accuracy from two labelled reads per species."""
    from sklearn.model_selection import StratifiedShuffleSplit, cross_val_score

    reads, labels, rows = _demo()
    splits = StratifiedShuffleSplit(10, train_size=20, test_size=200, random_state=0)
    embedded = {
        "raw TNF": _tnf(),
        "canonical TNF": KmerEmbedder().fit_transform(reads),
        "bundled model": rows,
    }
    figure, axis = _panel(2.4)
    for place, (data, color) in enumerate(
        zip(embedded.values(), (_GREY, _ORANGE, _BLUE), strict=True)
    ):
        scores = cross_val_score(FewShotSpeciesClassifier(), data, labels, cv=splits)
        axis.barh(place, scores.mean(), xerr=scores.std(ddof=1), color=color)
        axis.text(0.02, place, f"{scores.mean():.2f}", color="white", weight="bold", va="center")
    axis.set_yticks(range(3), list(embedded))
    axis.set(xlabel="accuracy on other reads", xlim=(0, 1))
    return figure


def few_shot():
    """Novelty of reads of known and of new species."""
    _, labels, rows = _demo()
    species = np.unique(labels)
    known = np.concatenate([np.flatnonzero(labels == s)[:10] for s in species[:7]])
    rest = np.setdiff1d(np.arange(len(labels)), known)
    classifier = FewShotSpeciesClassifier(unknown="unknown").fit(rows[known], labels[known])
    novelty, new = classifier.novelty_scores(rows[rest]), np.isin(labels[rest], species[7:])
    figure, axis = _panel()
    NoveltyDisplay.from_predictions(novelty, new, ax=axis)
    return figure


def clustering():
    """A map of clusters."""
    _, labels, rows = _demo()
    clusters = SpeciesClusterer(n_clusters=10, random_state=0).fit_predict(rows)
    points, _ = project(rows, method="tsne")
    figure, axis = _panel(4.6)
    centers = np.array([np.median(points[clusters == c], axis=0) for c in range(10)])
    for cluster, center in enumerate(centers):
        members = clusters == cluster
        kinds, counts = np.unique(labels[members], return_counts=True)
        name = kinds[counts.argmax()]
        right, wrong = members & (labels == name), members & (labels != name)
        style = {"color": _TEN[cluster], "linewidths": 0, "alpha": 0.8}
        axis.scatter(*points[right].T, s=22, marker=_MARKERS[cluster], **style)
        axis.scatter(*points[wrong].T, s=40, marker="x", color=_TEN[cluster])
        # On the side where the nearest other cluster is not.
        away = center - centers[np.linalg.norm(centers - center, axis=1).argsort()[1]]
        axis.annotate(
            _short(name),
            center,
            xytext=(0, 18 if away[1] > 0 else -18),
            textcoords="offset points",
            ha="left" if away[0] > 0 else "right",
            va="bottom" if away[1] > 0 else "top",
            style="italic",
        )
    axis.margins(0.2, 0.12)
    axis.axis("off")
    return figure


def binning():
    """Species and bins."""
    _, labels, rows = _demo()
    figure, axis = _panel(4)
    bins = SpeciesClusterer(random_state=0).fit_predict(rows)
    BinningDisplay.from_predictions(bins, [_short(name) for name in labels], title="", ax=axis)
    for name in axis.get_yticklabels():
        name.set_style("italic")
    return figure


def long_read_bins():
    """Which reads are in bins, by length."""
    reads, labels, rows = _demo()
    lengths = np.array([len(read) for read in reads])
    long = lengths >= 2500
    bins = np.full(len(reads), -1)
    bins[long] = SpeciesClusterer(random_state=0).fit_predict(rows[long])
    kinds = np.full(len(reads), "in none", dtype=object)
    for name in np.unique(bins[bins >= 0]):
        found, counts = np.unique(labels[bins == name], return_counts=True)
        own = labels == found[counts.argmax()]
        kinds[bins == name] = np.where(own[bins == name], "with its own species", "with another")
    shown = {"with its own species": _BLUE, "with another": _ORANGE, "in none": "#BBBBBB"}
    figure, axis = _panel()
    axis.hist(
        [lengths[kinds == kind] / 1000 for kind in shown],
        np.arange(2, 6.3, 0.25),
        stacked=True,
        color=list(shown.values()),
        label=list(shown),
    )
    axis.axvline(2.5, color=_GREY, ls="--")
    axis.set(xlabel="length of the read (kb)", ylabel="reads")
    axis.legend(loc="upper right")
    return figure


def hybrid():
    """Coverage in two samples, by bin."""
    import tempfile

    from dnaembed.datasets import save_demo_reads
    from dnaembed.io import abundance_of, read_abundance, read_sequences

    with tempfile.TemporaryDirectory() as folder:
        save_demo_reads(f"{folder}/demo")
        ids, contigs = read_sequences(f"{folder}/demo/reads.fastq.gz")
        coverage = abundance_of(ids, read_abundance(f"{folder}/demo/coverage.tsv"))
    bins = SpeciesClusterer(random_state=0).fit(contigs, abundance=coverage).labels_
    figure, axis = _panel(3.8)
    for name in np.unique(bins):
        color, marker = ("#BBBBBB", ".") if name < 0 else (_TEN[name % 10], _MARKERS[name % 10])
        label = "none" if name < 0 else f"bin {name + 1}"
        axis.scatter(*coverage[bins == name, :2].T, s=22, color=color, marker=marker, label=label)
    axis.set(xscale="log", yscale="log", xlabel="coverage, long reads")
    axis.set_ylabel("coverage, short reads")
    axis.legend(loc="center left", bbox_to_anchor=(1, 0.5), handletextpad=0, borderpad=0)
    return figure


def bins():
    """Map and sizes of bins, as ``dnaembed bin --picture`` draws them."""
    reads, _, rows = _demo()
    labels, lengths = SpeciesClusterer(random_state=0).fit_predict(rows), list(map(len, reads))
    figure, (left, right) = new_figure(2)
    look = {"method": "pca", "legend": False, "title": f"{len(labels)} contigs", "ax": left}
    EmbeddingDisplay.from_predictions(rows, labels, lengths=lengths, **look)
    BinningDisplay.from_predictions(labels, lengths=lengths, ax=right)
    figure.set_size_inches(6.4, 3.2)
    return figure


def getting_started():
    """The map of "Getting started"."""
    _, labels, rows = _demo()
    figure, axis = _panel(4)
    EmbeddingDisplay.from_predictions(rows, labels, method="tsne", ax=axis)
    return figure


def adapting():
    """Before and after, from the results."""
    kinds = {"clean": "clean", "errors": "with errors", "short": "short"}
    figure, axis = _panel(2.8)
    for place, name in enumerate(kinds):
        rows = [row for row in _table("fine_tuning.csv") if row["set"] == name]
        for shift, row in zip(
            0.2 * (np.arange(len(rows)) - (len(rows) - 1) / 2), rows, strict=True
        ):
            before, after = float(row["ari"]), float(row["ari adapted"])
            axis.annotate(
                "",
                (after, place + shift),
                (before, place + shift),
                arrowprops={"arrowstyle": "->", "color": _GREY},
            )
            axis.plot(before, place + shift, "s", color=_ORANGE)
            axis.plot(after, place + shift, "o", color=_BLUE)
    axis.plot([], [], "s", color=_ORANGE, label="bundled model")
    axis.plot([], [], "o", color=_BLUE, label="adapted")
    axis.set_yticks(range(3), list(kinds.values()))
    axis.set(xlabel="adjusted Rand index of K-means", xlim=(0.3, 0.65))
    axis.legend(loc="lower left")
    return figure


def labels():
    """Quality against the number of species learnt, from the results."""
    rows = _table("label_curve.csv")
    figure, axes = new_figure(2)
    figure.set_size_inches(6.4, 3.6)
    colors = {"viruses": _GREEN, "clean": _BLUE, "short": _ORANGE}
    for axis, score in zip(axes, ("ari", "f1@2"), strict=True):
        for (name, color), size in product(colors.items(), ("large", "small")):
            found = {}
            for row in rows:
                if row["model"] == size:
                    value = float(row[f"{score} {name}"])
                    found.setdefault(int(row["labels"]), []).append(value)
            means = [np.mean(found[n]) for n in sorted(found)]
            line = "o-" if size == "large" else "s:"
            axis.plot(sorted(found), means, line, color=color, label=f"{name}, {size}")
        axis.set(xscale="log", xlabel="species in training")
        axis.set_xticks(sorted(found), [f"{n:,}" for n in sorted(found)])
        axis.minorticks_off()
    axes[0].set_ylabel("ARI of K-means")
    axes[1].set_ylabel("F1 from two labelled reads")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def training():
    """The loss of a small network."""
    import torch

    from dnaembed.backbones import KmerProfileBackbone, KmerProfileConfig, KmerProfileModel
    from dnaembed.training import (
        ContrastiveTrainer,
        ReadPairs,
        TrainingConfig,
        fit_profile_statistics,
    )

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = KmerProfileConfig(k=[4], hidden_size=64, intermediate_size=128, deep_size=32)
        small = KmerProfileBackbone(KmerProfileModel(config))
    reads, labels, _ = _demo()
    source = ReadPairs(reads, labels, seed=0)
    fit_profile_statistics(small, source, n_batches=4, n_pairs=128)
    settings = TrainingConfig(
        n_steps=100,
        loss="weighted_simclr",
        temperature=0.1,
        head_size=None,
        learning_rate=2e-3,
        log_every=2,
    )
    trainer = ContrastiveTrainer(small, source, settings, device="cpu")
    trainer.train()
    figure, axis = _panel(3)
    axis.plot(
        [r["step"] for r in trainer.history], [r["loss"] for r in trainer.history], color=_BLUE
    )
    axis.set(xlabel="step", ylabel="Weighted SimCLR loss", ylim=(0, None))
    return figure


def speed():
    """Megabases per second, from the results."""
    rows = [
        (r["embedder"], float(r["megabases per second"])) for r in _table("speed_embedders.csv")
    ]
    rows.sort(key=lambda row: row[1])
    figure, axis = _panel(2.8)
    colors = [_BLUE if name == "bundled model" else _GREY for name, _ in rows]
    axis.barh(range(len(rows)), [value for _, value in rows], color=colors)
    for place, (_, value) in enumerate(rows):
        axis.text(value * 1.2, place, f"{value:.3g}", va="center")
    axis.set_yticks(
        range(len(rows)), [name.replace(" of 117 M parameters", "") for name, _ in rows]
    )
    axis.set(xscale="log", xlim=(1e-4, 3000), xlabel="megabases per second")
    return figure


def distributed():
    """Shards of a file."""
    from matplotlib.patches import FancyBboxPatch

    figure, axis = _panel(3)
    for x, y, text, color in (
        (0.1, 0.5, "reads\n.fastq.gz", _GREY),
        *((0.48, 0.88 - 0.255 * i, f"worker {i + 1}: shard {i + 1}/4", _BLUE) for i in range(4)),
        (0.89, 0.5, "reads.npy", _GREEN),
    ):
        half = 0.19 if color == _BLUE else 0.1
        box = FancyBboxPatch(
            (x - half, y - 0.08),
            2 * half,
            0.16,
            boxstyle="round,pad=0.01",
            fc="none",
            ec=color,
            lw=2,
        )
        axis.add_patch(box)
        axis.text(x, y, text, ha="center", va="center")
        if color == _BLUE:
            for start, end in (((0.215, 0.5), (0.27, y)), ((0.69, y), (0.775, 0.5))):
                axis.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": _GREY})
    axis.text(0.89, 0.28, "by merge", ha="center")
    axis.set(xlim=(-0.02, 1.02), ylim=(0, 1))
    axis.axis("off")
    return figure


def evaluation():
    """Few-shot curves."""
    from dnaembed.benchmark import few_shot_scores

    _, labels, rows = _demo()
    shots = (1, 2, 5, 10, 20)
    figure, axis = _panel()
    for name, data, color, marker in (
        ("bundled model", rows, _BLUE, "o"),
        ("raw TNF", _tnf(), _ORANGE, "s"),
    ):
        scores = few_shot_scores(data, labels, shots=shots, n_test=20, n_repeats=5)
        axis.plot(shots, [scores[n] for n in shots], color=color, marker=marker, label=name)
    axis.set_xscale("log")
    axis.set_xticks(shots, [str(n) for n in shots])
    axis.minorticks_off()
    axis.set(xlabel="labelled reads per species", ylabel="macro F1 on other reads", ylim=(0.5, 1))
    axis.legend(loc="lower right")
    return figure


def reproducibility():
    """How far the size of a batch moves embeddings."""
    reads, _, _ = _demo()
    one = DNABertSEmbedder(cache=None).fit_transform(reads).astype(float)
    two = DNABertSEmbedder(cache=None, batch_tokens=7).fit_transform(reads).astype(float)
    moved = np.linalg.norm(one - two, axis=1) / np.linalg.norm(one, axis=1)
    figure, axis = _panel(3)
    axis.hist(np.maximum(moved, 1e-9), np.geomspace(1e-9, 5e-6, 60), color=_BLUE)
    axis.axvline(1e-6, color=_ORANGE, ls="--")
    axis.text(1.1e-6, axis.get_ylim()[1] * 0.5, "limit")
    axis.set(xscale="log", xlabel="relative difference of the embeddings", ylabel="reads")
    return figure


def reliability():
    """What was tried, as the page says."""
    tried = {
        "random inputs (fuzzing)": 10_600_000,
        "faults put into the code": 1564,
        "models made to harm": 106,
        "kills at random moments": 100,
        "kinds of damaged file": 63,
    }
    figure, axis = _panel(2.8)
    axis.barh(range(len(tried)), list(tried.values())[::-1], color=_BLUE)
    for place, value in enumerate(list(tried.values())[::-1]):
        axis.text(value * 1.3, place, f"{value:,}", va="center")
    axis.set_yticks(range(len(tried)), list(tried)[::-1])
    axis.set(xscale="log", xlim=(10, 4e9), xlabel="tried")
    return figure


PICTURES = (
    embeddings, sequences, choosing, few_shot, clustering, binning, long_read_bins, hybrid,
    adapting, training, labels, speed, distributed, evaluation, reproducibility, reliability, bins,
    getting_started,
)  # fmt: skip


if __name__ == "__main__":
    for picture in PICTURES:
        if picture.__name__ in (sys.argv[1:] or picture.__name__):
            path = Path(__file__).parent / "guide" / f"{picture.__name__}.png"
            drawn = BytesIO()
            with rc_context(STYLE):
                picture().savefig(drawn, dpi=100)
            # A palette makes a third of the bytes of it.
            Image.open(drawn).quantize(128, Image.Quantize.FASTOCTREE).save(path, optimize=True)
