"""``dnaembed convert`` and ``dnaembed info``, on a tiny checkpoint laid out like the published."""

import json
import re

import pytest
import torch

from dnaembed.backbones import _load, load_backbone
from dnaembed.backbones._checkpoint import file_sha256
from dnaembed.cli import main
from tests.helpers.commands import fails


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


@pytest.mark.parametrize("command", [["info"], ["convert"]])
def test_an_unknown_model_ends_in_one_line(command, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rest = ["out"] if command == ["convert"] else []
    line = fails(capsys, *command, "owner/model", *rest, "--offline", "--cache-dir", "cache")
    assert line.startswith(f"dnaembed {command[0]}: error: model 'owner/model' not found")
    assert not (tmp_path / "out").exists()
