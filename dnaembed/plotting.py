"""Pictures of embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.utils import check_consistent_length, column_or_1d

from .utils._compile import import_compiled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["new_figure", "plot_bins", "plot_species", "project"]

# Paul Tol's "muted" scheme: told apart with any kind of colour vision. Ten colours are all that
# anyone can tell apart, so the shape changes as well.
_COLORS = (
    "#332288", "#88CCEE", "#44AA99", "#117733", "#999933",
    "#DDCC77", "#CC6677", "#882255", "#AA4499", "#777777",
)  # fmt: skip
_MARKERS = "osD^vP*X<>"
_LISTED = 20  # species that a legend has room for


def project(
    embeddings: np.ndarray, *, method: str = "pca", random_state: int | None = 0
) -> tuple[np.ndarray, tuple[str, str]]:
    """Project embeddings onto two dimensions.

    Parameters
    ----------
    embeddings : ndarray of shape (n, d)
        One row per sequence, n and d at least 2.
    method : {"pca", "umap", "tsne"}, default="pca"
        Principal components, or UMAP or t-SNE on cosine distances.
    random_state : int or None, default=0
        Seed.

    Returns
    -------
    coordinates : ndarray of shape (n, 2)
        Points.
    names : tuple of two str
        Names for the axes; with PCA, the share of the variance that each shows.

    Examples
    --------
    >>> import numpy as np
    >>> from dnaembed.plotting import project
    >>> coordinates, names = project(np.array([[0.0, 0, 1], [0, 1, 0], [3, 0, 0], [4, 0, 0]]))
    >>> coordinates.shape, names[0]
    ((4, 2), 'PC 1 (9...%)')
    """
    if method == "pca":
        pca = PCA(2, random_state=random_state)
        coordinates = pca.fit_transform(embeddings)
        first, second = pca.explained_variance_ratio_
        return coordinates, (f"PC 1 ({first:.0%})", f"PC 2 ({second:.0%})")
    if method == "umap":
        umap = import_compiled("umap")  # takes seconds
        reducer = umap.UMAP(metric="cosine", random_state=random_state, n_jobs=1)
        return np.asarray(reducer.fit_transform(embeddings)), ("UMAP 1", "UMAP 2")
    if method == "tsne":
        perplexity = min(30, (len(embeddings) - 1) / 3)
        tsne = TSNE(metric="cosine", perplexity=perplexity, random_state=random_state)
        return tsne.fit_transform(embeddings), ("t-SNE 1", "t-SNE 2")
    raise ValueError(f'method must be "pca", "umap" or "tsne", got {method!r}.')


def plot_species(
    coordinates: np.ndarray,
    labels: np.ndarray,
    *,
    names: tuple[str, str] = ("", ""),
    title: str = "",
    legend: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw points coloured by species.

    Parameters
    ----------
    coordinates : ndarray of shape (n, 2)
        Points, for example from `project`.
    labels : array-like of shape (n,)
        Species of each; -1, of a sequence in no bin, is drawn in light grey behind the others.
    names, title : tuple of two str, and str, default=("", "") and ""
        Names and title of the axes.
    legend : bool, default=True
        List the first 20 species to the right of the axes, and how many more there are.
    ax : matplotlib Axes, default=None
        Where to draw; a new figure if None.

    Returns
    -------
    matplotlib Axes
        The axes drawn on.
    """
    ax = new_figure(1)[1][0] if ax is None else ax
    coordinates, labels = np.asarray(coordinates), column_or_1d(labels)
    check_consistent_length(coordinates, labels)
    if (in_none := labels == -1).any():
        x, y = coordinates[in_none].T[:2]
        ax.scatter(x, y, s=12, color="#DDDDDD", linewidths=0, label="no bin")
    kinds = np.unique(labels[~in_none]).tolist()
    for i, species in enumerate(kinds):
        color, marker = _COLORS[i % 10], _MARKERS[(i + i // 10) % 10]
        (x, y), label = coordinates[labels == species].T[:2], str(species) if i < _LISTED else None
        ax.scatter(x, y, s=18, color=color, marker=marker, alpha=0.8, linewidths=0, label=label)
    if len(kinds) > _LISTED:
        ax.scatter([], [], alpha=0, label=f"... and {len(kinds) - _LISTED} more")
    ax.set(xlabel=names[0], ylabel=names[1], title=title, xticks=[], yticks=[])
    if legend:
        ax.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False, fontsize="small")
    return ax


def plot_bins(embeddings: np.ndarray, bins: np.ndarray, lengths: np.ndarray) -> Any:
    """Draw a map of contigs by bin, and how large each bin is.

    Parameters
    ----------
    embeddings, bins, lengths : ndarray of shape (n, d), (n,) and (n,)
        One row per contig, its bin (-1 for none: grey), and its bases (the area of its point).

    Returns
    -------
    matplotlib Figure
        Save it with ``figure.savefig(path)``.

    Examples
    --------
    >>> import numpy as np
    >>> from dnaembed.plotting import plot_bins
    >>> figure = plot_bins(np.eye(3), np.array([0, 0, -1]), np.array([5000, 9000, 3000]))
    >>> [ax.get_title() for ax in figure.axes]
    ['3 contigs', '1 bins']
    """
    figure, (left, right) = new_figure(2)
    bins, names = np.asarray(bins), np.unique(bins[bins >= 0])
    color = np.array([*(_COLORS[i % len(_COLORS)] for i in range(len(names))), "#dddddd"])
    shown = color[np.where(bins >= 0, np.searchsorted(names, bins), -1)]
    if min(np.shape(embeddings)) > 1:
        points, axes = project(embeddings)
        left.scatter(*points.T, s=np.asarray(lengths) / 1000, c=shown, alpha=0.7, linewidths=0)
        left.set(xlabel=axes[0], ylabel=axes[1])
    left.set(title=f"{len(bins)} contigs", xticks=[], yticks=[])
    bases = [np.sum(lengths[bins == name]) / 1e6 for name in names]
    right.bar(np.arange(len(names)), bases, color=color[:-1])
    right.set(xlabel="bin", ylabel="Mbp", title=f"{len(names)} bins")
    return figure


def new_figure(n_panels: int) -> tuple[Any, list[Any]]:
    """Return a figure with panels side by side, drawn without a screen.

    Parameters
    ----------
    n_panels : int
        How many.

    Returns
    -------
    figure : matplotlib Figure
        Save it with ``figure.savefig(path)``.
    axes : list of matplotlib Axes
        The panels.
    """
    # The Figure class, not pyplot: no window system, no global state, nothing to close.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.4 * n_panels + 2, 4.4), dpi=150, layout="constrained")
    return figure, list(np.atleast_1d(figure.subplots(1, n_panels)))
