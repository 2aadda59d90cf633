"""The gallery: every example has a title and a picture, is listed, and runs without a warning."""

import ast
import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("plot_*.py"))
HEADER = ROOT / "examples" / "GALLERY_HEADER.rst"

parametrize = pytest.mark.parametrize("path", EXAMPLES, ids=[path.stem for path in EXAMPLES])


@parametrize
def test_title_and_introduction(path):
    title, line, *rest = (ast.get_docstring(ast.parse(path.read_text())) or "").splitlines()
    assert title
    assert line == "=" * len(title)
    assert " ".join(rest).strip(), "The introduction is the caption in the gallery."


@parametrize
def test_cells_alternate_with_text_and_there_is_a_picture(path):
    text = path.read_text()
    assert text.count("# %%\n# ") == text.count("# %%")
    assert "plt.show()" in text


def test_header_lists_every_example_once():
    listed = re.findall(r"sphx_glr_auto_examples_(plot_\w+\.py)", HEADER.read_text())
    assert sorted(listed) == [path.name for path in EXAMPLES]


@parametrize
def test_links_between_examples(path):
    for name in re.findall(r"sphx_glr_auto_examples_(plot_\w+\.py)", path.read_text()):
        assert (path.parent / name).is_file()


def test_figures_of_adapting_are_those_of_the_results():
    tree = ast.parse((ROOT / "examples" / "plot_adapting.py").read_text())
    [figures] = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "before_after"
    ]
    with (ROOT / "docs" / "results" / "fine_tuning.csv").open() as file:
        rows = list(csv.DictReader(file))
    for shown, name in (("clean", "clean"), ("with errors", "errors"), ("short", "short")):
        measured = [
            (float(row["ari"]), float(row["ari adapted"])) for row in rows if row["set"] == name
        ]
        assert figures[shown] == measured


@pytest.mark.slow
@parametrize
def test_runs_without_a_warning(path, tmp_path):
    pytest.importorskip("matplotlib")
    result = subprocess.run(
        [sys.executable, "-W", "error", str(path)],
        env=os.environ | {"MPLBACKEND": "Agg"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    # A warning while an object is thrown away is printed, and does not change the status.
    assert "Warning" not in result.stderr
    assert not list(tmp_path.iterdir())
