"""Pictures of embeddings."""

import re

import numpy as np
import pytest
from matplotlib.colors import to_rgba

from dnaembed.plotting import new_figure, plot_species, project


def test_pca_shows_the_largest_spread():
    rows = np.random.default_rng(0).standard_normal((50, 5)) * [10, 3, 0.1, 0.1, 0.1]
    coordinates, names = project(rows)
    assert abs(np.corrcoef(coordinates[:, 0], rows[:, 0])[0, 1]) > 0.99
    assert abs(np.corrcoef(coordinates[:, 1], rows[:, 1])[0, 1]) > 0.9
    assert re.fullmatch(r"PC 1 \([89]\d%\)", names[0])
    with pytest.raises(ValueError, match='"pca", "umap" or "tsne", got \'mds\''):
        project(rows, method="mds")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["UMAP", "t-SNE"])
def test_neighbourhoods(name):
    rows = np.random.default_rng(0).standard_normal((40, 5))
    coordinates, names = project(rows, method=name.lower().replace("-", ""))
    assert coordinates.shape == (40, 2)
    assert np.isfinite(coordinates).all()
    assert names == (f"{name} 1", f"{name} 2")


@pytest.mark.parametrize("n_species", [1, 10, 25])
def test_species_differ_in_colour_or_shape(n_species, tmp_path):
    labels = np.array([f"species {i:02}" for i in range(n_species)])
    ax = plot_species(np.random.default_rng(0).random((n_species, 2)), labels, names=("x", "y"))
    looks = {
        (tuple(c.get_facecolor()[0]), c.get_paths()[0].vertices.tobytes())
        for c in ax.collections
        if len(c.get_offsets())
    }
    assert len(looks) == n_species
    listed = [t.get_text() for t in ax.get_legend().get_texts()]
    assert listed[:20] == labels.tolist()[:20]
    assert listed[20:] == (["... and 5 more"] if n_species > 20 else [])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x", "y")
    assert to_rgba("#332288", 0.8) in {look[0] for look in looks}
    ax.figure.savefig(tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_panels():
    figure, axes = new_figure(2)
    assert len(axes) == len(figure.axes) == 2
    assert plot_species(np.eye(2), ["a", "b"], legend=False, ax=axes[1]).get_legend() is None


def test_sequences_in_no_bin_are_grey_and_behind():
    ax = plot_species([[0, 0], [1, 1], [2, 2]], [4, -1, 5])
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["no bin", "4", "5"]
    assert tuple(ax.collections[0].get_facecolor()[0]) == to_rgba("#DDDDDD")
    assert ax.collections[0].get_offsets().tolist() == [[1, 1]]
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        plot_species(np.eye(2), ["a"])
