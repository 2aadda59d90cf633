"""Pictures and facts of the documentation that are made from the code are as the code is now."""

import importlib.util
import tomllib
from pathlib import Path

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
    folders = {path.parent.name for path in (ROOT / "dnaembed").glob("*/__init__.py")} - {"utils"}
    assert folders | {"estimators", "shared"} == set(order)
    assert ("estimators", "backbones") in edges
    assert [(a, b) for a, b in edges if order.index(a) >= order.index(b)] == []


def test_diagram_sees_new_imports(tmp_path, monkeypatch):
    architecture = script("architecture")
    package = tmp_path / "dnaembed"
    for name, text in {
        "__init__.py": "from ._a import A\n",
        "_a.py": "def f():\n    from .io import read\n",
        "_b.py": "from ._c import C\n",
        "_c.py": "import numpy\n",
        "io/__init__.py": "from ._read import read\n",
        "io/_read.py": "from .._b import B\nfrom ..cli import main\n",
        "cli/__init__.py": "from .. import A\n",
    }.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    monkeypatch.setattr(architecture, "PACKAGE", package)
    assert architecture.imports() == [
        ("cli", "estimators"), ("estimators", "io"), ("io", "cli"), ("io", "shared"),
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "draw", "n_panels"),
    [
        ("method", "draw_weighted_simclr", 2),
        ("method", "draw_mi_mix", 2),
        ("species_map", "draw", 2),
    ],
)
def test_pictures_can_be_drawn_again(name, draw, n_panels):
    pytest.importorskip("matplotlib", reason="needs the extra plot")
    pytest.importorskip("umap", reason="needs the extra plot")
    figure = getattr(script(name), draw)()
    assert len(figure.axes) == n_panels
    assert all(axis.get_title() for axis in figure.axes)
    assert any(axis.get_legend() for axis in figure.axes)


def test_citation_names_this_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "docs" / "CITATION.cff").read_text()
    assert f"version = {{{version}}}" in (ROOT / "docs" / "citing.rst").read_text()
    assert dnaembed.__version__ == version
