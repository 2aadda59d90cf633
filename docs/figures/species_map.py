"""The picture of the landing page: ``python docs/figures/species_map.py``.

UMAP of the demo reads, tetranucleotide frequencies beside the bundled model.
"""

from pathlib import Path

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
        EmbeddingDisplay.from_predictions(rows, reads.labels, title=title, ax=axis, legend=False)
        axis.set(xlabel="", ylabel="")
    return figure


if __name__ == "__main__":
    draw().savefig(Path(__file__).with_suffix(".png"), dpi=100)
