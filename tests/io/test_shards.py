"""Parts of an input: every sequence in exactly one, and back in order."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnaembed.io import SequenceFileError, merge_shards, read_embeddings
from dnaembed.io._resumable import ResumableEmbeddings
from dnaembed.io._shards import Shard

shards = st.integers(1, 9)


def write_part(folder, shard, n, checksum=5, name=None, settings=None):
    """What an embedding of one number a sequence, its place in the input, looks like."""
    rows = np.flatnonzero(shard.mask(0, n))
    path = folder / (name or f"part{shard.index}.npy")
    described = {"shard": str(shard), "model": "m", **(settings or {})}
    with ResumableEmbeddings(path, described, n_columns=1, dtype=np.dtype("f4")) as output:
        ids = "".join(f"r{i}\n" for i in rows).encode()
        output.append(rows[:, None].astype("f4"), ids, input_checksum=checksum)
    return path


@given(shards, st.integers(0, 2000), st.integers(0, 300))
def test_every_sequence_is_in_one_shard(count, start, n):
    masks = [Shard(i, count).mask(start, n) for i in range(1, count + 1)]
    assert (np.sum(masks, axis=0) == 1).all()


@given(shards, st.integers(0, 2000))
def test_size_counts_the_mask(count, n):
    for i in range(1, count + 1):
        assert Shard(i, count).size(n) == Shard(i, count).mask(0, n).sum()


@pytest.mark.parametrize("text", ["", "0/3", "4/3", "1", "1/0", "a/b", "1/2/3", "-1/2", " 1/2"])
def test_bad_shards(text):
    with pytest.raises(ValueError, match="shard must be I/N with I from 1 to N"):
        Shard.parse(text)


@given(count=shards, n=st.integers(0, 700), order=st.randoms())
def test_merge_restores_the_order(tmp_path_factory, count, n, order):
    folder = tmp_path_factory.mktemp("merge")
    paths = [write_part(folder, Shard(i, count), n) for i in range(1, count + 1)]
    order.shuffle(paths)
    if not n:
        return
    assert merge_shards(paths, folder / "all.npy") == n
    ids, rows = read_embeddings(folder / "all.npy")
    assert ids == [f"r{i}" for i in range(n)]
    assert rows[:, 0].tolist() == list(range(n))


def test_what_does_not_belong_together(tmp_path):
    first = write_part(tmp_path, Shard(1, 2), 200)
    second = write_part(tmp_path, Shard(2, 2), 200)
    output = tmp_path / "all.npy"
    with pytest.raises(SequenceFileError, match="Of 2 shards, number 2 is missing"):
        merge_shards([first], output)
    with pytest.raises(SequenceFileError, match="Of 2 shards, number 1 is there twice"):
        merge_shards([first, first, second], output)
    other = write_part(tmp_path, Shard(2, 2), 200, checksum=6, name="o.npy")
    with pytest.raises(SequenceFileError, match="made from different sequences"):
        merge_shards([first, other], output)
    other = write_part(tmp_path, Shard(2, 2), 200, name="o.npy", settings={"model": "x"})
    with pytest.raises(SequenceFileError, match="do not belong together"):
        merge_shards([first, other], output)
    other = write_part(tmp_path, Shard(2, 3), 200, name="o.npy")
    with pytest.raises(SequenceFileError, match="do not belong together"):
        merge_shards([first, other], output)
    other = write_part(tmp_path, Shard(2, 2), 100, name="o.npy")
    with pytest.raises(SequenceFileError, match="not of the same input"):
        merge_shards([first, other], output)
    with pytest.raises(ValueError, match="At least one shard"):
        merge_shards([], output)
    assert not output.exists()


def test_damaged_parts(tmp_path):
    path = write_part(tmp_path, Shard(), 100)
    output = tmp_path / "all.npy"
    ids = path.with_suffix(".ids.txt")
    text = ids.read_text()
    ids.write_text("".join(text.splitlines(keepends=True)[:-1]))
    with pytest.raises(SequenceFileError, match="fewer lines than"):
        merge_shards([path], output)
    ids.write_text(text)
    np.save(path, np.zeros((3, 1)))
    with pytest.raises(SequenceFileError, match=r"has shape \(3, 1\), where its manifest says"):
        merge_shards([path], output)
    manifest = path.with_suffix(".manifest.json")
    for content in ("{", "{}", json.dumps({"settings": {"shard": "x"}})):
        manifest.write_text(content)
        with pytest.raises(SequenceFileError, match="is not the manifest of a shard"):
            merge_shards([path], output)
    manifest.unlink()
    with pytest.raises(FileNotFoundError):
        merge_shards([path], output)
    assert not output.exists()
