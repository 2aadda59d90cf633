"""``dnaembed adapt``: from reads, with labels or without, to another model."""

import pytest

from dnaembed.backbones import load_backbone
from dnaembed.cli import main
from tests.helpers.commands import fails, fasta, species_like


@pytest.fixture
def reads(tmp_path):
    return fasta(tmp_path / "reads.fa", [f"r{i}" for i in range(8)], species_like(4))


def command(reads, model, output, *options):
    fixed = ["--device", "cpu", "-q", "--steps", "2", "--batch-size", "4", "--min-reads", "2"]
    return ["adapt", reads, "--model", model, "-o", str(output), *fixed, *options]


def adapt(*arguments):
    return main(command(*arguments))


def test_without_labels(tmp_path, reads, tiny_dnabert_folder):
    outputs = [tmp_path / name for name in ("one", "two", "three")]
    options = ["--min-read-length", "200"]
    assert adapt(reads, tiny_dnabert_folder, outputs[0], *options) == 0
    assert adapt(reads, tiny_dnabert_folder, outputs[1], *options) == 0
    assert adapt(reads, tiny_dnabert_folder, outputs[2], *options, "--seed", "1") == 0
    prints = [load_backbone(path).fingerprint() for path in (tiny_dnabert_folder, *outputs)]
    assert prints[1] == prints[2]
    assert len(set(prints)) == 3
    assert main(["embed", reads, "--model", str(outputs[0]), "-o", str(tmp_path / "x.npy")]) == 0


def test_with_labels(tmp_path, reads, tiny_dnabert_folder):
    table = tmp_path / "labels.tsv"
    table.write_text("id\tspecies\n" + "".join(f"r{i}\ts{i // 4}\n" for i in range(6)))
    assert adapt(reads, tiny_dnabert_folder, tmp_path / "out", "--labels", str(table)) == 0
    tuned = load_backbone(tmp_path / "out")
    assert tuned.fingerprint() != load_backbone(tiny_dnabert_folder).fingerprint()
    # Whole headers name the same reads.
    table.write_text(
        "id\tspecies\n" + "".join(f">r{i} whole header\ts{i // 4}\n" for i in range(6))
    )
    assert adapt(reads, tiny_dnabert_folder, tmp_path / "again", "--labels", str(table)) == 0
    assert load_backbone(tmp_path / "again").fingerprint() == tuned.fingerprint()


def test_errors_take_one_line(tmp_path, reads, tiny_dnabert_folder, capsys):
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
