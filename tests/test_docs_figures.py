"""Pictures and facts of the documentation that are made from the code are as the code is now."""

import csv
import re
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from matplotlib import rc_context
from matplotlib.text import Text

import dnaembed
from tests.helpers.benchmarks import load

ROOT = Path(__file__).parent.parent
FIGURES = ROOT / "docs" / "figures"
CONDA = ROOT / "docs" / "recipes" / "conda" / "meta.yaml"


ARCHITECTURE = load(FIGURES / "architecture.py")


def test_diagram_of_the_architecture_shows_the_imports():
    drawn = (FIGURES / "architecture.svg").read_text(encoding="utf-8")
    advice = "imports between parts have changed: python docs/figures/architecture.py"
    assert drawn == ARCHITECTURE.svg(ARCHITECTURE.imports()), advice


def test_nothing_imports_what_stands_above_it():
    order, edges = ARCHITECTURE.layers(), ARCHITECTURE.imports()
    rooms = {path.name if path.is_dir() else path.stem for path in (ROOT / "dnaembed").iterdir()}
    assert rooms - {"__init__", "__main__", "__pycache__", "models", "py.typed", "py"} == set(order)
    assert ("species", "embedding") in edges
    assert [(a, b) for a, b in edges if order.index(a) >= order.index(b)] == []


GUIDE, METHOD = load(FIGURES / "guide.py"), load(FIGURES / "method.py")
PICTURES = {f"guide/{picture.__name__}": picture for picture in GUIDE.PICTURES}
PICTURES |= {"weighted_simclr": METHOD.draw_weighted_simclr, "mi_mix": METHOD.draw_mi_mix}
PICTURES |= {"species_map": load(FIGURES / "species_map.py").draw}


@pytest.mark.slow
@pytest.mark.parametrize("name", PICTURES)
def test_pictures_can_be_drawn_again(name):
    with rc_context(GUIDE.STYLE if "/" in name else {}):
        figure = PICTURES[name]()
        figure.draw_without_rendering()
    texts = [text for text in figure.findobj(Text) if text.get_text().strip()]
    assert min(text.get_fontsize() for text in texts if text.get_visible()) >= 8.3
    assert figure.axes


def test_every_page_of_the_guide_has_a_small_picture():
    pages = [*(ROOT / "docs" / "guide").glob("*.rst"), ROOT / "docs" / "reliability.rst"]
    assert len(pages) == 17  # with the index
    for page in pages:
        assert "figures/" in page.read_text(), page
    drawn = FIGURES.rglob("*.png")
    files = {path.relative_to(FIGURES).with_suffix("").as_posix(): path for path in drawn}
    assert files.keys() == PICTURES.keys()
    for name, path in files.items():
        assert path.stat().st_size < (60_000 if "/" in name else 90_000)


def test_conda_recipe_is_that_of_the_project():
    text = re.sub(r"\{% .*? %\}\n", "", CONDA.read_text())
    recipe = yaml.safe_load(re.sub(r"\{\{.*?\}\}", "x", text))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert recipe["build"]["entry_points"] == ["dnaembed = dnaembed.cli:main"]
    names = {"torch": "pytorch", "matplotlib": "matplotlib-base"}
    names["huggingface-hub"] = "huggingface_hub"
    needs = [f"python>={project['requires-python'][2:]}", *project["dependencies"]]
    needs += [need.partition(";")[0] for need in project["optional-dependencies"]["bam"]]
    expected = [names.get(n, n) + " >=" + v for n, _, v in (need.partition(">=") for need in needs)]
    assert sorted(recipe["requirements"]["run"]) == sorted(expected)


def test_citation_names_this_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "docs" / "CITATION.cff").read_text()
    assert f'version = "{version}"' in CONDA.read_text()
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


_NOVELTY = ["auroc", "fpr95", "known called unknown", "new called unknown", "calibration error"]
_BINS = ["f1>0.5", "f1>0.5 of all reads", "f1>0.9", "binned"]
_SHARES = [">50 %", ">70 %", ">90 %"]


def test_tables_of_the_guide_are_those_of_the_results():
    measured = means("novelty.csv", ["shots", "score"], _NOVELTY)
    for shots, score, *shown in table_of("guide/few_shot.rst", "reads per species,"):
        check(shown, measured.pop((shots, score)))
    bins = means("binning.csv", ["abundance", "method"], _BINS)
    for method, *shown in table_of("guide/binning.rst", "method ("):
        even, skewed = (bins.pop((kind, method)) for kind in ("even", "lognormal"))
        check(shown, [*even[:3], *skewed[:3], even[3]])
    coverage = means("binning_coverage.csv", ["samples", "added noise"], _SHARES)
    for samples, *shown in table_of("guide/binning.rst", "samples, > 50 %"):
        noisy = coverage.pop((samples, "0.25"), [np.nan] * 3)
        check(shown, coverage.pop((samples, "0.0")) + noisy)
    assert not measured | bins | coverage
