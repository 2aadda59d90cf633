"""``dnaembed demo`` on the reads of the package."""

import re

import pytest

from dnaembed import KmerEmbedder
from dnaembed.cli import main
from dnaembed.cli._options import Embedding


@pytest.fixture
def quick(monkeypatch):
    """A model that needs no time, in place of the package's."""
    monkeypatch.setattr(Embedding, "embedder", lambda _: KmerEmbedder(k=3))


def rows_of(out):
    lines = out.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("embedder"))
    names = re.split(r"\s{2,}", lines[start])
    rows = [re.split(r"\s{2,}", line) for line in lines[start + 2 : start + 6]]
    return {row[0]: dict(zip(names[1:], row[1:], strict=True)) for row in rows}


def test_demo(tmp_path, quick, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    rows = rows_of(out)
    assert list(rows) == ["raw TNF", "canonical 4-mers", "TNF-K", "model: default"]
    raw, canonical = rows["raw TNF"], rows["canonical 4-mers"]
    assert list(raw) == [
        "ARI", "F1 1-shot", "2-shot", "5-shot", "10-shot", "species binned", "reads in bins",
    ]  # fmt: skip
    # The claim of the package about its baselines, on real reads.
    for score in ("ARI", "F1 1-shot", "2-shot", "5-shot", "10-shot"):
        assert float(canonical[score]) > float(raw[score]) > 0.5
    assert 0 < int(raw["species binned"]) <= 10
    gain = float(canonical["ARI"]) - float(raw["ARI"])
    told = re.search(r"canonical 4-mers beats raw TNF: ARI .* \(\+([\d.]+)\)", out)
    assert float(told[1]) == pytest.approx(gain, abs=0.0011)
    assert "model: default" in out
    assert "Picture: dnaembed_demo.png" in out
    assert (tmp_path / "dnaembed_demo.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_demo_umap(tmp_path, quick, capsys):
    assert main(["demo", "--umap", "-o", str(tmp_path / "x.png")]) == 0
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_demo_of_the_package(tmp_path, capsys):
    assert main(["demo", "-o", str(tmp_path / "x.png")]) == 0
    rows = rows_of(capsys.readouterr().out)
    assert float(rows["model: default"]["ARI"]) > float(rows["raw TNF"]["ARI"])


def test_demo_saves_reads(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--save-reads", "demo"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]
    assert "demo holds the reads." in capsys.readouterr().err
    assert main(["demo", "--save-reads", "demo"]) == 0
    assert main(["demo", "--save-reads", "."]) == 1
    assert "a new folder is expected" in capsys.readouterr().err
