"""An output made of parts: stopped anywhere, continued, checked, joined."""

import json
import os
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnaembed import io
from dnaembed.io._bins import check_bins_folder
from dnaembed.io._parts import PartedEmbeddings, Shard
from dnaembed.utils._atomic import atomic_folder

SETTINGS = {"model": "m", "window_size": None}
COLUMNS = 3
F4 = np.dtype("f4")
WHOLE = Shard()
FILES = ["x.ids.txt", "x.manifest.json", "x.npy"]


def parted(path, settings=SETTINGS, **options):
    return PartedEmbeddings(path, settings, **{"n_columns": COLUMNS, "dtype": F4, **options})


def write(
    path, numbers, *, stop=None, made=None, shard=None, source="in", settings=None, **options
):
    """Write parts of `number + 1` rows that are not there yet; stop with an exception at one."""
    shard = shard or Shard()
    settings = {**SETTINGS, "shard": str(shard), **(settings or {})}
    with parted(path, settings, **options) as output:
        parts = []
        for number in filter(shard.has, numbers):
            if number == stop:
                raise KeyboardInterrupt
            part = output.find(number, f"{source} {number}")
            if part is None:
                ids = [f"r{number}.{i}" for i in range(number + 1)]
                rows = np.full((len(ids), COLUMNS), number, dtype=np.float32)
                part = output.write(number, ids, rows, f"{source} {number}")
                if made is not None:
                    made.append(number)
            parts.append(part)
        output.join(parts, source)
    return path


def stopped(path, numbers, stop, **options):
    with pytest.raises(KeyboardInterrupt):
        write(path, numbers, stop=stop, **options)
    return path.with_name(f"{path.name}.parts")


def check(path, n):
    ids, rows = io.read_embeddings(path)
    assert ids == [f"r{k}.{i}" for k in range(n) for i in range(k + 1)]
    assert rows[:, 0].tolist() == [k for k in range(n) for _ in range(k + 1)]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def flip(path, place):
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def test_three_files_are_written(tmp_path):
    (tmp_path / "link.npy").symlink_to(tmp_path / "x.npy")
    check(write(tmp_path / "link.npy", range(3)), 3)
    (tmp_path / "link.npy").unlink()
    check(tmp_path / "x.npy", 3)
    assert names(tmp_path) == FILES
    manifest = json.loads((tmp_path / "x.manifest.json").read_text())
    assert manifest["settings"] == {**SETTINGS, "shard": "1/1"}
    assert (manifest["rows"], manifest["n_columns"], manifest["dtype"]) == (6, 3, "float32")
    assert [part["rows"] for part in manifest["parts"]] == [1, 2, 3]
    io.write_embeddings(tmp_path / "x.npy", ["a"], np.zeros((1, COLUMNS)))
    assert names(tmp_path) == ["x.ids.txt", "x.npy"]  # the manifest is not of these rows
    write(tmp_path / "x.npy", [])
    assert np.load(tmp_path / "x.npy").shape == (0, COLUMNS)


def test_to_start_again_is_to_ask_for_it(tmp_path):
    stopped(tmp_path / "x.npy", [0], 0)
    assert names(tmp_path) == []  # nothing was done
    made = []
    stopped(tmp_path / "x.npy", range(3), 2, source="other")
    check(write(tmp_path / "x.npy", range(3), resume=False, made=made), 3)
    assert made == [0, 1, 2]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"settings": {"model": "other"}}, r"model='m', and now model='other'"),
        ({"settings": {"strand": "both"}}, r"strand=None, and now strand='both'"),
        ({"shard": Shard(2, 2)}, r"shard='1/1', and now shard='2/2'"),
        ({"dtype": np.dtype("f2")}, r"dtype='float32', and now dtype='float16'"),
        ({"n_columns": 9}, "n_columns=3, and now n_columns=9"),
        ({"source": "other"}, r"are not those that .* was made from"),
        ({"numbers": range(2)}, r"are not those that .* was made from"),
    ],
)
def test_another_setting_is_refused_and_nothing_is_lost(tmp_path, caplog, other, message):
    made = []
    stopped(tmp_path / "x.npy", range(4), 2)
    folder = stopped(tmp_path / "x.npy", range(4), 3)
    assert "3 parts are kept" in caplog.text
    before = content(folder)
    with pytest.raises(ValueError, match=message):
        write(tmp_path / "x.npy", **{"numbers": range(4), **other})
    assert content(folder) == before
    check(write(tmp_path / "x.npy", range(4), made=made), 4)
    assert made == [3]


@pytest.mark.parametrize(
    "damage",
    [
        lambda part: flip(part, -1),
        lambda part: flip(part, part.read_bytes().index(b"\n") + 1),
        lambda part: os.truncate(part, part.stat().st_size - 1),
        lambda part: os.truncate(part, 0),
        lambda part: part.write_bytes(b"{}\n"),
        lambda part: part.write_bytes(b"[" * 1000),
        lambda part: part.write_bytes(part.read_bytes().replace(b'"rows": 2', b'"rows": -2')),
        lambda part: part.write_bytes(part.read_bytes().replace(b'"rows": 2', b'"rows": "2"')),
        lambda part: part.write_bytes(part.with_name("00000000.part").read_bytes()),
        lambda part: part.unlink(),
    ],
)
def test_a_damaged_part_is_made_again(tmp_path, damage):
    made = []
    folder = stopped(tmp_path / "x.npy", range(4), 3)
    damage(folder / "00000001.part")
    check(write(tmp_path / "x.npy", range(4), made=made), 4)
    assert made == [1, 3]


def test_a_disk_that_is_full_from_the_start(tmp_path, monkeypatch):
    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full_disk)
    with pytest.raises(OSError, match=r"No space left on device: .*x\.npy\.parts"):
        write(tmp_path / "x.npy", [0])
    assert names(tmp_path) == []


def test_joining_names_a_part_that_was_changed_meanwhile(tmp_path):
    refused = pytest.raises(io.SequenceFileError, match=r"x\.npy\.parts, part 1: its rows are not")
    with refused, parted(tmp_path / "x.npy") as output:
        parts = [output.write(i, ["a"], np.zeros((1, COLUMNS)), "") for i in range(2)]
        flip(output.folder / "00000001.part", -3)
        output.join(parts, "")
    assert names(tmp_path) == ["x.npy.parts"]


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"settings": 1}', "[" * 10_000])
def test_a_damaged_manifest_is_named(tmp_path, text):
    folder = stopped(tmp_path / "x.npy", range(4), 3)
    (folder / "manifest.json").write_text(text)
    with pytest.raises(io.SequenceFileError, match=r"manifest\.json cannot be read"):
        write(tmp_path / "x.npy", range(4))
    assert len(list(folder.glob("*.part"))) == 3
    check(write(tmp_path / "x.npy", range(4), resume=False), 4)


def link_among_the_parts(folder):
    (folder / "manifest.json").write_text("{}")
    (folder.parent / "thesis.tex").write_text("mine")
    (folder / "00000000.part").symlink_to(folder.parent / "thesis.tex")


def link_to_a_folder(folder):
    folder.rmdir()
    (folder.parent / "elsewhere").mkdir()
    folder.symlink_to(folder.parent / "elsewhere")


def plain_file(folder):
    folder.rmdir()
    folder.write_text("mine")


def content(folder):
    return [(p.name, p.is_symlink(), p.is_file() and p.read_bytes()) for p in folder.rglob("*")]


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize(
    "make",
    [
        lambda folder: (folder / "thesis.tex").write_text("mine"),
        lambda folder: folder.with_name("x.ids.txt").write_text("mine"),
        link_among_the_parts,
        link_to_a_folder,
        plain_file,
    ],
)
def test_what_is_not_ours_is_refused_and_left_alone(tmp_path, make, resume):
    folder = tmp_path / "x.npy.parts"
    folder.mkdir()
    make(folder)
    before = content(tmp_path)
    with pytest.raises(FileExistsError, match=r"x\.npy\.parts|not written together with x\.npy"):
        write(tmp_path / "x.npy", [0], resume=resume)
    assert content(tmp_path) == before


@pytest.mark.parametrize(
    ("name", "begin"),
    [
        ("x.npy.parts/thesis.tex", lambda: parted("x.npy")),
        ("x.ids.txt", lambda: io.open_embeddings("x.npy")),
        ("bins/thesis.tex", lambda: atomic_folder("bins", check=check_bins_folder)),
    ],
)
def test_what_comes_meanwhile_is_left_alone(tmp_path, monkeypatch, name, begin):
    monkeypatch.chdir(tmp_path)
    Path("bins").mkdir()
    refused = pytest.raises(OSError, match=r"not empty|not written together|holds other")
    with refused, begin() as output:
        Path(name).write_text("mine")
        if name == "x.ids.txt":
            output.write(["a"], np.eye(1))
    assert Path(name).read_text() == "mine"


def test_what_has_another_name_is_not_written_through(tmp_path):
    folder, mine = stopped(tmp_path / "x.npy", range(3), 2), tmp_path / "thesis.tex"
    mine.write_text("mine")
    (folder / "lock").unlink()
    for name in ("rows", "ids", "description", "lock"):
        os.link(mine, folder / name)
    check(write(tmp_path / "x.npy", range(3)), 3)
    assert mine.read_text() == "mine"


def test_one_writer_at_a_time(tmp_path):
    pytest.importorskip("fcntl", reason="locks are those of POSIX")
    with parted(tmp_path / "x.npy") as output:
        part = output.write(0, ["r0.0"], np.zeros((1, COLUMNS)), "")
        with pytest.raises(BlockingIOError, match="Another process is writing"):
            parted(tmp_path / "x.npy").__enter__()
        output.join([part], "")
    check(tmp_path / "x.npy", 1)


def test_a_value_that_the_type_cannot_hold_is_named(tmp_path):
    rows = np.array([[0, 0, 0], [0, 1e6, 0]], dtype="f4")
    message = "embedding of 'b' has a value that float16 cannot hold"
    refused = pytest.raises(ValueError, match=message)
    with refused, parted(tmp_path / "x.npy", dtype=np.dtype("f2")) as output:
        output.write(0, ["a", "b"], rows, "")
    assert names(tmp_path) == []


# Shards


@pytest.mark.parametrize("text", ["", "0/3", "4/3", "1", "1/0", "a/b", "1/2/3", "-1/2", " 1/2"])
def test_bad_shards(text):
    with pytest.raises(ValueError, match="shard must be I/N with I from 1 to N"):
        Shard.parse(text)


def write_shards(folder, count, n, **options):
    shards = [Shard(i, count) for i in range(1, count + 1)]
    return [write(folder / f"{s.index}.npy", range(n), shard=s, **options) for s in shards]


@given(count=st.integers(1, 6), n=st.integers(1, 9), order=st.randoms())
def test_merging_restores_the_order(tmp_path_factory, count, n, order):
    folder = tmp_path_factory.mktemp("merge")
    paths = write_shards(folder, count, n)
    order.shuffle(paths)
    whole = write(folder / "whole.npy", range(n))
    assert io.merge_shards(paths, folder / "all.npy") == n * (n + 1) // 2
    check(folder / "all.npy", n)
    for suffix in (".npy", ".ids.txt", ".manifest.json"):
        merged = (folder / "all.npy").with_suffix(suffix)
        assert merged.read_bytes() == whole.with_suffix(suffix).read_bytes()
    io.merge_shards(paths, folder / "all.tsv")
    check(folder / "all.tsv", n)


def test_what_does_not_belong_together(tmp_path):
    first, second = write_shards(tmp_path, 2, 4)
    output = tmp_path / "all.npy"
    for paths, message in (
        ([first], "Of 2 shards, number 2 is missing"),
        ([first, first, second], "Of 2 shards, number 1 is there twice"),
        ([], "At least one shard"),
        ([first, output], "would overwrite"),
    ):
        with pytest.raises(ValueError, match=message):
            io.merge_shards(paths, output)
    others = {"source": "other", "settings": {"model": "x"}, "shard": Shard(2, 3)}
    for options in ({name: value} for name, value in [*others.items(), ("dtype", np.dtype("f2"))]):
        other = write(tmp_path / "o.npy", range(4), **{"shard": Shard(2, 2), **options})
        with pytest.raises(io.SequenceFileError, match="do not belong together"):
            io.merge_shards([first, other], output)
    assert not output.exists()


def change_ids(path, change):
    ids = path.with_suffix(".ids.txt")
    ids.write_text(change(ids.read_text()))


def infinite_row(path):
    """Damage a row, and let the manifest agree."""
    rows = np.load(path)
    rows[0, 0] = np.inf
    np.save(path, rows)
    place = path.with_suffix(".manifest.json")
    manifest = json.loads(place.read_text())
    manifest["parts"][0]["rows_checksum"] = zlib.crc32(rows[:1].tobytes())
    place.write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (infinite_row, "part 0: a row is not finite"),
        (lambda path: flip(path, -1), "part 2: its rows are not those"),
        (lambda path: flip(path, 128), "part 0: its rows are not those"),
        (lambda path: change_ids(path, lambda t: t[:-1]), "part 2: its identifiers are not"),
        (lambda path: change_ids(path, lambda t: t.replace("r2.1", "r9")), "part 2: its id"),
        (lambda path: change_ids(path, lambda t: t + "more\n"), "part 2: its identifiers"),
        (lambda path: np.save(path, np.zeros((3, 1))), r"has shape \(3, 1\) of float64"),
        (lambda path: np.save(path, np.load(path).astype("f8")), "of float64, where its manifest"),
        (lambda path: os.truncate(path, 150), "is not a complete .npy file"),
    ],
)
def test_merging_names_the_part_that_is_not_what_was_written(tmp_path, damage, message):
    paths = write_shards(tmp_path, 2, 4)
    damage(paths[0])
    with pytest.raises(io.SequenceFileError, match=message):
        io.merge_shards(paths, tmp_path / "all.npy")
    assert not (tmp_path / "all.npy").exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.pop("n_columns"),
        lambda m: m.pop("format"),
        lambda m: m.pop("parts"),
        lambda m: m.update(rows="4"),
        lambda m: m.update(parts=m["parts"][1:]),
        lambda m: m.update(dtype="float1,,6"),
        lambda m: m["settings"].update(shard="x"),
        lambda m: m["parts"][0].update(number=1),
        lambda m: m["parts"][0].update(more=1),
    ],
)
def test_what_is_not_the_manifest_of_a_shard(tmp_path, change):
    paths = write_shards(tmp_path, 2, 4)
    place = paths[0].with_suffix(".manifest.json")
    manifest = json.loads(place.read_text())
    change(manifest)
    place.write_text(json.dumps(manifest))
    with pytest.raises(io.SequenceFileError, match="is not a manifest of dnaembed embed"):
        io.merge_shards(paths, tmp_path / "all.npy")
    place.unlink()
    with pytest.raises(FileNotFoundError):
        io.merge_shards(paths, tmp_path / "all.npy")
