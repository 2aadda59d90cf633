"""``dnaembed demo`` on the reads of the package."""

import pytest

from dnaembed import KmerEmbedder
from dnaembed.cli import main
from dnaembed.cli._options import Embedding


@pytest.fixture
def quick(monkeypatch):
    """A model that needs no time, in place of the package's."""
    monkeypatch.setattr(Embedding, "embedder", KmerEmbedder(k=3))


def rows_of(out):
    """Return ARI, F1 from 1, 2, 5 and 10 reads, species binned and reads in bins, by embedder."""
    lines = out.splitlines()
    start = next(i for i, line in enumerate(lines) if line.split()[:1] == ["embedder"])
    rows = [line.strip().rsplit(maxsplit=7) for line in lines[start + 1 : start + 4]]
    return {name: [float(cell.strip("%")) for cell in cells] for name, *cells in rows}


def test_demo(tmp_path, quick, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    picture, table = out.index("Picture: dnaembed_demo.png"), out.index("embedder ")
    assert picture < table < out.index("Next, with a file of your own")
    assert (tmp_path / "dnaembed_demo.png").read_bytes().startswith(b"\x89PNG")
    rows = rows_of(out)
    assert list(rows) == ["raw TNF", "canonical TNF", "bundled model"]
    # The claim of the package about its baselines, on real reads.
    for raw, canonical in zip(rows["raw TNF"][:5], rows["canonical TNF"][:5], strict=True):
        assert canonical > raw > 0.5
    assert 0 < rows["raw TNF"][5] <= 10


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_demo_of_the_package_with_umap(tmp_path, capsys):
    assert main(["demo", "--umap", "-o", str(tmp_path / "x.png")]) == 0
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    rows = rows_of(capsys.readouterr().out)
    assert rows["bundled model"][0] > rows["raw TNF"][0]


def test_demo_saves_reads(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--save-reads", "demo"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]
    assert "The reads are in the folder demo." in capsys.readouterr().err
    assert main(["demo", "--save-reads", "demo"]) == 0
    assert main(["demo", "--save-reads", "."]) == 1
    assert "a new folder is expected" in capsys.readouterr().err
