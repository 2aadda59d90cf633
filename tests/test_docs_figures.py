"""Pictures and facts of the documentation that are made from the code are as the code is now."""

import csv
import importlib.util
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import dnaembed

ROOT = Path(__file__).parent.parent
FIGURES = ROOT / "docs" / "figures"


def script(name):
    spec = importlib.util.spec_from_file_location(name, FIGURES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_diagram_of_the_architecture_shows_the_imports():
    architecture = script("architecture")
    drawn = (FIGURES / "architecture.svg").read_text(encoding="utf-8")
    assert drawn == architecture.svg(architecture.imports()), (
        "imports between parts of the package have changed: python docs/figures/architecture.py"
    )


def test_nothing_imports_what_stands_above_it():
    architecture = script("architecture")
    order = architecture.layers()
    edges = architecture.imports()
    rooms = {path.name if path.is_dir() else path.stem for path in (ROOT / "dnaembed").iterdir()}
    assert rooms - {"__init__", "__main__", "__pycache__", "models", "py.typed", "py"} == set(order)
    assert ("species", "embedding") in edges
    assert [(a, b) for a, b in edges if order.index(a) >= order.index(b)] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "draw"),
    [("method", "draw_weighted_simclr"), ("method", "draw_mi_mix"), ("species_map", "draw")],
)
def test_pictures_can_be_drawn_again(name, draw):
    figure = getattr(script(name), draw)()
    assert len(figure.axes) == 2
    assert all(axis.get_title() for axis in figure.axes)
    assert figure.legends or any(axis.get_legend() or axis.texts for axis in figure.axes)


def test_citation_names_this_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "docs" / "CITATION.cff").read_text()
    assert f"version = {{{version}}}" in (ROOT / "docs" / "citing.rst").read_text()
    assert dnaembed.__version__ == version


def table_of(page, first):
    """Return the rows of the csv-table whose header begins with a word, below the header."""
    lines = [line.strip() for line in (ROOT / "docs" / page).read_text().splitlines()]
    start = next(i for i, line in enumerate(lines) if line.startswith(first))
    return csv.reader(lines[start + 1 : lines.index("", start)], skipinitialspace=True)


def means(name, keys, columns):
    """Return the means over the seeds in a file of results, by the values of some columns."""
    frame = pd.read_csv(ROOT / "docs" / "results" / name, dtype=dict.fromkeys(keys, str))
    return frame.groupby(keys)[columns].mean().T.to_dict("list")


def check(shown, expected):
    """Compare cells with numbers as far as the cells have digits; NaN is an empty cell."""
    for text, number in zip(shown, expected, strict=True):
        digits = len(text.partition(".")[2])
        assert np.isnan(number) if not text else abs(float(text) - number) <= 0.51 * 10**-digits


def test_table_of_unknown_species_is_that_of_the_results():
    columns = ["auroc", "fpr95", "known called unknown", "new called unknown", "calibration error"]
    measured = means("novelty.csv", ["shots", "score"], columns)
    for shots, score, *shown in table_of("guide/few_shot.rst", "reads per species,"):
        check(shown, measured.pop((shots, score)))
    assert not measured


def test_table_of_bins_is_that_of_the_results():
    columns = ["f1>0.5", "f1>0.5 of all reads", "f1>0.9", "binned"]
    measured = means("binning.csv", ["abundance", "method"], columns)
    for method, *shown in table_of("guide/binning.rst", "method ("):
        even, skewed = (measured.pop((kind, method)) for kind in ("even", "lognormal"))
        check(shown, [*even[:3], *skewed[:3], even[3]])
    assert not measured


def test_table_of_coverage_is_that_of_the_results():
    columns = [">50 %", ">70 %", ">90 %"]
    measured = means("binning_coverage.csv", ["samples", "added noise"], columns)
    for samples, *shown in table_of("guide/binning.rst", "samples, > 50 %"):
        noisy = measured.pop((samples, "0.25"), [np.nan] * 3)
        check(shown, measured.pop((samples, "0.0")) + noisy)
    assert not measured
