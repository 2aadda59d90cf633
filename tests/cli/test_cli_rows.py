"""Embeddings from files, and groups kept for later reads_file, on the command line."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from dnaembed.cli import _options, main
from dnaembed.io import read_embeddings, read_labels, read_sequences, write_embeddings
from tests.helpers.commands import fails, fasta, species_like


@pytest.fixture
def rows(tmp_path, reads_file, model):
    path = str(tmp_path / "rows.npy")
    assert main(["embed", reads_file, "-o", path, *model]) == 0
    return path


def labels(path):
    return list(read_labels(path).values())


@pytest.mark.parametrize("options", [["-k", "2"], []])
def test_cluster_embeddings(tmp_path, reads_file, rows, model, options, monkeypatch):
    a, b, c = (str(tmp_path / f"{name}.tsv") for name in "abc")
    assert main(["cluster", reads_file, *options, "-o", a, *model]) == 0
    assert main(["cluster", "--embeddings", rows, *options, "-o", b]) == 0
    assert Path(a).read_text() == Path(b).read_text()
    assert Path(a).read_text().startswith("id\tcluster\n")
    monkeypatch.setattr(_options, "CHUNK_SEQUENCES", 5)
    assert main(["cluster", reads_file, *options, "-o", c, *model]) == 0
    assert labels(c) == labels(a)


@pytest.mark.parametrize("options", [["-k", "2"], []])
def test_cluster_assigns_new_reads(tmp_path, reads_file, rows, model, options, monkeypatch):
    saved, old = str(tmp_path / "clusters"), str(tmp_path / "old.tsv")
    assert main(["cluster", reads_file, *options, "-o", old, "--save", saved, *model]) == 0
    new = fasta(tmp_path / "new.fa", [f"n{i}" for i in range(8)], species_like(4, seed=1))
    output = str(tmp_path / "new.tsv")
    monkeypatch.setattr(_options, "CHUNK_SEQUENCES", 3)
    assert main(["cluster", new, "--assign", saved, "-o", output, *model]) == 0
    assert list(read_labels(output)) == [f"n{i}" for i in range(8)]
    found = labels(output)
    if options:
        assert set(found[:4]) == {labels(old)[0]}
        assert set(found[4:]) == {labels(old)[12]}
    # The same reads by their embeddings, from the file.
    assert main(["cluster", "--embeddings", rows, "--assign", saved, "-o", output]) == 0
    assert labels(output) == labels(old) or not options


def test_clusters_of_embeddings_take_reads(tmp_path, reads_file, rows, model, caplog):
    saved, old, new = (str(tmp_path / name) for name in ("clusters", "old.tsv", "new.tsv"))
    argv = ["cluster", "--embeddings", rows, "-k", "2", "-o", old, "--save", saved]
    assert main(argv) == 0
    assert main(["cluster", reads_file, "--assign", saved, "-o", new, *model]) == 0
    assert labels(new) == labels(old)
    assert "Nothing says" not in caplog.text
    # Without the note of `embed` nobody can tell.
    Path(rows).with_suffix(".manifest.json").unlink(missing_ok=True)
    assert main(argv) == 0
    assert main(["cluster", reads_file, "--assign", saved, "-o", new, *model]) == 0
    assert labels(new) == labels(old)
    assert "Nothing says whether" in caplog.text


def test_groups_of_another_model(tmp_path, reads_file, model, capsys):
    saved, output = str(tmp_path / "clusters"), str(tmp_path / "x.tsv")
    assert main(["cluster", reads_file, "-k", "2", "-o", output, "--save", saved, *model]) == 0
    capsys.readouterr()
    Path(output).unlink()
    line = fails(capsys, "cluster", reads_file, "--assign", saved, "-o", output)
    assert f"{saved} was made with the model '{model[1]}' (fingerprint" in line
    assert "but these embeddings with the model 'default' (fingerprint" in line
    more = "--assign", saved, "-o", output
    assert "both strands" in fails(capsys, "cluster", reads_file, *more, *model, "--strand", "both")
    other = str(tmp_path / "other.npy")
    write_embeddings(other, ["a", "b"], np.eye(2, dtype=np.float32))
    line = fails(capsys, "cluster", "--embeddings", other, *more)
    assert "but these have 2: they are of another model" in line
    assert not Path(output).exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("cluster", "Either READS or --embeddings"),
        ("cluster r.fa --embeddings r.npy", "Either READS or --embeddings"),
        ("cluster r.fa --assign c -k 3", "without --n-clusters"),
        ("bin r.fa --assign c --save d", "without --save"),
        ("bin r.fa --method kmedoid", "kmedoid needs --min-similarity"),
        ("bin r.fa --assign c --method graph", "without --method"),
        ("bin r.fa --assign c --resolution 3", "without --resolution"),
        ("bin r.fa --min-similarity .5 --resolution 3", "--resolution is of the graph"),
        ("bin r.fa --assign c --min-similarity 0.5", "without --min-similarity"),
    ],
)
def test_options_that_do_not_go_together(tmp_path, words, message, capsys):
    assert message in fails(capsys, *words.split(), "-o", str(tmp_path / "x"))


def test_damaged_embeddings(tmp_path, rows, capsys):
    ids, values = read_embeddings(rows)
    values[7, 3] = np.nan
    write_embeddings(rows, ids, values)
    argv = ["cluster", "--embeddings", rows, "-k", "2", "-o", str(tmp_path / "x.tsv")]
    assert f"{rows}: the embedding of 'r7' (row 8) is not finite" in fails(capsys, *argv)


# bin


def bin_argv(tmp_path, reads_file, name, *more):
    options = ["--min-length", "300", "--min-bin-size", "5"]
    return ["bin", reads_file, "-o", str(tmp_path / name), *options, *more]


def test_bin_with_embeddings(tmp_path, reads_file, rows, model):
    assert main(bin_argv(tmp_path, reads_file, "a", *model)) == 0
    assert main(bin_argv(tmp_path, reads_file, "b", "--embeddings", rows)) == 0
    expected = read_labels(tmp_path / "a" / "contigs.tsv")
    assert read_labels(tmp_path / "b" / "contigs.tsv") == expected
    # In any order, with others among them.
    ids, values = read_embeddings(rows)
    order = np.random.default_rng(0).permutation(24)
    shuffled = str(tmp_path / "shuffled.npy")
    values = np.concatenate([values[order], values[:1]])
    write_embeddings(shuffled, [*(ids[i] for i in order), "other"], values)
    assert main(bin_argv(tmp_path, reads_file, "c", "--embeddings", shuffled)) == 0
    assert read_labels(tmp_path / "c" / "contigs.tsv") == expected


def test_bin_with_embeddings_of_other_contigs(tmp_path, reads_file, rows, capsys):
    ids, values = read_embeddings(rows)
    write_embeddings(rows, ids[:20], values[:20])
    line = fails(capsys, *bin_argv(tmp_path, reads_file, "a", "--embeddings", rows))
    assert f"{rows}: no embedding for 4 of 24 sequences: 'r20', 'r21', 'r22', ..." in line
    write_embeddings(rows, [*ids, "r3"], values[[*range(24), 3]])
    line = fails(capsys, *bin_argv(tmp_path, reads_file, "a", "--embeddings", rows))
    assert f"{rows}: two rows have one identifier" in line


@pytest.mark.parametrize(
    "method", [["graph"], ["kmedoid", "--min-similarity", "0.9"]], ids="-".join
)
def test_bins_by_sequence_and_abundance(tmp_path, reads_file, model, method, capsys):
    table = tmp_path / "coverage.tsv"
    lines = [f"r{i}\t{1 + 50 * (i >= 12)}\t{60 - 50 * (i >= 12)}" for i in range(24)]
    table.write_text("\n".join(["contig\tone\ttwo", *lines, "other\t1\t1"]) + "\n")
    abundance = ["--abundance", str(table), "--abundance-weight", "0.9"]
    saved = str(tmp_path / "saved")
    more = [*abundance, *model]
    argv = bin_argv(tmp_path, reads_file, "a", "--method", *method, "--save", saved, *more)
    assert main(argv) == 0
    assert main(bin_argv(tmp_path, reads_file, "b", "--assign", saved, *more)) == 0
    old, new = (labels(tmp_path / name / "contigs.tsv") for name in "ab")
    first, second = set(old[:12]) - {"-1"}, set(old[12:]) - {"-1"}
    assert not first & second
    assert first | second
    assert np.mean([a == b for a, b in zip(old, new, strict=True)]) > 0.8
    capsys.readouterr()
    line = fails(capsys, *bin_argv(tmp_path, reads_file, "c", "--assign", saved, *model))
    assert "was fitted with abundance, got none" in line
    more = ["--assign", saved, "-o", str(tmp_path / "x"), *model]
    line = fails(capsys, "cluster", reads_file, *more)
    assert "was made with abundances: use dnaembed bin --assign" in line
    assert not (tmp_path / "c").exists()


def test_bin_two_assemblies_and_their_tables(tmp_path, model, capsys):
    sequences = species_like(12)
    ids = [f"{name}:k{i}" for name in ("one", "two") for i in range(12)]
    tables = []
    for start, name in enumerate(("one", "two")):
        fasta(tmp_path / f"{name}.fa", [f"k{i}" for i in range(12)], sequences[start::2])
        # Each sample is mapped to both assemblies.
        lines = [f"{i}\t{5 + 50 * (int(i[5:]) >= 6)}\n" for i in ids]
        (tmp_path / f"{name}.tsv").write_text("".join(lines))
        tables += ["--abundance", str(tmp_path / f"{name}.tsv")]
    one, two = (str(tmp_path / f"{name}.fa") for name in ("one", "two"))
    argv = bin_argv(tmp_path, one, "bins", "--min-similarity", "0.9", *model, two)
    line = fails(capsys, *argv)
    assert "have the same identifier 'k0'. Put the name of its file before" in line
    assert line.endswith("with --prefix.")
    assert main([*argv, *tables, "--prefix"]) == 0
    found = read_labels(tmp_path / "bins" / "contigs.tsv")
    assert list(found) == ids
    header = (tmp_path / "bins" / "bins.tsv").read_text().splitlines()[0]
    assert header.endswith("\tcoverage one\tcoverage two")


def test_bin_writes_records_as_they_are(tmp_path, model):
    sequences = [*species_like(12), "acgt" * 40]
    records = [(f"r{i} len=300 circular=N", s.lower()) for i, s in enumerate(sequences)]
    path, folder, picture = tmp_path / "contigs.fa", tmp_path / "bins", tmp_path / "bins.png"
    path.write_text("".join(f">{header}\n{s[:100]}RY{s[102:]}-\n" for header, s in records))
    options = ["--min-similarity", "0.9", "--gzip", "--picture", str(picture)]
    assert main(bin_argv(tmp_path, str(path), "bins", *options, *model)) == 0
    text = b"".join(gzip.decompress(f.read_bytes()) for f in folder.glob("*.gz")).decode()
    parts = [record.partition("\n") for record in text.split(">")[1:]]
    found = {header: lines.replace("\n", "") for header, _, lines in parts}
    assert found == {header: f"{s[:100]}RY{s[102:]}-" for header, s in records}
    assert picture.read_bytes().startswith(b"\x89PNG")
    assignment = read_labels(folder / "contigs.tsv")
    assert list(assignment) == [f"r{i}" for i in range(25)]
    assert (folder / "contigs.tsv").read_text().endswith("\nr24\t-1\t\ttoo short\n")
    n_bins = len((folder / "bins.tsv").read_text().splitlines()) - 1
    assert n_bins == len(set(assignment.values()) - {"-1"}) >= 1
    for file in folder.glob("bin_*.fasta.gz"):
        number = file.name.removeprefix("bin_").removesuffix(".fasta.gz")
        assert {assignment[i] for i in read_sequences(file)[0]} == {number}
