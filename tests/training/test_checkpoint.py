"""Checkpoints of a run."""

import pytest
import torch

from dnaembed.training._checkpoint import latest_checkpoint, write_checkpoint
from tests.helpers.toys import make_trainer


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
    assert latest_checkpoint(tmp_path)[0] == 1
    assert latest_checkpoint(tmp_path / "nowhere") is None
