"""Embeddings from files, and groups kept for later reads, on the command line."""

from pathlib import Path

import numpy as np
import pytest

from dnaembed.cli import _options, main
from dnaembed.io import read_embeddings, read_labels, write_embeddings
from tests.helpers.commands import fails, fasta, species_like


@pytest.fixture
def reads(reads_file):
    return reads_file


@pytest.fixture
def rows(tmp_path, reads, model):
    path = str(tmp_path / "rows.npy")
    assert main(["embed", reads, "-o", path, *model]) == 0
    return path


def labels(path):
    return list(read_labels(path).values())


@pytest.mark.parametrize("options", [["-k", "2"], []])
def test_cluster_embeddings(tmp_path, reads, rows, model, options, monkeypatch):
    a, b, c = (str(tmp_path / f"{name}.tsv") for name in "abc")
    assert main(["cluster", reads, *options, "-o", a, *model]) == 0
    assert main(["cluster", "--embeddings", rows, *options, "-o", b]) == 0
    assert Path(a).read_text() == Path(b).read_text()
    monkeypatch.setattr(_options, "CHUNK_SEQUENCES", 5)
    assert main(["cluster", reads, *options, "-o", c, *model]) == 0
    assert labels(c) == labels(a)


@pytest.mark.parametrize("options", [["-k", "2"], []])
def test_cluster_assigns_new_reads(tmp_path, reads, rows, model, options, monkeypatch):
    saved, old = str(tmp_path / "clusters"), str(tmp_path / "old.tsv")
    assert main(["cluster", reads, *options, "-o", old, "--save", saved, *model]) == 0
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


def test_clusters_of_embeddings_take_reads(tmp_path, reads, rows, model, caplog):
    saved, old, new = (str(tmp_path / name) for name in ("clusters", "old.tsv", "new.tsv"))
    argv = ["cluster", "--embeddings", rows, "-k", "2", "-o", old, "--save", saved]
    assert main(argv) == 0
    assert main(["cluster", reads, "--assign", saved, "-o", new, *model]) == 0
    assert labels(new) == labels(old)
    assert "Nothing says" not in caplog.text
    # Without the note of `embed` nobody can tell.
    Path(rows).with_suffix(".manifest.json").unlink(missing_ok=True)
    assert main(argv) == 0
    assert main(["cluster", reads, "--assign", saved, "-o", new, *model]) == 0
    assert labels(new) == labels(old)
    assert "Nothing says whether" in caplog.text


def test_groups_of_another_model(tmp_path, reads, model, capsys):
    saved, output = str(tmp_path / "clusters"), str(tmp_path / "x.tsv")
    assert main(["cluster", reads, "-k", "2", "-o", output, "--save", saved, *model]) == 0
    capsys.readouterr()
    Path(output).unlink()
    line = fails(capsys, "cluster", reads, "--assign", saved, "-o", output)
    assert f"{saved} was made with the model '{model[1]}' (fingerprint" in line
    assert "but these embeddings with the model 'default' (fingerprint" in line
    more = "--assign", saved, "-o", output
    assert "both strands" in fails(capsys, "cluster", reads, *more, *model, "--strand", "both")
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


def bin_argv(tmp_path, reads, name, *more):
    options = ["--min-length", "300", "--min-bin-size", "5"]
    return ["bin", reads, "-o", str(tmp_path / name), *options, *more]


def test_bin_with_embeddings(tmp_path, reads, rows, model):
    assert main(bin_argv(tmp_path, reads, "a", *model)) == 0
    assert main(bin_argv(tmp_path, reads, "b", "--embeddings", rows)) == 0
    expected = read_labels(tmp_path / "a" / "contigs.tsv")
    assert read_labels(tmp_path / "b" / "contigs.tsv") == expected
    # In any order, with others among them.
    ids, values = read_embeddings(rows)
    order = np.random.default_rng(0).permutation(24)
    shuffled = str(tmp_path / "shuffled.npy")
    values = np.concatenate([values[order], values[:1]])
    write_embeddings(shuffled, [*(ids[i] for i in order), "other"], values)
    assert main(bin_argv(tmp_path, reads, "c", "--embeddings", shuffled)) == 0
    assert read_labels(tmp_path / "c" / "contigs.tsv") == expected


def test_bin_with_embeddings_of_other_contigs(tmp_path, reads, rows, capsys):
    ids, values = read_embeddings(rows)
    write_embeddings(rows, ids[:20], values[:20])
    line = fails(capsys, *bin_argv(tmp_path, reads, "a", "--embeddings", rows))
    assert f"{rows}: no embedding for 4 of 24 sequences: 'r20', 'r21', 'r22', ..." in line
    write_embeddings(rows, [*ids, "r3"], values[[*range(24), 3]])
    line = fails(capsys, *bin_argv(tmp_path, reads, "a", "--embeddings", rows))
    assert f"{rows}: two rows have one identifier" in line


@pytest.mark.parametrize(
    "method", [["graph"], ["kmedoid", "--min-similarity", "0.9"]], ids="-".join
)
def test_bins_by_sequence_and_abundance_take_new_contigs(tmp_path, reads, model, method):
    table = tmp_path / "coverage.tsv"
    lines = [f"r{i}\t{1 + 50 * (i >= 12)}\t{60 - 50 * (i >= 12)}" for i in range(24)]
    table.write_text("\n".join(["contig\tone\ttwo", *lines, "other\t1\t1"]) + "\n")
    abundance = ["--abundance", str(table), "--abundance-weight", "0.9"]
    saved = str(tmp_path / "saved")
    argv = bin_argv(tmp_path, reads, "a", "--method", *method, "--save", saved, *abundance, *model)
    assert main(argv) == 0
    assert main(bin_argv(tmp_path, reads, "b", "--assign", saved, *abundance, *model)) == 0
    old, new = (labels(tmp_path / name / "contigs.tsv") for name in "ab")
    first, second = set(old[:12]) - {"-1"}, set(old[12:]) - {"-1"}
    assert not first & second
    assert first | second
    assert np.mean([a == b for a, b in zip(old, new, strict=True)]) > 0.8


def test_bins_with_abundance_need_it_again(tmp_path, reads, model, capsys):
    table = tmp_path / "coverage.tsv"
    table.write_text("contig\tone\n" + "".join(f"r{i}\t{i}\n" for i in range(24)))
    saved = str(tmp_path / "saved")
    argv = bin_argv(tmp_path, reads, "a", "--save", saved, "--abundance", str(table), *model)
    assert main(argv) == 0
    capsys.readouterr()
    line = fails(capsys, *bin_argv(tmp_path, reads, "b", "--assign", saved, *model))
    assert "was fitted with abundance, got none" in line
    line = fails(capsys, "cluster", reads, "--assign", saved, "-o", str(tmp_path / "x"), *model)
    assert "was made with abundances: use dnaembed bin --assign" in line
    assert not (tmp_path / "b").exists()
