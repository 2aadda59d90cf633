"""An output that grows, is stopped anywhere, and goes on."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnaembed.io import _resumable, read_embeddings
from dnaembed.io._resumable import ResumableEmbeddings

SETTINGS = {"model": "m", "window_size": None}
COLUMNS = 3


@pytest.fixture(autouse=True)
def commit_always(monkeypatch):
    monkeypatch.setattr(_resumable, "_SECONDS_BETWEEN_COMMITS", 0)


def block(number, n=2):
    rows = np.full((n, COLUMNS), number, dtype=np.float32)
    return rows, "".join(f"r{number}.{i}\n" for i in range(n)).encode()


def writer(path, settings=SETTINGS, **options):
    options = {"n_columns": COLUMNS, "dtype": np.dtype("f4"), **options}
    return ResumableEmbeddings(path, settings, **options)


def write(path, numbers, *, stop=None, **options):
    """Append blocks that are not there yet; stop with an exception before one of them."""
    with writer(path, **options) as output:
        for number in numbers[output.progress.n_blocks :]:
            if number == stop:
                raise KeyboardInterrupt
            rows, ids = block(number)
            output.append(rows, ids, input_checksum=number)


def check(path, numbers):
    ids, rows = read_embeddings(path)
    assert rows[:, 0].tolist() == [n for n in numbers for _ in range(2)]
    assert ids == [f"r{n}.{i}" for n in numbers for i in range(2)]
    assert sorted(p.name for p in path.parent.iterdir()) == [
        "x.ids.txt",
        "x.manifest.json",
        "x.npy",
    ]


def test_writes_three_files(tmp_path):
    write(tmp_path / "x.npy", [1, 2])
    check(tmp_path / "x.npy", [1, 2])
    manifest = json.loads((tmp_path / "x.manifest.json").read_text())
    assert manifest["settings"] == SETTINGS
    assert (manifest["rows"], manifest["n_columns"], manifest["dtype"]) == (4, 3, "float32")
    assert manifest["is_complete"]


def test_no_rows_at_all(tmp_path):
    write(tmp_path / "x.npy", [])
    assert np.load(tmp_path / "x.npy").shape == (0, COLUMNS)


def test_goes_on_after_an_exception(tmp_path, caplog):
    path = tmp_path / "x.npy"
    for stop in (2, 4, 4):
        with pytest.raises(KeyboardInterrupt):
            write(path, range(1, 6), stop=stop)
        assert [p.name for p in tmp_path.iterdir()] == ["x.npy.partial"]
    assert "6 rows are kept" in caplog.text
    write(path, range(1, 6))
    check(path, range(1, 6))


def test_nothing_is_left_where_nothing_was_done(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "x.npy", [1], stop=1)
    assert list(tmp_path.iterdir()) == []


def test_resume_can_be_refused(tmp_path):
    path = tmp_path / "x.npy"
    with pytest.raises(KeyboardInterrupt):
        write(path, [1, 2], stop=2)
    write(path, [8, 9], resume=False)
    check(path, [8, 9])


@pytest.mark.parametrize(
    "other",
    [
        {"settings": {"model": "other", "window_size": None}},
        {"settings": {"model": "m"}},
        {"dtype": np.dtype("f2")},
    ],
)
def test_other_settings_start_again(tmp_path, caplog, other):
    path = tmp_path / "x.npy"
    with pytest.raises(KeyboardInterrupt):
        write(path, [1, 2], stop=2)
    write(path, [8, 9], **other)
    check(path, [8, 9])
    assert "other settings: starting again" in caplog.text


def flip(path, place):
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: flip(folder / "rows", -1), "damaged"),
        (lambda folder: flip(folder / "ids", 0), "damaged"),
        (lambda folder: os.truncate(folder / "rows", 140), "damaged"),
        (lambda folder: (folder / "ids").unlink(), "damaged"),
        (lambda folder: (folder / "progress.json").write_text("{"), "cannot be read"),
        (lambda folder: (folder / "progress.json").write_text("[]"), "cannot be read"),
        (lambda folder: (folder / "progress.json").write_text('{"rows": 1}'), "cannot be read"),
    ],
)
def test_damaged_work_is_not_continued(tmp_path, caplog, damage, message):
    path = tmp_path / "x.npy"
    with pytest.raises(KeyboardInterrupt):
        write(path, [1, 2], stop=2)
    damage(tmp_path / "x.npy.partial")
    write(path, [1, 2])
    check(path, [1, 2])
    assert message in caplog.text


@given(st.binary(max_size=40), st.binary(max_size=20))
def test_what_lies_behind_the_certain_part_is_cut_off(tmp_path_factory, rows, ids):
    folder = tmp_path_factory.mktemp("cut")
    path = folder / "x.npy"
    with pytest.raises(KeyboardInterrupt):
        write(path, [1, 2], stop=2)
    for name, data in (("rows", rows), ("ids", ids)):
        with (folder / "x.npy.partial" / name).open("ab") as file:
            file.write(data)
    write(path, [1, 2])
    check(path, [1, 2])


def write_and_stop_naming(path, step, patch):
    """Write a block; stop after so many steps of what follows the last row."""
    n_calls = 0

    def stopping(function):
        def call(*args, **kwargs):
            nonlocal n_calls
            n_calls += 1
            if n_calls > step:
                raise KeyboardInterrupt
            return function(*args, **kwargs)

        return call

    with writer(path) as output:
        output.append(*block(1), input_checksum=1)
        for owner, name in (
            (_resumable.Path, "unlink"),
            (_resumable.Path, "replace"),
            (shutil, "copyfile"),
            (shutil, "rmtree"),
        ):
            patch.setattr(owner, name, stopping(getattr(owner, name)))


@pytest.mark.parametrize("step", range(7))
def test_interrupted_while_the_files_get_their_names(tmp_path, monkeypatch, step):
    path = tmp_path / "x.npy"
    write(path, [7])  # an older output
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        write_and_stop_naming(path, step, patch)
    write(path, [1])
    check(path, [1])


def test_one_writer_at_a_time(tmp_path):
    pytest.importorskip("fcntl", reason="locks are those of POSIX")
    path = tmp_path / "x.npy"
    code = (
        "import sys, numpy as np\n"
        "from dnaembed.io._resumable import ResumableEmbeddings\n"
        f"ResumableEmbeddings({str(path)!r}, {{}}, n_columns=3, dtype=np.dtype('f4')).__enter__()\n"
    )
    with writer(path) as output:
        output.append(*block(1), input_checksum=1)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
        assert b"BlockingIOError: Another process is writing" in done.stderr
    check(path, [1])


def test_values_that_the_type_cannot_hold(tmp_path):
    def overflow():
        with writer(tmp_path / "x.npy", dtype=np.dtype("f2")) as output:
            output.append(*block(1), input_checksum=1)
            rows = np.array([[0, 0, 0], [0, 1e6, 0]], dtype="f4")
            output.append(rows, b"a\nb\n", input_checksum=2)

    with pytest.raises(ValueError, match=r"float16 cannot hold \(row 3\)"):
        overflow()


def test_a_full_disk_leaves_what_was_certain(tmp_path, monkeypatch):
    path = tmp_path / "x.npy"

    def full(*_):
        raise OSError(28, "No space left on device")

    def fill():
        with writer(path) as output:
            output.append(*block(1), input_checksum=1)
            monkeypatch.setattr(os, "fsync", full)
            output.append(*block(2), input_checksum=2)

    with pytest.raises(OSError, match="No space left"):
        fill()
    monkeypatch.undo()
    write(path, [1, 2])
    check(path, [1, 2])
