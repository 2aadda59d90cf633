"""The picture of the landing page: ``python docs/figures/species_map.py``.

UMAP of the demo reads, tetranucleotide frequencies beside the bundled model.
"""

from pathlib import Path

import numpy as np

from dnaembed import DNABertSEmbedder, KmerEmbedder
from dnaembed.benchmark import clustering_scores
from dnaembed.datasets import load_demo_reads
from dnaembed.plotting import EmbeddingDisplay, new_figure


def draw():
    """Draw the two maps; the adjusted Rand index is that of K-means, as in `dnaembed demo`."""
    reads = load_demo_reads()
    embeddings = {
        "tetranucleotide frequencies": KmerEmbedder(method="raw").fit_transform(reads.sequences),
        "bundled model": DNABertSEmbedder().fit_transform(reads.sequences),
    }
    figure, axes = new_figure(2)
    figure.set_size_inches(8.2, 4.4)
    for axis, (name, rows) in zip(axes, embeddings.items(), strict=True):
        ari = clustering_scores(rows, reads.labels)["ari"]
        title = f"{name}\nadjusted Rand index of K-means: {ari:.2f}"
        display = EmbeddingDisplay.from_predictions(
            rows, reads.labels, title=title, ax=axis, legend=False
        )
        axis.set(xlabel="", ylabel="")
        points = display.coordinates
        axis.margins(0.26, 0.12)
        axis.autoscale_view()
        figure.draw_without_rendering()  # so that the layout is known
        place = axis.transData.transform
        taken = place(points)
        for name in np.unique(reads.labels):
            center = np.median(points[reads.labels == name], axis=0)
            genus, _, rest = name.partition(" ")
            text = f"{genus[0]}. {rest}"
            side = 16 + 3.4 * len(text)
            corners = [(x, y) for x in (-side, 0, side) for y in (-30, -20, 0, 20, 30)]
            # Where the middle and the ends of the text are furthest from all reads and other texts.
            ends = np.array([(-3.2 * len(text), 0), (0, 0), (3.2 * len(text), 0)])
            room = [
                np.linalg.norm(taken[:, None] - (place(center) + at + ends), axis=2).min()
                for at in np.array(corners)
            ]
            best = np.array(corners[int(np.argmax(room))])
            taken = np.concatenate([taken, place(center) + best + ends])
            axis.annotate(
                text, center, xytext=best * 72 / figure.dpi, textcoords="offset points",
                ha="center", va="center", fontsize=9,
            )  # fmt: skip
    return figure


if __name__ == "__main__":
    draw().savefig(Path(__file__).with_suffix(".png"), dpi=100)
