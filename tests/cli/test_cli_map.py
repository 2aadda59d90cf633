"""``dnaembed map``, and the pages of ``--report``."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dnaembed.cli import _report, main
from tests.helpers.commands import fails, fasta, species_like

HARM = ["<script>alert(1)</script>", '"onload="x', "a&b'", "$title", "é漢", *"fghijkl"]


class Page(HTMLParser):
    """What a browser would see: tags, attributes and text."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.attributes, self.titles, self.text = [], [], [], ""
        self.feed(Path(path).read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]

    def handle_data(self, data):
        self.text += data
        if self.tags[-1:] == ["title"]:
            self.titles.append(data)


def check_page(path, n_points):
    """Nothing of the input has become markup, and nothing is loaded."""
    page = Page(path)
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    assert not {name for name in page.attributes if name.startswith(("on", "src", "href"))}
    assert "default-src 'none'" in Path(path).read_text(encoding="utf-8")
    assert page.tags.count("circle") == n_points
    assert page.tags.count("text") <= 12
    assert "dnaembed 0." in page.text
    return page


@pytest.fixture
def harmful(tmp_path):
    return fasta(tmp_path / "é <b>.fa", HARM, species_like(6))


@pytest.fixture
def labels(tmp_path):
    path = tmp_path / "known.csv"
    rows = [f'"{name.replace(chr(34), chr(34) * 2)}",{i / 8},<i>{i // 6}' for i, name in
            enumerate(HARM[:-1])]  # fmt: skip
    path.write_text("\n".join(["read,depth,species", *rows]), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("color", "keys"),
    [
        ("species", ["unknown", "<i>0", "<i>1"]),
        ("depth", ["depth 0", "depth 1.25"]),
        ("GC", ["GC 0."]),
        ("length", ["length 3"]),
    ],
)
def test_map_as_a_page(tmp_path, harmful, labels, model, color, keys):
    more = ["--method", "pca", "--color", color]
    more += ["--labels", labels] if color in ("species", "depth") else []
    path = str(tmp_path / "map.html")
    assert main(["map", harmful, "-o", path, *more, *model]) == 0
    page = check_page(path, 12)
    assert all(f"●{key}" in page.text for key in keys)
    said = "\n".join(page.titles)
    assert [name for name in HARM if f"id: {name}\n" in said] == HARM
    assert page.tags.count("text") == (2 if color == "species" else 0)
    assert f"dnaembed map '{harmful}'" in page.text


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg", "tsv", "csv", "parquet"])
def test_map_in_every_format(tmp_path, reads_file, model, suffix):
    path = tmp_path / f"map.{suffix}"
    argv = ["map", reads_file, "--method", "pca", "--color", "length", *model]
    assert main([*argv, "-o", str(path)]) == 0
    magic = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}
    if suffix in magic:
        assert path.read_bytes().startswith(magic[suffix])
        return
    readers = {"tsv": pd.read_table, "csv": pd.read_csv, "parquet": pd.read_parquet}
    frame = readers[suffix](path)
    assert list(frame) == ["id", "x", "y", "length", "GC"]
    assert frame["id"].tolist() == [f"r{i}" for i in range(24)]
    assert frame["GC"].between(0.1, 0.9).all()


def test_map_of_some_of_many_on_standard_output(reads_file, model, monkeypatch, capfd):
    monkeypatch.setattr(_report, "MOST_POINTS", 9)
    monkeypatch.setattr("dnaembed.cli._options.CHUNK_SEQUENCES", 5)
    assert main(["map", reads_file, "-o", "-", "--method", "pca", *model]) == 0
    out, err = capfd.readouterr()
    assert "has 6 of 24 sequences, evenly spaced" in err
    assert out.startswith("id\tx\ty\tlength\tGC\nr0\t")
    ids = [line.split("\t")[0] for line in out.splitlines()[1:]]
    assert ids == [f"r{i}" for i in range(0, 24, 4)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("map {r} -o m.docx", "m.docx: expected .png, .pdf, .svg, .html, .tsv, .csv or .parquet"),
        ("map {r} -o m.png --color genus", "--color genus needs --labels"),
        ("map {r} -o m.png --labels {l} --color genus", "header with genus, got 'read, depth"),
        ("map {r} -o m.png --labels {l} --id-column depth", "no label for 24 of 24"),
        ("map {d} -o m.png", "holds no FASTA or FASTQ file"),
        ("map {d}/*.fq -o m.png", "No file matches the pattern"),
        ("map {r} -o {r}", "reads.fa: expected .png"),
        ("cluster {r} -o c.png", "c.png: expected .tsv, .csv or .parquet"),
        ("cluster {r} -o c.tsv --report c.txt", "c.txt: expected .html"),
        ("cluster {r} -o {d}/x --report {d}/x", "would overwrite"),
        ("cluster {r} -k 99 -o c.tsv", "-k 99 is more than the 24 sequences"),
        ("bin {r} -o b --picture b.gif", "b.gif: expected .png, .pdf or .svg"),
        ("classify --train {r} --labels {l} --label-column genus {r} -o c.tsv", "with genus"),
        (
            "classify --train {r} --labels {l} {r} -o c.tsv --report c.html --consensus 9",
            "leave --consensus out",
        ),
        (
            "classify --train {r} --labels {l} {r} -o c.tsv --false-unknown-rate .1",
            "--false-unknown-rate needs --unknown",
        ),
        (
            "classify --train {r} --labels {l} {r} -o c.tsv --min-agreement .9",
            "--min-agreement needs --consensus",
        ),
    ],
)
def test_what_is_refused(tmp_path, reads_file, labels, words, said, capsys, monkeypatch):
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    argv = words.format(r=reads_file, l=labels, d=tmp_path / "folder").split()
    assert said in fails(capsys, *argv)
    assert sorted(tmp_path.rglob("*")) == before


def test_parquet_is_refused_before_the_work(tmp_path, reads_file, monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    line = fails(capsys, "cluster", str(tmp_path / "absent.fa"), "-o", str(tmp_path / "c.parquet"))
    assert 'pip install "dnaembed[parquet]"' in line


@pytest.mark.parametrize("how", ["reads", "embeddings", "assign"])
def test_report_of_clusters(tmp_path, harmful, model, how):
    page, output, saved = (str(tmp_path / name) for name in ("c.html", "c.csv", "c.safetensors"))
    argv = ["cluster", harmful, "-k", "2", "--save", saved]
    if how == "embeddings":
        rows = str(tmp_path / "rows.csv")
        assert main(["embed", harmful, "-o", rows, *model]) == 0
        argv = ["cluster", "--embeddings", rows, "-k", "2"]
    elif how == "assign":
        assert main([*argv, "-o", output, *model]) == 0
        argv = ["cluster", harmful, "--assign", saved]
    assert main([*argv, "-o", output, "--report", page, *model]) == 0
    found = check_page(page, 12)
    assert "12 sequences, 2 clusters, 0 in none." in found.text
    assert found.tags.count("tr") == 3
    columns = ["similarity"] if how == "embeddings" else ["length", "GC", "similarity"]
    assert re.findall(r"([A-Za-z]+) from .*, median", found.text) == columns
    bars = re.findall(r"^\S+ to \S+: (\d+)$", "\n".join(found.titles), re.MULTILINE)
    assert sum(map(int, bars)) == 12 * len(columns)
    assert ("median length" in found.text) == (how != "embeddings")
    assert pd.read_csv(output)["id"].tolist() == HARM


@pytest.mark.parametrize("more", [[], ["--unknown", "--false-unknown-rate", "0.9"]])
def test_report_of_calls(tmp_path, harmful, labels, model, more):
    page, output = str(tmp_path / "calls.html"), str(tmp_path / "calls.tsv")
    known = fasta(tmp_path / "known.fa", HARM[:-1], species_like(6)[:-1])
    argv = ["classify", "--train", known, "--labels", labels, "--label-column", "Species"]
    argv += more
    assert main([*argv, harmful, "-o", output, "--report", page, *model]) == 0
    found = check_page(page, 12)
    assert "The least sure call comes first." in found.text
    titles = "\n".join(found.titles)
    species, seconds = (re.findall(f"^{name}: (.*)$", titles, re.M) for name in (
        "species", "runner-up"))  # fmt: skip
    assert set(seconds) == {"<i>0", "<i>1"}
    assert all(one != second for one, second in zip(species, seconds, strict=True))
    calls = pd.read_csv(output, sep="\t")
    assert sorted(calls["species"]) == sorted(species)
    assert ("unknown" in set(calls["species"])) == bool(more)
    assert ("mean confidence" in found.text) == bool(more)


def test_report_of_bins(tmp_path, reads_file, model):
    page = str(tmp_path / "bins.html")
    options = ["--min-length", "300", "--min-bin-size", "5", "--report", page]
    fasta(tmp_path / "short.fa", ["short"], ["ACGT"])
    assert main(["bin", str(tmp_path / "*.fa"), "-o", str(tmp_path / "b"), *options, *model]) == 0
    found = check_page(page, 24)
    assert "least confidence" in found.text
    assert not any("nan" in title for title in found.titles)
    numbers = pd.read_csv(tmp_path / "b" / "contigs.tsv", sep="\t")["bin"][:24]
    n_bins, n_none = len(set(numbers) - {-1}), np.sum(numbers == -1)
    assert f"24 sequences, {n_bins} bins, {n_none} in none" in found.text
    assert "-1" not in found.text
    assert ("no bin" in found.text) == (n_none > 0)
