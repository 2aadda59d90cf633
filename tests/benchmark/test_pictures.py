"""Pictures show the numbers that they were given."""

import numpy as np
import pytest
from matplotlib.colors import to_rgba

from dnaembed.benchmark import BenchmarkResult, plot_bars, plot_few_shot, plot_similarities


def record(embedder, set_name, score, value, seed=0):
    protocol, score = score.split(" ")
    names = ("embedder", "set", "protocol", "score", "seed", "value")
    return dict(zip(names, (embedder, set_name, protocol, score, seed, value), strict=True))


@pytest.fixture
def result():
    return BenchmarkResult(
        [
            record("a", "x", "clustering ari", 0.2),
            record("a", "x", "clustering ari", 0.4, seed=1),
            record("b", "x", "clustering ari", 0.5),
            record("b", "y", "clustering ari", 0.6),
            record("a", "x", "few_shot f1@1", 0.1),
            record("a", "x", "few_shot f1@10", 0.3),
            record("b", "x", "few_shot f1@1", 0.7),
        ]
    )


def test_bars(result):
    ax = plot_bars(result, "clustering ari")
    bars = {(b.get_label(), round(p.get_height(), 6)) for b in ax.containers[::1]
            if hasattr(b, "patches") for p in b.patches}  # fmt: skip
    assert bars == {("a", 0.3), ("b", 0.5), ("b", 0.6)}
    assert [t.get_text() for t in ax.get_xticklabels()] == ["x", "y"]
    colours = {p.get_facecolor() for p in ax.patches}
    assert colours == {to_rgba("#332288"), to_rgba("#88CCEE")}


def test_few_shot_curves(result):
    ax = plot_few_shot(result, "x")
    curves = {line.get_label(): line.get_xydata().tolist() for line in ax.lines}
    assert curves == {"a": [[1, 0.1], [10, 0.3]], "b": [[1, 0.7]]}
    assert [t.get_text() for t in ax.get_xticklabels()] == ["1", "10"]
    assert plot_few_shot(result, "y").get_legend() is None


def test_similarities_have_area_one():
    labels = np.repeat(["a", "b"], 5)
    ax = plot_similarities(np.repeat(np.eye(2), 5, axis=0), labels, title="t")
    within, between = (np.ptp(p.get_path().vertices[:, 1]) for p in ax.patches)
    # All pairs within are in the last bin of width 1/40, all between in one near 0.
    assert within == pytest.approx(40)
    assert between == pytest.approx(40)
    assert ax.get_title() == "t"


def test_similarities_of_single_sequences():
    ax = plot_similarities(np.eye(3), np.array(["a", "b", "c"]))
    assert len(ax.patches) == 2
