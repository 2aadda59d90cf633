"""Checkpoints and logs of a run."""

import pytest
import torch

from dnaembed.training._checkpoint import CsvLog, latest_checkpoint, write_checkpoint
from tests.helpers.toys import make_trainer, read_rows


def test_resumed_log_drops_what_came_after_the_checkpoint(tmp_path):
    log = CsvLog(tmp_path / "log.csv")
    for step in range(1, 5):
        log.write({"step": step, "loss": step / 3})
    with log.path.open("a") as file:
        file.write("5,")  # cut off
    again = CsvLog(tmp_path / "log.csv", after=3)
    again.write({"step": 4, "loss": 0.5})
    assert [row["step"] for row in read_rows(log.path)] == ["1", "2", "3", "4"]
    assert read_rows(log.path)[-1]["loss"] == "0.5"
    CsvLog(tmp_path / "log.csv")
    assert read_rows(log.path) == []


def test_only_the_newest_checkpoints_are_kept(tmp_path):
    make_trainer(tmp_path, checkpoint_every=1).train()
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["step-000000005", "step-000000006"]


def test_half_a_checkpoint_is_none(tmp_path, monkeypatch):
    write_checkpoint(tmp_path, 1, {"a": torch.ones(2)}, {})
    monkeypatch.setattr(
        "dnaembed.training._checkpoint.save_file",
        lambda *a: (_ for _ in ()).throw(OSError("disk full")),
    )
    with pytest.raises(OSError, match="disk full"):
        write_checkpoint(tmp_path, 2, {"a": torch.ones(2)}, {})
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000001"]
    assert latest_checkpoint(tmp_path).step == 1
    assert latest_checkpoint(tmp_path / "nowhere") is None
