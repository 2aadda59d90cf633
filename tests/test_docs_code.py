"""Every block of Python in the documentation runs, and so does every command that can here.

Blocks run down the page in one folder and one namespace, so that a page must be complete. What a
block promises behind ``# ->`` is compared, and so is the output shown below a command. A block
after a comment ``.. not run: why`` is compiled, or its commands are parsed; installations, and
commands other than ``dnaembed``, are checked as far as that goes.
"""

import re
import tomllib
from pathlib import Path
from unittest.mock import patch

import pytest

from dnaembed.backbones._protocol import _BACKBONES
from dnaembed.benchmark import PROTOCOLS
from dnaembed.training import LOSSES
from tests.helpers.docs_code import blocks_of_markdown, blocks_of_rst, commands_of, run_page
from tests.helpers.toys import read_rows

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
_GENERATED = {"_build", "auto_examples", "generated", "results"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = set(PROJECT["optional-dependencies"])

PAGES = [
    path.relative_to(DOCS).as_posix()
    for path in sorted(DOCS.rglob("*.rst"))
    if not _GENERATED & set(path.relative_to(DOCS).parts)
    and not path.name.startswith("sg_")
    and blocks_of_rst(path)
]


def _mark(page):
    slow = ".. slow page" in (DOCS / page).read_text()
    return pytest.param(page, marks=[pytest.mark.slow] if slow else [], id=page)


@pytest.mark.parametrize("page", [_mark(page) for page in PAGES])
def test_page(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    # What a page registers is gone after it.
    with patch.dict(_BACKBONES), patch.dict(PROTOCOLS), patch.dict(LOSSES):
        run_page(blocks_of_rst(DOCS / page), capsys, EXTRAS)


@pytest.mark.parametrize("page", PAGES)
def test_every_block_says_what_comes_out_or_why_it_is_left_out(page):
    for block in blocks_of_rst(DOCS / page):
        if page.startswith(("getting_started", "guide", "tutorials")) and not block.not_run:
            assert block.shows() or "pip install" in block.text, block
        if block.not_run is not None:
            assert len(block.not_run) > 8, block
            # A note on commands that would not be run anyway is noise.
            assert block.language == "python" or commands_of(block)


@pytest.mark.parametrize(
    ("language", "text", "error", "message"),
    [
        ("python", "1 + 1  # -> 3", AssertionError, "promised"),
        ("python", "1 / 3  # -> 0.35", AssertionError, "promised"),
        ("python", "1 / 3  # -> 0.33", None, None),
        ("python", "'a'  # -> b", AssertionError, "promised"),
        ("python", "1 / 0", ZeroDivisionError, "division"),
        ("python", "(1 / 4, 'a')\n\n.. code-block:: text\n\n    (0.251, 'a')", None, None),
        ("python", "1 / 4\n\n.. code-block:: text\n\n    0.3", AssertionError, "shown"),
        ("console", "$ dnaembed info no-such-model", AssertionError, "no-such-model"),
        ("console", "$ dnaembed info default --nonsense", AssertionError, "--nonsense"),
        ("console", "$ dnaembed info default\n    no such line", AssertionError, "says no"),
        ("console", "$ head table.tsv\n    a 0.92", None, None),
        ("console", "$ head table.tsv\n    a 0.5", AssertionError, "says no"),
        ("not run", "$ dnaembed nonsense", KeyError, "nonsense"),
        ("console", '$ pip install ".[nonsense]"', AssertionError, "no such extras"),
    ],
)
def test_the_runner_sees_what_is_wrong(
    language, text, error, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    Path("table.tsv").write_text("a 0.912\n")
    page = tmp_path / "page.rst"
    note = ".. not run: no reason" if language == "not run" else "Title"
    language = language.replace("not run", "console")
    page.write_text(f"{note}\n\n.. code-block:: {language}\n\n    {text}\n\nText.\n")
    if error is None:
        run_page(blocks_of_rst(page), capsys, {"plot"})
        return
    with pytest.raises(error, match=message) as caught:
        run_page(blocks_of_rst(page), capsys, {"plot"})
    assert caught.value.__notes__ == ["page.rst, line 3"]


# The README

README = ROOT / "README.md"
# Rows of the table of results: set and score in docs/results/summary.csv.
ROWS = {
    "K-means ARI": ("clean", "ari"),
    "the same with 5 % errors": ("errors", "ari"),
    "the same on viruses, 1-5 kb": ("viruses", "ari"),
    "macro F1 from 2 labelled reads per species": ("clean", "f1@2"),
    "macro F1 from 5 labelled reads per species": ("clean", "f1@5"),
    "species binned with F1 > 0.5": ("clean", "f1>0.5"),
}
EMBEDDERS = ["raw TNF", "canonical TNF", "LDA of 4+5-mers", "k-mer net", "bundled model"]


def test_readme_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run_page(blocks_of_markdown(README), capsys, EXTRAS)


def test_the_readme_has_what_the_landing_page_has():
    first = [b.text for b in blocks_of_rst(ROOT / "docs" / "index.rst") if b.language == "python"]
    assert first[0] in [b.text for b in blocks_of_markdown(README)]


def test_links_of_the_readme_lead_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", README.read_text())
    inside = [link for link in links if "://" not in link]
    assert len(inside) > 2
    assert [link for link in inside if not (ROOT / link).exists()] == []


@pytest.mark.parametrize("page", ["README.md", "docs/index.rst"])
def test_figures_are_those_of_the_results(page):
    rows = read_rows(ROOT / "docs" / "results" / "summary.csv")
    means = {(r["embedder"], r["set"], r["score"]): float(r["mean"]) for r in rows}
    text = (ROOT / page).read_text()
    for title, (name, score) in ROWS.items():
        line = next(x for x in text.splitlines() if x.strip(" |").startswith(title))
        shown = [float(x) for x in re.findall(r"\d+\.?\d*", line.strip(" |").removeprefix(title))]
        expected = [means[embedder, name, score] for embedder in EMBEDDERS]
        assert shown == [pytest.approx(x, abs=0.5 if x > 1 else 0.0051) for x in expected], title
    f1 = {
        row["embedder"]: f"{float(row['F1, 2 reads']):.2f}"
        for row in read_rows(ROOT / "docs" / "results" / "real_reads.csv")
        if (row["set"], row["reads"]) == ("all technologies", "real")
    }
    said = re.search(r"nanopore reads .*? F1 is (\S+), where .*? reach ([\d.]+)", text, re.DOTALL)
    assert said is not None
    assert said.groups() == (f1["bundled model"], f1["raw TNF"])
