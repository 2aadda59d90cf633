"""The gallery: every example has a title and a picture, is listed, and runs without a warning."""

import ast
import re
import sys
from pathlib import Path

import pytest

from tests.helpers.processes import run
from tests.helpers.toys import read_rows

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*/plot_*.py"))
LINK = re.compile(r"sphx_glr_auto_examples_([a-z]+_[a-z]+|training)_(plot_\w+\.py)")

parametrize = pytest.mark.parametrize("path", EXAMPLES, ids=[path.stem for path in EXAMPLES])


@parametrize
def test_form(path):
    text = path.read_text()
    title, line, *rest = (ast.get_docstring(ast.parse(text)) or "").splitlines()
    assert title
    assert line == "=" * len(title)
    assert " ".join(rest).strip(), "The introduction is the caption in the gallery."
    assert text.count("# %%\n# ") == text.count("# %%"), "Text follows each mark of a cell."
    assert "plt.show()" in text
    for folder, name in LINK.findall(text):
        assert (path.parents[1] / folder / name).is_file()
    assert f'"{path.stem.removeprefix("plot_")}"' in (ROOT / "docs" / "conf.py").read_text()


def test_figures_of_adapting_are_those_of_the_results():
    text = (ROOT / "examples" / "training" / "plot_adapting.py").read_text()
    figures = ast.literal_eval(re.search(r"^before_after = (\{.*?^\})", text, re.M | re.S)[1])
    rows = read_rows(ROOT / "docs" / "results" / "fine_tuning.csv")
    for shown, name in (("clean", "clean"), ("with errors", "errors"), ("short", "short")):
        measured = [(float(r["ari"]), float(r["ari adapted"])) for r in rows if r["set"] == name]
        assert figures[shown] == measured


@pytest.mark.slow
@parametrize
def test_runs_without_a_warning(path, tmp_path):
    pytest.importorskip("matplotlib")
    result = run(sys.executable, "-W", "error", path, cwd=tmp_path, MPLBACKEND="Agg")
    # A warning while an object is thrown away is printed, and does not change the status.
    assert "Warning" not in result.stderr
    assert not list(tmp_path.iterdir())
