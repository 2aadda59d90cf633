"""The README: its code and commands run, its links lead somewhere, its figures are measured."""

import csv
import re
from pathlib import Path

import pytest

from tests.helpers.docs_code import blocks_of_markdown, blocks_of_rst, run_page
from tests.test_docs_code import EXTRAS

ROOT = Path(__file__).parent.parent
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


def test_blocks_run_in_order(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run_page(blocks_of_markdown(README), capsys, EXTRAS)


def test_the_readme_has_what_the_landing_page_has():
    first = [b.text for b in blocks_of_rst(ROOT / "docs" / "index.rst") if b.language == "python"]
    assert first[0] in [b.text for b in blocks_of_markdown(README)]


def test_links_lead_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", README.read_text())
    inside = [link for link in links if "://" not in link]
    assert len(inside) > 2
    assert [link for link in inside if not (ROOT / link).exists()] == []


@pytest.mark.parametrize("page", ["README.md", "docs/index.rst"])
def test_figures_are_those_of_the_results(page):
    with (ROOT / "docs" / "results" / "summary.csv").open(newline="") as file:
        means = {
            (r["embedder"], r["set"], r["score"]): float(r["mean"]) for r in csv.DictReader(file)
        }
    text = (ROOT / page).read_text()
    for title, (name, score) in ROWS.items():
        line = next(x for x in text.splitlines() if x.strip(" |").startswith(title))
        shown = [float(x) for x in re.findall(r"\d+\.?\d*", line.strip(" |").removeprefix(title))]
        expected = [means[embedder, name, score] for embedder in EMBEDDERS]
        assert shown == [pytest.approx(x, abs=0.5 if x > 1 else 0.0051) for x in expected], title
