"""Displays of embeddings, novelty and bins."""

import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba
from sklearn.cluster import KMeans
from sklearn.pipeline import make_pipeline

from dnaembed import FewShotSpeciesClassifier, KmerEmbedder, SpeciesClusterer
from dnaembed.plotting import (
    BinningDisplay,
    EmbeddingDisplay,
    NoveltyDisplay,
    new_figure,
    project,
    save_figure,
)


def test_pca_shows_the_largest_spread():
    rows = np.random.default_rng(0).standard_normal((50, 5)) * [10, 3, 0.1, 0.1, 0.1]
    coordinates, names = project(rows)
    assert abs(np.corrcoef(coordinates[:, 0], rows[:, 0])[0, 1]) > 0.99
    assert abs(np.corrcoef(coordinates[:, 1], rows[:, 1])[0, 1]) > 0.9
    assert re.fullmatch(r"PC 1 \([89]\d%\)", names[0])
    with pytest.raises(ValueError, match='"pca", "umap" or "tsne", got \'mds\''):
        project(rows, method="mds")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("method", ["pca", "umap", "tsne"])
@pytest.mark.parametrize("rows", [np.ones((1, 3)), np.ones((3, 1)), np.ones((6, 2)), np.eye(6)])
def test_neighbourhoods_unless_rows_are_few_or_equal(method, rows):
    coordinates, (name, _) = project(rows, method=method)
    assert coordinates.shape == (len(rows), 2)
    assert np.isfinite(coordinates).all()
    shown = method if rows.min() == 0 else "pca"
    assert name[:5] == {"pca": "PC 1 ", "umap": "UMAP ", "tsne": "t-SNE"}[shown]


def check_names(ax):
    """Names are within the axes, and none covers another."""
    boxes = [text.get_window_extent() for text in ax.texts]
    (left, low), (right, high) = ax.get_window_extent().get_points()
    assert all(left <= b.x0 < b.x1 <= right and low <= b.y0 < b.y1 <= high for b in boxes)
    assert not any(one.overlaps(two) for i, one in enumerate(boxes) for two in boxes[:i])


def test_names_are_at_their_groups():
    centers = np.array([[i % 10, i // 10] for i in range(60)])
    points = np.repeat(centers, 5, axis=0) + np.random.default_rng(0).random((300, 2)) / 3
    labels = np.repeat([f"{i}" for i in range(59)] + ["unknown"], 5)
    ax = EmbeddingDisplay(points, labels).plot().ax_
    ax.figure.draw_without_rendering()
    assert {text.get_text() for text in ax.texts} == {*labels} - {"unknown"}
    for text in ax.texts:
        at = ax.transData.inverted().transform(text.get_window_extent().p0)
        assert np.abs(at - centers[int(text.get_text())]).max() < 0.8
        assert np.abs(points - text.xy).sum(axis=1).min() < 1e-6
    check_names(ax)
    species = EmbeddingDisplay([[0, 0], [1, 1]], ["Vibrio cholerae", "Vibrio sp. 4"]).plot().ax_
    assert [text.get_text() for text in species.texts] == ["V. cholerae", "V. sp. 4"]


@pytest.mark.parametrize("n_species", [1, 12, 60])
def test_the_largest_groups_differ_in_colour_and_shape(n_species, tmp_path):
    labels = np.array([f"species {i:02} with a long name{'!' * i}" for i in range(n_species)])
    labels = np.repeat(labels, range(1, n_species + 1))
    points = np.random.default_rng(0).random((len(labels), 2))
    ax = EmbeddingDisplay(points, labels, names=("x", "y"), label_name="species").plot().ax_
    looks = {
        (tuple(c.get_facecolor()[0]), c.get_paths()[0].vertices.tobytes()) for c in ax.collections
    }
    more = n_species > 12
    assert len(looks) == n_species + more
    assert len({color for color, _ in looks}) == min(n_species, 12) + more
    listed = [t.get_text() for t in ax.get_legend().get_texts()]
    assert [name[:11] for name in listed] == [
        *(f"species {i:02} " for i in range(max(0, n_species - 12), n_species)),
        *["and 48 more"] * more,
    ]
    assert ax.get_legend().get_title().get_text() == "species"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x", "y")
    figure = ax.figure
    figure.draw_without_rendering()
    box = ax.get_legend().get_window_extent()
    assert box.x1 <= figure.bbox.x1
    assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1
    assert to_rgba("#332288", 0.8) in {look[0] for look in looks}
    check_names(ax)
    save_figure(figure, tmp_path / "picture.svg")
    assert (tmp_path / "picture.svg").read_text().startswith("<?xml")


def test_panels():
    figure, axes = new_figure(2)
    assert len(axes) == len(figure.axes) == 2
    how = {"method": "pca", "legend": False, "ax": axes[1]}
    display = EmbeddingDisplay.from_predictions(np.eye(2), ["a", "b"], **how)
    assert display.ax_ is axes[1]
    assert display.figure_ is figure
    assert axes[1].get_legend() is None


@pytest.mark.parametrize(("nothing", "name"), [(-1, "no bin"), ("-1", "no bin"), ("unknown",) * 2])
def test_sequences_in_no_group_are_grey_and_behind(nothing, name):
    labels = np.array([4, nothing, 5]) if nothing == -1 else ["4", nothing, "5"]
    ax = EmbeddingDisplay([[0, 0], [1, 1], [2, 2]], labels, lengths=[1, 4, 1]).plot().ax_
    assert [t.get_text() for t in ax.get_legend().get_texts()] == [name, "4", "5"]
    assert tuple(ax.collections[0].get_facecolor()[0])[:3] == to_rgba("#DDDDDD")[:3]
    assert ax.collections[0].get_offsets().tolist() == [[1, 1]]
    assert [c.get_sizes().tolist() for c in ax.collections] == [[36], [9], [9]]


def test_numbers_have_a_scale_of_colours():
    points = np.random.default_rng(0).random((4, 2))
    for values, scale in (([0.1, 0.2, 0.3, 0.4], "linear"), ([1e3, 1e4, 1e5, 1e6], "log")):
        display = EmbeddingDisplay(points, values, label_name="GC").plot()
        _, bar = display.figure_.axes
        assert (bar.get_ylabel(), bar.get_yscale()) == ("GC", scale)
    missing = EmbeddingDisplay(points, [0.1, np.nan, 0.2, 0.3]).plot().figure_
    missing.draw_without_rendering()
    drawn = missing.axes[0].collections[0]
    assert drawn.get_facecolor()[1].tolist() == pytest.approx(to_rgba("#DDDDDD", 0.8))
    plain = EmbeddingDisplay(points).plot().ax_
    assert plain.get_legend() is None
    assert len(plain.collections[0].get_offsets()) == 4


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: EmbeddingDisplay(np.eye(2), ["a"]), "inconsistent numbers of samples"),
        (lambda: EmbeddingDisplay([[0, np.nan]]), "NaN"),
        (lambda: EmbeddingDisplay.from_predictions([[0, np.inf]]), "infinity"),
        (lambda: NoveltyDisplay([1, 2], [True]), "inconsistent numbers of samples"),
        (lambda: BinningDisplay([1, 2], ["a"]), "inconsistent numbers of samples"),
        (lambda: BinningDisplay(["a", "b"], [1, 2]), "bins come first, species second"),
    ],
)
def test_bad_displays(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()


def test_embeddings_may_be_a_frame_but_not_sequences():
    rows = pd.DataFrame(np.eye(3), columns=["a", "b", "c"])
    assert len(EmbeddingDisplay.from_predictions(rows, method="pca").coordinates) == 3
    with pytest.raises(TypeError, match="Expected embeddings, got str"):
        EmbeddingDisplay.from_predictions(["ACGT"])


def test_displays_of_estimators():
    rows = np.repeat(np.eye(4), 6, axis=0) + np.random.default_rng(0).random((24, 4)) / 9
    labels = np.repeat(list("abcd"), 6)
    classifier = FewShotSpeciesClassifier(unknown="unknown").fit(rows[:18], labels[:18])
    draw = {"method": "pca", "title": "rows"}
    ax = EmbeddingDisplay.from_estimator(classifier, rows, **draw).ax_
    assert {t.get_text() for t in ax.get_legend().get_texts()} == {*classifier.predict(rows)}
    assert ax.get_title() == "rows"
    novelty = NoveltyDisplay.from_estimator(classifier, rows, labels == "d")
    np.testing.assert_array_equal(novelty.scores, classifier.novelty_scores(rows))
    heights = [sum(p.get_height() for p in bars.patches) for bars in novelty.ax_.containers[:1]]
    assert heights == [18]
    clusterer = SpeciesClusterer(4, random_state=0).fit(rows)
    table = BinningDisplay.from_estimator(clusterer, rows, labels).ax_
    assert [t.get_text() for t in table.texts] == ["6"] * 4
    assert [t.get_position() for t in table.texts] == [(i, i) for i in range(4)]
    reads = ["ACGGC" * 9, "ATTAT" * 9, "CCGGA" * 9, "TTATA" * 9, "GGCAC" * 9]
    pipeline = make_pipeline(KmerEmbedder(), KMeans(2, random_state=0))
    clusterer = SpeciesClusterer(2, embedder=KmerEmbedder())
    for estimator in (KmerEmbedder().fit(reads), clusterer, pipeline):
        points = EmbeddingDisplay.from_estimator(estimator.fit(reads), reads, method="pca")
        expected, _ = project(KmerEmbedder().fit_transform(reads))
        np.testing.assert_allclose(points.coordinates, expected)
        assert (points.labels is None) == isinstance(estimator, KmerEmbedder)


def test_bins_by_size():
    bins = [*range(40), 0, 0, 39, -1, -5]
    ax = BinningDisplay.from_predictions(bins, title="all").ax_
    assert [bar.get_height() for bar in ax.patches] == [3, 2] + [1] * 38
    assert (ax.get_title(), ax.get_ylabel()) == ("all", "contigs")
    assert [t.get_text() for t in ax.get_xticklabels()][:3] == ["0", "1", "3"]
    nothing = BinningDisplay.from_predictions([-1, -1], ["a", "b"]).ax_
    assert nothing.get_title() == "0 bins"
    assert [t.get_text() for t in nothing.get_xticklabels()] == ["none"]
    assert len(BinningDisplay.from_predictions([-1]).ax_.patches) == 0
