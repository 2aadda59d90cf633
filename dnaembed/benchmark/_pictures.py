"""Pictures of a benchmark: bars, curves and maps."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from ..plotting import COLORS, MARKERS, EmbeddingDisplay, new_figure, save_figure
from ._results import BenchmarkResult

_MOST_SPECIES = 10


def plot_bars(result: BenchmarkResult, score: str, *, ax: Any = None) -> Any:
    """Draw one score as bars: a group for each set, a bar for each embedder.

    Parameters
    ----------
    result : BenchmarkResult
        The scores.
    score : str
        Which, for example ``"clustering ari"``.
    ax : matplotlib Axes, default=None
        Where to draw; a new figure if None.

    Returns
    -------
    matplotlib Axes
        With the standard deviation as a line where there are several seeds.

    Examples
    --------
    >>> from dnaembed.benchmark import BenchmarkResult, plot_bars
    >>> record = {"embedder": "TNF", "set": "soil", "protocol": "clustering", "score": "ari"}
    >>> ax = plot_bars(BenchmarkResult([record | {"seed": 0, "value": 0.25}]), "clustering ari")
    >>> float(ax.patches[0].get_height())
    0.25
    """
    ax = new_figure(1)[1][0] if ax is None else ax
    frame = result.to_frame(summary=True)
    table = frame[frame["protocol"] + " " + frame["score"] == score].set_index(["set", "embedder"])
    table = table[["mean", "std"]].unstack().reindex(result.sets)
    means, spreads = (table[name].reindex(columns=result.embedders) for name in ("mean", "std"))
    means.plot.bar(yerr=spreads.fillna(0.0), ax=ax, color=list(COLORS), width=0.8, rot=0)
    ax.set(xlabel="", ylabel=score)
    ax.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False, fontsize="small")
    return ax


def plot_few_shot(result: BenchmarkResult, set_name: str, *, ax: Any = None) -> Any:
    """Draw macro F1 against the number of labelled sequences per species.

    Parameters
    ----------
    result, set_name : BenchmarkResult and str
        The scores, and which set.
    ax : matplotlib Axes, default=None
        Where to draw; a new figure if None.

    Returns
    -------
    matplotlib Axes
        The axes drawn on.

    Examples
    --------
    >>> from dnaembed.benchmark import BenchmarkResult, plot_few_shot
    >>> record = {"embedder": "TNF", "set": "soil", "protocol": "few_shot", "score": "f1@5"}
    >>> ax = plot_few_shot(BenchmarkResult([record | {"seed": 0, "value": 0.25}]), "soil")
    >>> ax.lines[0].get_xydata().tolist()
    [[5.0, 0.25]]
    """
    ax = new_figure(1)[1][0] if ax is None else ax
    frame = result.to_frame(summary=True).query("protocol == 'few_shot' and set == @set_name")
    frame = frame.assign(shots=frame["score"].str.removeprefix("f1@").astype(int))
    for name, own in frame.sort_values("shots", kind="stable").groupby("embedder", sort=False):
        i = result.embedders.index(str(name)) % len(COLORS)
        ax.plot(own["shots"], own["mean"], marker=MARKERS[i], color=COLORS[i], label=name)
    ticks = sorted(set(frame["shots"]))
    ax.set_xscale("log")
    ax.set_xticks(ticks, list(map(str, ticks)))
    ax.minorticks_off()
    ax.set(xlabel="labelled sequences per species", ylabel="macro F1", title=set_name)
    if ticks:
        ax.legend(frameon=False, fontsize="small")
    return ax


def save_pictures(
    result: BenchmarkResult, folder: str | os.PathLike[str], reads: Bunch, embedders: dict[str, Any]
) -> None:
    """Draw scores (few-shot of the first set), and how fitted embedders see reads, as PNG files."""
    figures = {}
    if "clustering ari" in result.scores:
        figures["bars.png"] = plot_bars(result, "clustering ari").figure
        figures["bars.png"].set_size_inches(5 + 1.4 * len(result.sets), 4.4)
    if any(score.startswith("few_shot") for score in result.scores):
        figures["few_shot.png"] = plot_few_shot(result, result.sets[0]).figure
    labels = np.asarray(reads.labels)
    species = np.unique(labels)
    # Some of them, evenly spaced in sorted order: more cannot be told apart.
    some = np.isin(labels, species[:: -(-len(species) // _MOST_SPECIES)])
    figures["map.png"], panels = new_figure(len(embedders))
    shown = [one for one, is_drawn in zip(reads.sequences, some, strict=True) if is_drawn]
    for (name, embedder), ax in zip(embedders.items(), panels, strict=True):
        how: Any = {"method": "pca", "title": name, "ax": ax, "legend": ax is panels[-1]}
        EmbeddingDisplay.from_predictions(embedder.transform(shown), labels[some], **how)
    for name, figure in figures.items():
        save_figure(figure, Path(folder) / name)
