"""Pictures: displays as scikit-learn has them, of embeddings, novelty and bins."""

import os
import re
import warnings
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.utils import check_array, check_consistent_length, column_or_1d

from ._sequences import holds_sequences
from .utils._atomic import open_output
from .utils._compile import import_compiled
from .utils._messages import shorten

__all__ = ["BinningDisplay", "EmbeddingDisplay", "NoveltyDisplay", "new_figure", "project"]

# Paul Tol's "muted" scheme and three more: told apart with any kind of colour vision. Shapes change
# as well; where colours repeat, each has another shape than before.
COLORS = (
    "#332288", "#88CCEE", "#44AA99", "#117733", "#999933", "#DDCC77",
    "#CC6677", "#882255", "#AA4499", "#0077BB", "#EE7733", "#6A3D1A",
)  # fmt: skip
MARKERS = "osD^vP*X<>hd"
_OTHERS, _NOTHING = "#777777", "#DDDDDD"
NOTHINGS = {"-1": "no bin", "unknown": "unknown"}  # labels that name no group
_FEW = 5  # rows of which there is no neighbourhood to show
_LONGEST_NAME = 40
_LETTER = 0.32, 0.7  # half its width and height on average, as shares of the size of the font
_MOST_TICKS = 20


def project(
    embeddings: np.ndarray, *, method: str = "pca", random_state: int | None = 0
) -> tuple[np.ndarray, tuple[str, str]]:
    """Project embeddings onto two dimensions.

    Parameters
    ----------
    embeddings : ndarray of shape (n, d)
        One row per sequence.
    method : {"pca", "umap", "tsne"}, default="pca"
        Principal components, or UMAP or t-SNE on cosine distances, which need 5 rows, not all
        equal: of fewer, principal components are shown.
    random_state : int or None, default=0
        Seed.

    Returns
    -------
    tuple of an ndarray of shape (n, 2) and a tuple of two str
        Points, and names for the axes; with PCA, the share of the variance that each shows.
    """
    if method not in ("pca", "umap", "tsne"):
        raise ValueError(f'method must be "pca", "umap" or "tsne", got {method!r}.')
    if holds_sequences(embeddings):
        made = "embedder.fit_transform(sequences) makes them"
        raise TypeError(f"Expected embeddings, got str: {made}.")
    rows = check_array(embeddings, dtype=[np.float64, np.float32], input_name="embeddings")
    if method == "pca" or len(rows) < _FEW or (rows == rows[0]).all():
        pca = PCA(min(2, *rows.shape), random_state=random_state)
        coordinates, shares = np.zeros((len(rows), 2)), np.zeros(2)
        if len(rows) > 1:
            with np.errstate(invalid="ignore"):  # equal rows have no variance to share
                coordinates[:, : pca.n_components] = pca.fit_transform(rows)
            shares[: pca.n_components] = np.nan_to_num(pca.explained_variance_ratio_)
        return coordinates, (f"PC 1 ({shares[0]:.0%})", f"PC 2 ({shares[1]:.0%})")
    if method == "umap":
        neighbors = min(15, len(rows) - 1)
        how: Any = {"metric": "cosine", "random_state": random_state, "n_jobs": 1}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it tells how it begins
            umap = import_compiled("umap")  # takes seconds
            points = umap.UMAP(neighbors, **how).fit_transform(rows)
        return np.asarray(points), ("UMAP 1", "UMAP 2")
    perplexity = min(30, (len(rows) - 1) / 3)
    tsne = TSNE(metric="cosine", perplexity=perplexity, random_state=random_state)
    return tsne.fit_transform(rows), ("t-SNE 1", "t-SNE 2")


class Group(NamedTuple):
    name: str
    members: Any
    color: str
    marker: str
    is_listed: bool = True


def groups_of(labels: Any) -> list[Group]:
    """Return groups as drawn: what is in none, small ones, and the twelve largest by name."""
    kinds, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    texts = [str(kind) for kind in kinds.tolist()]
    is_group = np.array([text not in NOTHINGS for text in texts])
    by_size = np.argsort(-np.where(is_group, counts, 0), kind="stable")[: is_group.sum()]
    n = len(COLORS)
    nothing, largest = np.flatnonzero(~is_group), np.sort(by_size[:n])
    groups = [Group(NOTHINGS[texts[i]], codes == i, _NOTHING, "o") for i in nothing]
    looks = [(COLORS[i % n], MARKERS[(i + i // n) % n]) for i in range(len(by_size))]
    for ids, is_listed in ((by_size[n:], False), (largest, True)):
        for i, look in zip(ids, looks[0 if is_listed else n :], strict=False):
            groups.append(Group(shorten(texts[i], _LONGEST_NAME), codes == i, *look, is_listed))
    rest = Group(f"and {len(by_size) - n} more", codes < 0, _OTHERS, ".")
    return groups + [rest] * (len(by_size) > n)


def place_names(
    groups: list[Group], points: np.ndarray, size: np.ndarray, font: float
) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Return short names of groups, their centers, and where each name hides the fewest points."""
    rows = points[:: -(-len(points) // 2000)]
    placed: list[tuple[str, np.ndarray, np.ndarray]] = []
    low = high = np.zeros((0, 2))
    sizes = [g.members.sum() * (g.name not in {"", *NOTHINGS.values()}) for g in groups]
    for group in [groups[i] for i in np.argsort(-np.array(sizes), kind="stable") if sizes[i]]:
        text = re.sub("^([A-Z])[a-z]+ (?=[a-z]{2})", r"\1. ", group.name)  # of a species
        half, own = font * np.multiply(_LETTER, (len(text), 1)), points[group.members]
        center = own[np.linalg.norm(own - np.median(own, axis=0), axis=1).argmin()]
        away = (half + font / 2) * [(x, y) for x in (0, -1, 1) for y in (0, -1, 1, -2, 2)]
        fits = (abs(center + away - size / 2) + half <= size / 2).all(axis=1)
        from_, to = center + away - half, center + away + half
        fits &= ~((from_[:, None] < high) & (low < to[:, None])).all(axis=2).any(axis=1)
        hidden = ((from_[:, None] < rows) & (rows < to[:, None])).all(axis=2).sum(axis=1)
        if fits.any():
            best = np.argmin(np.where(fits, hidden + np.hypot(*away.T) / 20, np.inf))
            placed.append((text, center, center + away[best]))
            low, high = np.vstack([low, from_[best]]), np.vstack([high, to[best]])
    return placed


class _Display:
    """What displays share."""

    _asked: str  # method of an estimator whose answers are drawn
    lengths: Any

    @classmethod
    def from_estimator(cls, estimator: Any, X: Any, *known: Any, **how: Any) -> Self:
        """Ask a fitted estimator about X, and draw its answers as `from_predictions` does."""
        return cls.from_predictions(getattr(estimator, cls._asked)(X), *known, **how)

    @classmethod
    def from_predictions(cls, answers: Any, known: Any = None, **how: Any) -> Self:
        """Draw answers beside what is `known`; `how` has arguments of the class and of `plot`."""
        look = {name: how.pop(name) for name in ("ax", "title", "legend") if name in how}
        display: Any = cls(answers, known, **how)  # type: ignore[call-arg]
        return display.plot(**look)

    def _keep(self, **columns: Any) -> None:
        for name, values in columns.items():
            is_column = values is not None and name != "coordinates"
            setattr(self, name, column_or_1d(values) if is_column else values)
        check_consistent_length(*(getattr(self, name) for name in columns))

    def _draw_on(self, ax: Any, **settings: Any) -> Any:
        self.ax_ = new_figure(1)[1][0] if ax is None else ax
        self.figure_ = self.ax_.figure
        self.ax_.set(**settings)
        return self.ax_


class EmbeddingDisplay(_Display):
    """A map of embeddings, coloured by group or by a number, on `ax_` of `figure_`.

    The twelve largest groups have a colour each; smaller ones repeat them in other shapes. Names
    are at the groups where there is room. Points labelled -1 or "unknown" are grey, behind all.

    Parameters
    ----------
    coordinates : array-like of shape (n, 2)
        Points, for example from `project`.
    labels, lengths : array-like of shape (n,), default=None
        Species, cluster or bin of each, or floats, drawn on a colour scale; and its bases, the area
        of its point.
    names, label_name : tuple of two str, and str, default=("", "") and ""
        Names of the axes, and what the labels are.

    Examples
    --------
    >>> from dnaembed.plotting import EmbeddingDisplay
    >>> display = EmbeddingDisplay([[0, 0], [0, 1], [3, 3]], ["a", "b", "unknown"]).plot()
    >>> [text.get_text() for text in display.ax_.get_legend().get_texts()]
    ['unknown', 'a', 'b']
    """

    coordinates: Any
    labels: Any

    def __init__(
        self,
        coordinates: Any,
        labels: Any = None,
        *,
        lengths: Any = None,
        names: tuple[str, str] = ("", ""),
        label_name: str = "",
    ) -> None:
        self._keep(coordinates=check_array(coordinates), labels=labels, lengths=lengths)
        self.names, self.label_name = names, label_name

    @classmethod
    def from_estimator(cls, estimator: Any, X: Any, labels: Any = None, **how: Any) -> Self:
        """Embed and draw, with arguments as of `from_predictions`.

        `estimator` is a fitted embedder; or a classifier or clusterer, whose calls are the labels
        if none are given, and X is then what it was fitted on: sequences or embeddings.
        """
        if labels is None and hasattr(estimator, "predict"):
            labels = estimator.predict(X)
        if hasattr(estimator, "steps") and hasattr(estimator, "predict"):
            estimator = estimator[:-1]
        embedder = getattr(estimator, "embedder_", estimator)
        is_made = embedder is estimator and hasattr(estimator, "predict")
        return cls.from_predictions(X if is_made else embedder.transform(X), labels, **how)

    @classmethod
    def from_predictions(cls, answers: Any, known: Any = None, **how: Any) -> Self:
        """Project embeddings, one row per label, and draw.

        `how` has the arguments of `project` (`method`, ``"umap"`` if it is not given, and
        `random_state`), of the class and of `plot`.
        """
        seed, method = how.pop("random_state", 0), how.pop("method", "umap")
        points, how["names"] = project(answers, method=method, random_state=seed)
        return super().from_predictions(points, known, **how)

    def plot(self, ax: Any = None, *, title: str = "", legend: bool = True) -> Self:
        """Draw on axes, or on a new figure; `legend` is to the right of the axes."""
        x, y = self.coordinates[:, :2].T
        ax = self._draw_on(ax, title=title, xticks=[], yticks=[])
        ax.set(xlabel=self.names[0], ylabel=self.names[1])
        sizes = np.full(len(x), 18.0) if self.lengths is None else point_areas(self.lengths)
        look: Any = {"alpha": 0.8, "linewidths": 0}
        if self.labels is None:
            ax.scatter(x, y, sizes, COLORS[0], **look)
        elif self.labels.dtype.kind == "f":
            least, most = np.nanmin(self.labels), np.nanmax(self.labels)
            look |= {"norm": "log" if 0 < least < most / 20 else "linear", "plotnonfinite": True}
            drawn = ax.scatter(x, y, sizes, self.labels, cmap=color_scale(), **look)
            if legend:
                self.figure_.colorbar(drawn, ax=ax, label=self.label_name)
        else:
            groups = groups_of(self.labels)
            for name, own, color, marker, is_listed in groups:
                look |= {"marker": marker, "label": name if is_listed else None}
                ax.scatter(x[own], y[own], sizes[own], color, **look)
            if legend:
                place: Any = {"loc": "center left", "bbox_to_anchor": (1.02, 0.5), "frameon": False}
                ax.legend(title=self.label_name, fontsize="small", **place)
            self._name(groups)
        return self

    def _name(self, groups: list[Group]) -> None:
        from matplotlib.font_manager import FontProperties
        from matplotlib.patheffects import withStroke

        self.ax_.margins(0.1)
        self.figure_.draw_without_rendering()  # so that the layout is known
        box, unit = self.ax_.get_window_extent(), self.figure_.dpi / 72
        points = (self.ax_.transData.transform(self.coordinates[:, :2]) - box.p0) / unit
        font = FontProperties(size="small").get_size_in_points()
        look: Any = {"textcoords": "offset points", "ha": "center", "va": "center", "size": font}
        look["path_effects"] = [withStroke(linewidth=2, foreground="white")]
        for name, center, middle in place_names(groups, points, box.size / unit, font):
            at = self.ax_.transData.inverted().transform(center * unit + box.p0)
            self.ax_.annotate(name, at, middle - center, **look)


def color_scale() -> Any:
    """Return colours of numbers; what has none is as grey as what is in no group."""
    from matplotlib import colormaps

    return colormaps["viridis"].with_extremes(bad=_NOTHING)


def point_areas(lengths: Any) -> np.ndarray:
    """Return areas of points, proportional to lengths but for the longest, of mean size 18."""
    lengths = np.asarray(lengths, dtype=float)
    return np.clip(18 * lengths / max(lengths.mean(), 1), 2, 300)


class NoveltyDisplay(_Display):
    """How new reads are to a classifier, and its limit, on `ax_` of `figure_`.

    Parameters
    ----------
    scores : array-like of shape (n,)
        From `FewShotSpeciesClassifier.novelty_scores`: reads above 1 are called unknown.
    is_new : array-like of bool of shape (n,), default=None
        Which reads are of a species that the classifier was not shown, where that is known.

    Examples
    --------
    >>> from dnaembed.plotting import NoveltyDisplay
    >>> display = NoveltyDisplay.from_predictions([0.2, 0.4, 1.7], [False, False, True])
    >>> [text.get_text() for text in display.ax_.get_legend().get_texts()]
    ['known species', 'new species', 'limit']
    """

    _asked = "novelty_scores"
    scores: Any
    is_new: Any

    def __init__(self, scores: Any, is_new: Any = None) -> None:
        self._keep(scores=scores, is_new=is_new)

    def plot(self, ax: Any = None, *, title: str | None = None) -> Self:
        """Draw on axes, or on a new figure."""
        ax = self._draw_on(ax, title=title or "", ylabel="reads")
        ax.set(xlabel="novelty: distance to the nearest species / its limit")
        new = np.asarray(self.scores * 0 if self.is_new is None else self.is_new, bool)
        bins: Any = np.linspace(0, max(self.scores.max(), 1.05), 45)
        name = "reads" if self.is_new is None else "known species"
        ax.hist(self.scores[~new], bins, color=COLORS[9], alpha=0.8, label=name)
        if new.any():
            look: Any = {"histtype": "step", "lw": 2, "hatch": "//", "color": COLORS[10]}
            ax.hist(self.scores[new], bins, label="new species", **look)
        ax.margins(y=0.3)  # room for the legend, above the bars and the line
        ax.axvline(1, ymax=0.8, color=_OTHERS, ls="--", label="limit")
        ax.legend(frameon=False, loc="upper center", ncols=3, columnspacing=1)
        return self


class BinningDisplay(_Display):
    """How large bins are or, where species are known, what is in each, on `ax_` of `figure_`.

    Parameters
    ----------
    bins : array-like of int of shape (n,)
        The bin of each contig; negative: in none.
    species : array-like of shape (n,), default=None
        Its species: draw a table of species and bins.
    lengths : array-like of shape (n,), default=None
        Bases of each; None: count contigs.

    Examples
    --------
    >>> from dnaembed.plotting import BinningDisplay
    >>> display = BinningDisplay.from_predictions([0, 0, 1, -1], lengths=[5e6, 1e6, 3e6, 2e6])
    >>> [float(bar.get_height()) for bar in display.ax_.patches]
    [6.0, 3.0]
    """

    _asked = "predict"
    bins: Any
    species: Any

    def __init__(self, bins: Any, species: Any = None, *, lengths: Any = None) -> None:
        self._keep(bins=bins, species=species, lengths=lengths)
        if self.bins.dtype.kind not in "iu":
            raise ValueError("bins must be integers: bins come first, species second.")

    def plot(self, ax: Any = None, *, title: str | None = None) -> Self:
        """Draw on axes, or on a new figure; without a title, say how many bins there are."""
        bins = np.maximum(self.bins, -1)
        found, first, codes = np.unique(bins, return_index=True, return_inverse=True)
        n_bins = int((found >= 0).sum())
        ax = self._draw_on(ax, title=f"{n_bins} bins" if title is None else title, xlabel="bin")
        weights = np.ones(len(codes)) if self.lengths is None else self.lengths / 1e6
        species = bins * 0 if self.species is None else self.species
        kinds, rows = np.unique(species, return_inverse=True)
        table = np.zeros((len(kinds), len(found)))
        np.add.at(table, (rows, codes), weights)
        if self.species is None:
            order = [i for i in np.argsort(-table[0], kind="stable") if found[i] >= 0]
            colors = np.empty(len(codes), object)
            for group in groups_of(bins):
                colors[group.members] = group.color
            ax.bar(range(n_bins), table[0, order], color=colors[first[order]].tolist())
            ax.set_ylabel("contigs" if self.lengths is None else "Mbp")
        else:
            order = sorted(range(len(found)), key=lambda i: (found[i] < 0, table[:, i].argmax()))
            table, top = table[:, order], table.max()
            shown = np.where(table > 0, table, np.nan)
            ax.imshow(shown, cmap="Blues", vmin=-top / 3, vmax=top, aspect="auto")
            look: Any = {"ha": "center", "va": "center", "fontsize": "small"}
            for row, column in np.argwhere(table > 0) if table.size <= 400 else []:
                ink = "white" if table[row, column] > top / 2 else "black"
                ax.text(column, row, f"{table[row, column]:.3g}", color=ink, **look)
            _name_ticks(ax.set_yticks, kinds.tolist())
        names = ["none" if found[i] < 0 else found[i] for i in order]
        _name_ticks(ax.set_xticks, names)
        return self


def _name_ticks(set_ticks: Any, names: list[Any]) -> None:
    every = -(-max(len(names), 1) // _MOST_TICKS)
    shown = [shorten(str(name), _LONGEST_NAME) for name in names[::every]]
    set_ticks(range(0, len(names), every), shown)


def new_figure(n_panels: int) -> tuple[Any, list[Any]]:
    """Return a figure with panels side by side, drawn without a screen.

    Parameters
    ----------
    n_panels : int
        Number of panels.

    Returns
    -------
    tuple of a matplotlib Figure and a list of matplotlib Axes
        The figure, to be saved with ``figure.savefig(path)``, and its panels.
    """
    # The Figure class, not pyplot: no window system, no global state, nothing to close.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.4 * n_panels + 2, 4.4), dpi=150, layout="constrained")
    return figure, list(np.atleast_1d(figure.subplots(1, n_panels)))


def save_figure(figure: Any, path: str | os.PathLike[str]) -> None:
    """Write a figure in the format that the suffix names, else as PNG; it appears complete."""
    suffix = Path(path).suffix.lower()[1:]
    with open_output(path, "wb") as file:
        figure.savefig(file, format=suffix if suffix in ("pdf", "svg") else "png")
