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
        axis.margins(0.16, 0.1)
        species = np.unique(reads.labels)
        centers = np.array([np.median(points[reads.labels == name], axis=0) for name in species])
        for name, center in zip(species, centers, strict=True):
            distances = np.linalg.norm(centers - center, axis=1)
            nearest = centers[distances.argsort()[1]]
            genus, _, rest = name.partition(" ")
            axis.annotate(
                f"{genus[0]}. {rest}",
                center,
                # On the side where the nearest other species is not.
                xytext=(0, -22 if nearest[1] > center[1] else 14),
                textcoords="offset points",
                ha="center",
                fontsize=9,
            )
    return figure


if __name__ == "__main__":
    draw().savefig(Path(__file__).with_suffix(".png"), dpi=100)
