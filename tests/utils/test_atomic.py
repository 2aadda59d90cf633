"""Outputs are complete or absent."""

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from dnaembed import DNABertSEmbedder
from dnaembed.cli import main
from dnaembed.io import (
    SequenceFileError,
    open_embeddings,
    read_embeddings,
    write_bins,
    write_embeddings,
    write_labels,
)
from dnaembed.io._parts import Finished, PartedEmbeddings
from dnaembed.utils import _atomic
from tests.helpers.dna import random_dna
from tests.helpers.processes import run_python


def test_output_appears_at_the_end_and_failure_leaves_the_old_one(tmp_path):
    target = tmp_path / "out.txt"
    with _atomic.atomic_output(target) as path:
        path.write_text("old")
        assert not target.exists()
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error), _atomic.atomic_output(target) as path:  # noqa: PT012
            path.write_text("half")
            raise error
        assert target.read_text() == "old"
        assert list(tmp_path.iterdir()) == [target]
    with pytest.raises(FileNotFoundError) as caught, _atomic.atomic_output(target) as path:
        path.open()
    assert caught.value.filename == str(target)  # not the temporary file
    assert list(tmp_path.iterdir()) == [target]


def test_bad_places(tmp_path):
    (tmp_path / "file").write_text("")
    for open_place, name, error, message in (
        (_atomic.atomic_output, ".", IsADirectoryError, "is a directory"),
        (_atomic.atomic_output, "a/b", FileNotFoundError, "there is no folder"),
        (_atomic.atomic_folder, "a/b", FileNotFoundError, "there is no folder"),
        (_atomic.atomic_folder, "file", NotADirectoryError, "is a file"),
        (_atomic.atomic_folder, "x", ValueError, "early"),
    ):
        with pytest.raises(error, match=message), open_place(tmp_path / name):
            raise ValueError("early")
        assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_link_is_followed_or_replaced(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    link.symlink_to(target)
    for open_place, is_followed in ((_atomic.atomic_output, True), (_atomic.written_beside, False)):
        target.write_text("old")
        with open_place(link) as path:
            path.write_text("new")
        assert (link.is_symlink(), link.read_text()) == (is_followed, "new")
        assert target.read_text() == ("new" if is_followed else "old")


def test_folder_is_replaced_as_a_whole(tmp_path):
    target = tmp_path / "bins"
    for name in ("a", "b"):
        with _atomic.atomic_folder(target) as path:
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
    with pytest.raises(OSError, match="No space"), _atomic.atomic_folder(target) as path:
        (path / "new").write_text("")
    assert [p.name for p in target.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [target]


def test_a_name_that_is_too_long_is_refused_before_the_work(tmp_path):
    for name in ("x" * 256, "x" * 245 + ".npy"):  # of which OUT.manifest.json is longer
        with pytest.raises(OSError, match="name too long"):
            _atomic.check_output(tmp_path / name)
    with _atomic.atomic_output(tmp_path / ("x" * 255)) as path:
        path.write_text("fits")


def test_a_folder_that_must_be_new(tmp_path):
    target = tmp_path / "model"
    target.mkdir()  # empty, so free
    with _atomic.atomic_folder(target, overwrite=False) as path:
        (path / "file").write_text("new")
    for place, message in ((target, "exists and is not empty"), (target / "file", "is a file")):
        refused = pytest.raises(FileExistsError, match=message)
        with refused, _atomic.atomic_folder(place, overwrite=False):
            pass
    assert (target / "file").read_text() == "new"


# Two writers of one output


def write_parts(ids, rows):
    settings = {"shard": "1/1"}
    with PartedEmbeddings("x.npy", settings, n_columns=4, dtype=rows.dtype) as output:
        output.join([output.write(0, ids, rows, ids[0])], ids[0])


MANIFEST = "x.manifest.json"
WRITERS = {
    "rows": lambda ids, rows: write_embeddings("x.npy", ids, rows),
    "parts": write_parts,
    "bins": lambda ids, rows: write_bins("x", ids, ["ACGT"] * 3, [0, 1, 1], overwrite=True),
}


def write(kind, tag):
    WRITERS[kind]([tag, tag * 2, tag * 3], np.full((3, 4), ord(tag), dtype="f4"))


def check_rows(tag=None):
    """Read the rows, which are those of their identifiers, and of their manifest if it is there."""
    ids, rows = read_embeddings("x.npy")
    assert [ord(name[0]) for name in ids] == rows[:, 0].tolist()
    assert tag in (None, ids[0])
    if Path(MANIFEST).exists():
        assert len(list(Finished.read(Path("x.npy")).pieces())) == 1


@pytest.mark.skipif(os.name == "nt", reason="locks are those of Unix")
@pytest.mark.parametrize("kind", WRITERS)
def test_of_two_writers_one_wins_and_no_reader_sees_a_mixture(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)

    def write_often(tag):
        for _ in range(40):
            with suppress(BlockingIOError):  # another one is writing
                write(kind, tag)

    with ThreadPoolExecutor(2) as pool:
        writers = [pool.submit(write_often, tag) for tag in "ab"]
        while not all(writer.done() for writer in writers):
            with suppress(FileNotFoundError, SequenceFileError):  # while it is replaced
                if kind != "bins":
                    check_rows()
    assert [writer.result() for writer in writers] == [None, None]
    if kind != "bins":
        check_rows()
    assert not {path.name for path in tmp_path.iterdir()} - {"x", "x.npy", "x.ids.txt", MANIFEST}
    assert len({path.read_text()[1:2] for path in tmp_path.glob("x/bin*.fasta")}) <= 1


@pytest.mark.parametrize("kind", ["rows", "parts"])
def test_a_kill_at_any_renaming_is_noticed_and_written_over(tmp_path, monkeypatch, kind):
    states = []

    def seen(method):
        def call(path, *args, **options):
            states.append((tag, shutil.copytree(".", tmp_path / f"{len(states)}")))
            return method(path, *args, **options)

        return call

    (tmp_path / "work").mkdir()
    with monkeypatch.context() as patch:
        patch.chdir(tmp_path / "work")
        for name in ("replace", "unlink", "mkdir", "rmdir"):
            patch.setattr(Path, name, seen(getattr(Path, name)))
        for tag in "ab":
            write(kind, tag)
    assert len(states) > 10
    for tag, place in states:
        monkeypatch.chdir(place)
        with suppress(FileNotFoundError, SequenceFileError):
            check_rows()
        write(kind, tag)
        check_rows(tag)
        if kind == "parts":
            assert {path.name for path in place.iterdir()} == {"x.npy", "x.ids.txt", MANIFEST}


# No output is an input, another output, or what lies beside either


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A current folder with reads, labels, embeddings, links and bins."""
    reads = random_dna(20, high=300)
    (tmp_path / "s.fa").write_text("".join(f">r{i}\n{s}\n" for i, s in enumerate(reads)))
    (tmp_path / "known.tsv").write_text("".join(f"r{i}\t{i % 2}\n" for i in range(20)))
    monkeypatch.chdir(tmp_path)
    ids = ["a", "b", "c"]
    write_embeddings("rows.npy", ids, np.eye(3, dtype="f4"))
    Path("rows.manifest.json").write_text('{"input_checksum": ""}')
    Path("link.fa").symlink_to("s.fa")
    os.link("s.fa", "hard.fa")
    write_bins("bins", ids, ["ACGT"] * 3, [0, 1, 1])
    Path("bin").mkdir()
    Path("other.ids.txt").write_text("mine")
    return tmp_path


def content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


REFUSED = "Cannot tell the format|would overwrite|lies in|not written together|holds|"
REFUSED += "is a file|there is no folder"
CLASSIFY = "classify --train s.fa --labels known.tsv"


@pytest.mark.skipif(os.name == "nt", reason="needs links")
@pytest.mark.parametrize(
    "words",
    [
        "cluster s.fa -k 2 -o s.fa",
        "cluster s.fa -k 2 -o link.fa",
        "cluster s.fa -k 2 -o hard.fa",
        "cluster s.fa -k 2 -o ./bin/../s.fa",
        "cluster s.fa -k 2 -o x --save X",
        "cluster s.fa -k 2 -o x.tsv --save s.fa",
        "cluster s.fa --assign rows.npy -o rows.npy",
        "cluster --embeddings rows.npy -k 2 -o rows.npy",
        "cluster --embeddings rows.npy -k 2 -o x --save rows.manifest.json",
        "cluster s.fa -k 2 -o rows.npy --save rows.ids.txt",
        "embed rows.ids.txt -o rows.npy",
        "embed s.fa -o other.npy",
        f"{CLASSIFY} s.fa -o s.fa",
        f"{CLASSIFY} s.fa -o known.tsv",
        "merge rows.npy rows.npy",
        "bin bins/bin_0.fasta -o bins --force",
        "bin s.fa -o bins --force --save bins/saved",
        "bin s.fa -o .",
        "bin s.fa --abundance known.tsv -o x --save known.tsv",
        "convert bins bins",
        "adapt s.fa -o s.fa",
        "demo -o no/x",
    ],
)
def test_no_command_destroys_what_is_there(work, words, capsys):
    before = content(work)
    assert main(words.split()) == 1
    err = capsys.readouterr().err.splitlines()
    assert [line for line in err if "error:" in line] == err[-1:]
    assert re.search(REFUSED, err[-1])
    assert content(work) == before


def embed(paths, output):
    DNABertSEmbedder(device="cpu").embed_file(paths, output)


@pytest.mark.skipif(os.name == "nt", reason="needs links")
@pytest.mark.parametrize(
    "write",
    [
        lambda: embed(["s.fa", "hard.fa"], "other.npy"),
        lambda: write_embeddings("other.npy", ["a"], np.eye(1)),
        lambda: write_embeddings(os.devnull + ".npy/x.npy", ["a"], np.eye(1)),
        lambda: write_labels("bins", ["a"], ["x"]),
        lambda: write_bins(".", ["a"], ["ACGT"], [0]),
        lambda: write_bins("s.fa", ["a"], ["ACGT"], [0], overwrite=True),
        lambda: _atomic.check_outputs(["x.npy", "X.NPY"]),
        lambda: _atomic.check_outputs(["x.npy", "x.ids.txt"]),
        lambda: _atomic.check_outputs([], folders=["/proc"]),
    ],
)
def test_no_function_destroys_what_is_there(work, write):
    before = content(work)
    with pytest.raises((ValueError, OSError), match=f"{REFUSED}|is a directory"):
        write()
    assert content(work) == before


MOUNTS = """
import os, subprocess, sys
from dnaembed import DNABertSEmbedder
from dnaembed.io import write_bins, write_embeddings
for kind, place, write in (
    ("folder", "bins", lambda: write_bins("bins", ["a"], ["ACGT"], [0], overwrite=True)),
    ("file", "bins/bin_0.fasta", lambda: write_bins("bins", "a", ["ACGT"], [0], overwrite=True)),
    ("folder", "other.npy.parts", lambda: DNABertSEmbedder().embed_file("s.fa", "other.npy")),
    ("file", "rows.ids.txt", lambda: write_embeddings("rows.npy", ["a"], [[1.0]])),
):
    subprocess.run(["mount", "--bind", "mine/" + kind, place], check=True)
    try:
        write()
    except OSError as error:
        print(place, "a mount point" in str(error))
    subprocess.run(["umount", place], check=True)
"""


@pytest.mark.skipif(
    shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"]).returncode != 0,
    reason="needs mounts of its own",
)
def test_a_mount_point_of_the_same_file_system_is_left_alone(work):
    for folder in ("mine/folder", "other.npy.parts"):
        Path(folder).mkdir(parents=True)
    for file in ("mine/file", "mine/folder/manifest.json", "mine/folder/bins.tsv"):
        Path(file).write_text("mine")
    Path("other.ids.txt").unlink()
    before = content(work)
    command = ["unshare", "-rm", sys.executable, "-c", MOUNTS]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split()[1::2] == ["True"] * 4, done.stdout + done.stderr
    assert content(work) == before


def test_a_place_that_may_not_be_written_is_known_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda place, mode: False)
    refused = pytest.raises(PermissionError, match="no permission to write")
    ours = _atomic.atomic_output, _atomic.atomic_folder, _atomic.open_output
    for open_place in (*ours, open_embeddings):
        with refused, open_place(tmp_path / "x.npy"):
            raise AssertionError("the work has begun")


needs_pipes = pytest.mark.skipif(os.name == "nt", reason="needs pipes as Unix has them")


@needs_pipes
@pytest.mark.parametrize("name", ["-", "/dev/stdout", "/dev/fd/1", "link"])
@pytest.mark.parametrize("into", ["pipe", "file"])
def test_standard_output_is_written_straight_down(tmp_path, name, into):
    (tmp_path / "link").symlink_to("/dev/stdout")
    (tmp_path / "before").write_text("kept\n")
    call = f"write_labels({name!r}, ['a'], ['x'])"
    code = f"from dnaembed.io import write_labels; print('first'); {call}"
    target = "| cat" if into == "pipe" else ">> before"
    command = f'({sys.executable} -c "{code}"; echo after) {target}'
    how = {"capture_output": True, "text": True, "cwd": tmp_path, "check": True}
    done = subprocess.run(command, shell=True, **how)
    written = "first\nid\tlabel\na\tx\nafter\n"
    found = done.stdout if into == "pipe" else (tmp_path / "before").read_text()
    assert found == ("" if into == "pipe" else "kept\n") + written
    assert {path.name for path in tmp_path.iterdir()} == {"link", "before"}


@needs_pipes
def test_embeddings_go_down_a_pipe_as_a_table(work):
    output = run_python("-m", "dnaembed", "embed", "s.fa", "-o", "-")
    assert output.startswith("id\tembedding_000\t")
    assert len(output.splitlines()) == 21
    os.mkfifo("pipe.npy")
    with pytest.raises(ValueError, match="is not a regular file"):
        embed("s.fa", "pipe.npy")


@needs_pipes
@pytest.mark.parametrize(
    ("words", "closed", "status", "said"),
    [
        ("info", ">&-", 0, ""),
        ("cluster s.fa -k 2 -o x.tsv", "2>&-", 0, ""),
        ("cluster s.fa -k 2 -o -", ">&-", 1, "-: it is closed"),
        ("cluster - -k 2 -o x.tsv", "<&-", 1, "standard input is closed"),
        ("cluster s.fa -k 2 -o /dev/full", "", 1, "No space left"),
    ],
)
def test_closed_streams(work, words, closed, status, said):
    command = f"exec {sys.executable} -m dnaembed {words} {closed}"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert done.returncode == status, done.stderr
    assert said in done.stderr
    assert Path("x.tsv").exists() == (status == 0 and "x.tsv" in words)


@pytest.mark.skipif(os.name == "nt", reason="needs modes as Unix has them")
def test_modes(tmp_path):
    before = os.umask(0o027)
    try:
        (tmp_path / "old").touch(mode=0o600)
        write_embeddings(tmp_path / "x.npy", ["a"], np.eye(1))
        (tmp_path / "x.npy").chmod(0o600)
        write_embeddings(tmp_path / "x.npy", ["a"], np.eye(1))
        for name in ("new", "old"):
            write_labels(tmp_path / name, ["a"], ["x"])
    finally:
        os.umask(before)
    for name, mode in {"new": 0o640, "old": 0o600, "x.npy": 0o600, "x.ids.txt": 0o640}.items():
        assert (tmp_path / name).stat().st_mode & 0o777 == mode
