"""Models on the command line: ``convert``, ``info`` (of a tiny checkpoint) and ``adapt``."""

import json
import re

import pytest
import torch

from dnaembed.backbones import _load, load_backbone
from dnaembed.backbones._checkpoint import file_sha256
from dnaembed.cli import main
from tests.helpers.commands import fails, fasta, species_like


@pytest.fixture
def source(tmp_path, tiny_dnabert):
    folder = tmp_path / "source"
    tiny_dnabert.save(folder)
    fields = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(fields | {"model_type": "bert"}))
    (folder / "model.safetensors").unlink()
    torch.save(tiny_dnabert.model.state_dict(), folder / "pytorch_model.bin")
    return folder


def test_convert(source, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["convert", str(source), str(out)]) == 0
    assert load_backbone(out).fingerprint() == load_backbone(source).fingerprint()
    assert f"Wrote {out}." in capsys.readouterr().err
    assert main(["convert", str(source), str(source)]) == 1
    assert "lies in the output" in capsys.readouterr().err


def test_info(source, capsys, monkeypatch):
    assert main(["info", str(source)]) == 0
    rows = dict(re.split("  +", line) for line in capsys.readouterr().out.splitlines())
    backbone, sha256 = load_backbone(source), file_sha256(source / "pytorch_model.bin")
    expected = {
        "architecture": "dnabert",
        "parameters": f"{backbone.model.num_parameters():,}",
        "embedding size": "32",
        "hidden layers": "2",
        "window": "10,000 bp",
        "fingerprint": backbone.fingerprint(),
        "sha256": sha256,
    }
    assert rows | expected == rows
    monkeypatch.setitem(_load.PUBLISHED_WEIGHTS, "zhihan1996/DNABERT-S", sha256)
    assert main(["info", str(source)]) == 0
    assert "(published zhihan1996/DNABERT-S)" in capsys.readouterr().out


@pytest.mark.parametrize(("command", "rest"), [("info", []), ("convert", ["out"])])
def test_an_unknown_model_ends_in_one_line(command, rest, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = fails(capsys, command, "owner/model", *rest, "--offline", "--cache-dir", "cache")
    assert line.startswith(f"dnaembed {command}: error: model 'owner/model' not found")
    assert not (tmp_path / "out").exists()


@pytest.fixture
def reads(tmp_path):
    return fasta(tmp_path / "reads.fa", [f"r{i}" for i in range(8)], species_like(4))


def command(reads, model, output, *options):
    fixed = ["--device", "cpu", "-q", "--steps", "2", "--batch-size", "4", "--min-reads", "2"]
    return ["adapt", reads, "--model", model, "-o", str(output), *fixed, *options]


def adapt(*arguments):
    return main(command(*arguments))


def test_adapt_without_labels(tmp_path, reads, tiny_dnabert_folder):
    outputs = [tmp_path / name for name in ("one", "two", "three")]
    for output, seed in zip(outputs, "001", strict=True):
        options = ["--min-read-length", "200", "--seed", seed]
        assert adapt(reads, tiny_dnabert_folder, output, *options) == 0
    prints = [load_backbone(path).fingerprint() for path in (tiny_dnabert_folder, *outputs)]
    assert prints[1] == prints[2]
    assert len(set(prints)) == 3
    assert main(["embed", reads, "--model", str(outputs[0]), "-o", str(tmp_path / "x.npy")]) == 0


def test_adapt_with_labels(tmp_path, reads, tiny_dnabert_folder):
    table = tmp_path / "labels.tsv"
    table.write_text("id\tspecies\n" + "".join(f"r{i}\ts{i // 4}\n" for i in range(6)))
    assert adapt(reads, tiny_dnabert_folder, tmp_path / "out", "--labels", str(table)) == 0
    tuned = load_backbone(tmp_path / "out")
    assert tuned.fingerprint() != load_backbone(tiny_dnabert_folder).fingerprint()
    # Whole headers name the same reads.
    table.write_text("".join(f">r{i} whole header\ts{i // 4}\n" for i in range(6)))
    assert adapt(reads, tiny_dnabert_folder, tmp_path / "again", "--labels", str(table)) == 0
    assert load_backbone(tmp_path / "again").fingerprint() == tuned.fingerprint()


@pytest.mark.filterwarnings("always")
def test_adapt_to_few_reads_says_in_a_line_that_nothing_changed(tmp_path, capsys):
    output = str(tmp_path / "same")
    long = fasta(tmp_path / "long.fa", [f"r{i}" for i in range(8)], ["ACGTTGCA" * 200] * 8)
    assert main(["adapt", long, "-o", output]) == 0
    *_, warned, wrote = capsys.readouterr().err.splitlines()
    assert warned.endswith("too few: min_reads (--min-reads) is 2000. The model stays as it is.")
    assert warned.startswith("8 reads")
    assert wrote == f"Wrote {output}, after 0 steps."
    assert "exists: remove it, or choose another folder" in fails(
        capsys, "adapt", long, "-o", output
    )


def test_adapt_errors_take_one_line(tmp_path, reads, tiny_dnabert_folder, capsys):
    (tmp_path / "labels.tsv").write_text("other\tx\n")
    for options, message in (
        ([], "None of the 8 reads can make a pair"),
        (["--labels", str(tmp_path / "labels.tsv")], "none of the 8 reads has a label"),
        (["--min-read-length", "200", "--learning-rate", "1e30"], "The loss is nan at step "),
    ):
        line = fails(capsys, *command(reads, tiny_dnabert_folder, tmp_path / "out", *options))
        assert message in line
    assert f"model {str(tiny_dnabert_folder)!r}: " in line
    assert not (tmp_path / "out").exists()
