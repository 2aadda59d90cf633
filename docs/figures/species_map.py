"""The picture of the landing page: ``python docs/figures/species_map.py``.

UMAP of the demo reads, tetranucleotide frequencies beside the bundled model. Needs the extra
``plot``.
"""

import warnings
from pathlib import Path

from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from sklearn.preprocessing import normalize

from dnaembed import DNABertSEmbedder, KmerEmbedder
from dnaembed.datasets import load_demo_reads
from dnaembed.plotting import new_figure, plot_species, project


def draw():
    """Draw the two maps; the adjusted Rand index is that of K-means on all columns."""
    reads = load_demo_reads()
    embeddings = {
        "tetranucleotide frequencies": KmerEmbedder(method="raw").fit_transform(reads.sequences),
        "dnaembed": DNABertSEmbedder().fit_transform(reads.sequences),
    }
    figure, axes = new_figure(2)
    figure.set_size_inches(8, 5)  # legible on a phone as well
    for axis, (name, rows) in zip(axes, embeddings.items(), strict=True):
        clusters = KMeans(10, n_init=10, random_state=0).fit_predict(normalize(rows))
        ari = adjusted_rand_score(reads.labels, clusters)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a seed makes UMAP use one thread, which it tells
            points, names = project(rows, method="umap")
        title = f"{name}\nadjusted Rand index of clusters: {ari:.2f}"
        plot_species(points, reads.labels, names=names, title=title, ax=axis, legend=False)
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False
    )
    return figure


if __name__ == "__main__":
    draw().savefig(Path(__file__).with_suffix(".png"))
