"""Outputs are complete or absent."""

import os
from pathlib import Path

import pytest

from dnaembed.utils._atomic import atomic_folder, atomic_output, check_output, written_beside


def test_output_appears_at_the_end(tmp_path):
    target = tmp_path / "out.txt"
    with atomic_output(target) as path:
        path.write_text("new")
        assert not target.exists()
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_failure_leaves_the_old_file(tmp_path, error):
    target = tmp_path / "out.txt"
    target.write_text("old")
    with pytest.raises(error), atomic_output(target) as path:  # noqa: PT012
        path.write_text("half")
        raise error
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_failure_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match="early"), atomic_output(tmp_path / "x"):
        raise ValueError("early")
    assert list(tmp_path.iterdir()) == []


def test_bad_places(tmp_path):
    with pytest.raises(IsADirectoryError, match="is a directory"), atomic_output(tmp_path):
        pass
    with (
        pytest.raises(FileNotFoundError, match="there is no folder"),
        atomic_output(tmp_path / "a/b"),
    ):
        pass
    with (
        pytest.raises(FileNotFoundError, match="there is no folder"),
        atomic_folder(tmp_path / "a/b"),
    ):
        pass
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="is a file"), atomic_folder(tmp_path / "file"):
        pass


def test_a_link_is_followed(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    with atomic_output(link) as path:
        path.write_text("new")
    assert link.is_symlink()
    assert target.read_text() == "new"


@pytest.mark.skipif(not Path(os.devnull).exists() or os.name == "nt", reason="needs a device file")
def test_a_device_is_written_not_replaced():
    with atomic_output(os.devnull) as path:
        path.write_text("gone")
    assert not Path(os.devnull).is_file()


def test_folder_is_replaced_as_a_whole(tmp_path):
    target = tmp_path / "bins"
    for name in ("a", "b"):
        with atomic_folder(target) as path:
            (path / name).write_text(name)
    assert [p.name for p in target.iterdir()] == ["b"]
    assert list(tmp_path.iterdir()) == [target]


def test_folder_comes_back_when_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    target = tmp_path / "bins"
    target.mkdir()
    (target / "old").write_text("")
    rename = Path.rename

    def full_disk(self, other):
        if self.suffix == ".tmp":
            raise OSError(28, "No space left on device")
        return rename(self, other)

    monkeypatch.setattr(Path, "rename", full_disk)
    with pytest.raises(OSError, match="No space"), atomic_folder(target) as path:
        (path / "new").write_text("")
    assert [p.name for p in target.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [target]


def test_folder_failure_leaves_the_old_one(tmp_path):
    target = tmp_path / "bins"
    target.mkdir()
    (target / "old").write_text("")
    with pytest.raises(ValueError, match="no"), atomic_folder(target) as path:  # noqa: PT012
        (path / "new").write_text("")
        raise ValueError("no")
    assert [p.name for p in target.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [target]


def test_a_name_that_is_too_long_is_refused_before_the_work(tmp_path):
    with pytest.raises(OSError, match="name too long"):
        check_output(tmp_path / ("x" * 250))


def test_a_link_is_replaced_where_none_may_be_followed(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    with written_beside(link, flush=False) as path:
        path.write_text("new")
    assert (target.read_text(), link.read_text(), link.is_symlink()) == ("old", "new", False)


def test_a_folder_that_must_be_new(tmp_path):
    target = tmp_path / "model"
    target.mkdir()  # empty, so free
    with atomic_folder(target, overwrite=False) as path:
        (path / "file").write_text("new")
    assert (target / "file").read_text() == "new"
    with (
        pytest.raises(FileExistsError, match="exists and is not empty"),
        atomic_folder(target, overwrite=False),
    ):
        pass
    with (
        pytest.raises(FileExistsError, match="a file of this name"),
        atomic_folder(target / "file", overwrite=False),
    ):
        pass
