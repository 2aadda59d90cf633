"""`dnaembed benchmark`: tables, pictures, and runs that go on."""

import json

import pytest

from dnaembed.cli import main
from dnaembed.datasets import load_demo_reads
from tests.helpers.commands import fails, fasta


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reads")
    demo = load_demo_reads()
    species = sorted(set(demo.labels.tolist()))
    for name, wanted in (("test", species[:4]), ("other", species[4:])):
        own = [i for i, label in enumerate(demo.labels) if label in wanted]
        ids = [demo.ids[i] for i in own]
        # A small transformer reads them as well.
        fasta(folder / f"{name}.fa", ids, [demo.sequences[i][:800] for i in own])
        labels = "".join(f"{demo.ids[i]}\t{demo.labels[i]}\n" for i in own)
        (folder / f"{name}.tsv").write_text(labels)
    return folder


def run(files, output, *options):
    words = ["benchmark", files / "test.fa", files / "test.tsv", "-o", output, "-q", *options]
    return main([*map(str, words)])


def test_tables_and_pictures(files, tmp_path, capsys):
    output = tmp_path / "out"
    options = ["--repeats", 2, "--protocol", "clustering", "--protocol", "few_shot"]
    assert run(files, output, *options) == 0
    header, *scores = capsys.readouterr().out.splitlines()
    assert header.split("  ")[-1] == "bundled model"
    assert [line.split("  ")[0] for line in scores[:2]] == [
        "K-means, adjusted Rand index", "K-means, mutual information"
    ]  # fmt: skip
    assert " *" in scores[0]
    table = (output / "tables.md").read_text()
    for embedder in ("raw TNF", "canonical TNF", "PCA of 4+5-mers", "bundled model"):
        assert f"| {embedder} |" in table
    assert "LDA" not in table
    pictures = {"bars.png", "few_shot.png", "map.png"}
    tables = {"results.json", "scores.csv", "summary.csv", "tables.md"}
    assert {p.name for p in output.iterdir()} == {".cache"} | pictures | tables
    content = json.loads((output / "results.json").read_text())
    assert content["about"]["options"]["n_repeats"] == 2
    assert {r["set"] for r in content["records"]} == {"test"}
    cached = {path.name: path.stat().st_mtime_ns for path in (output / ".cache").iterdir()}
    assert run(files, output, *options) == 0  # goes on, though there is nothing left to do
    assert {p.name: p.stat().st_mtime_ns for p in (output / ".cache").iterdir()} == cached


def test_chosen_embedders_and_training(files, tmp_path, capsys, tiny_dnabert_folder):
    names = ("raw-tnf", "lda", "short=canonical", f"mine={tiny_dnabert_folder}")
    options = [word for name in names for word in ("--embedder", name)]
    options += ["--protocol", "retrieval", "--training", files / "other.fa", files / "other.tsv"]
    assert run(files, tmp_path / "out", *options) == 0
    out = (tmp_path / "out" / "tables.md").read_text()
    rows = [line.split(" |")[0] for line in out.splitlines() if line.startswith("| ")]
    assert rows == ["| embedder", "| raw TNF", "| LDA of 4+5-mers", "| short", "| mine"]


def test_what_is_refused_and_left(files, tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("mine")
    argv = ["benchmark", str(files / "test.fa"), str(files / "test.tsv"), "-q", "-o"]
    for place, options, message in (
        ("", [], "holds files that are not of a benchmark"),
        ("notes.txt", [], "notes.txt: File exists"),
        ("no/where", [], "no/where: No such file or directory"),
        ("out", ["--embedder", "tnf"], "tnf is no folder, nor raw-tnf, canonical, pca, lda."),
        ("out", ["--embedder", "lda"], "lda learns from labelled reads: give --training."),
        ("out", ["--embedder", "raw-tnf"] * 2, "Two embedders have the name 'raw TNF'."),
    ):
        assert message in fails(capsys, *argv, str(tmp_path / place), *options)
    argv[2] = str(files / "other.tsv")
    line = fails(capsys, *argv, str(tmp_path / "out"))
    assert "no label for 160 of 160 sequences" in line
    options = ("--protocol", "retrieval", "--embedder", "raw-tnf", "--force")
    assert run(files, tmp_path, *options) == 0
    assert {p.name for p in tmp_path.iterdir()} >= {"notes.txt", "tables.md"}
    assert not (tmp_path / "out").exists()
