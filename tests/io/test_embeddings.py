"""Embedding files, whole and in pieces."""

import io
import sys

import numpy as np
import pandas as pd
import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pyarrow import parquet

from dnaembed.io import SequenceFileError, open_embeddings, read_embeddings, write_embeddings

SUFFIXES = [".npy", ".tsv", ".parquet", ".csv"]


@pytest.mark.parametrize("suffix", SUFFIXES)
@given(
    embeddings=arrays(
        np.float32,
        st.tuples(st.integers(1, 6), st.integers(1, 12)),
        elements=st.floats(allow_nan=False, allow_infinity=False, width=32),
    ),
    cut=st.integers(0, 6),
)
def test_round_trip_in_pieces(tmp_path_factory, suffix, embeddings, cut):
    path = tmp_path_factory.mktemp("x") / f"reads{suffix}"
    ids = [f"read_{i}" for i in range(len(embeddings))]
    with open_embeddings(path) as writer:
        for piece in (slice(0, cut), slice(cut, None)):
            writer.write(ids[piece], embeddings[piece])
    read_ids, read = read_embeddings(path)
    assert read_ids == ids
    np.testing.assert_array_equal(read, embeddings)
    assert read.dtype == np.float32


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_npy_keeps_the_type_and_its_header_grows(tmp_path, dtype):
    with open_embeddings(tmp_path / "x.npy") as writer:
        for i in range(1234):
            writer.write([str(i)], np.full((1, 3), i, dtype))
    loaded = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert (loaded.shape, loaded.dtype) == ((1234, 3), dtype)
    np.testing.assert_array_equal(loaded[:, 1], np.arange(1234))
    assert (tmp_path / "x.ids.txt").read_text().startswith("0\n1\n")


def test_tables_have_names(tmp_path):
    write_embeddings(tmp_path / "x.tsv", ["a"], np.array([[0.1, 2]], np.float32))
    assert (tmp_path / "x.tsv").read_text() == "id\tembedding_0\tembedding_1\na\t0.1\t2.0\n"
    write_embeddings(tmp_path / "x.parquet", ["a"], np.array([[0.5, 2]], np.float32))
    frame = pd.read_parquet(tmp_path / "x.parquet")
    assert frame.to_dict("list") == {"id": ["a"], "embedding_0": [0.5], "embedding_1": [2.0]}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_failure_leaves_nothing_new(tmp_path, suffix, error):
    path = tmp_path / f"reads{suffix}"
    write_embeddings(path, ["old"], np.zeros((1, 2)))
    before = {p: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(error), open_embeddings(path) as writer:  # noqa: PT012
        writer.write(["new"], np.ones((1, 2)))
        raise error
    assert {p: p.read_bytes() for p in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        ([], "No embedding was written"),
        ([(["a"], np.zeros((2, 2)))], "one row per identifier"),
        ([(["a", "b"], np.zeros(2))], "one row per identifier"),
        ([(["a\tb"], np.zeros((1, 2)))], "without control characters"),
        ([(["\x1b"], np.zeros((1, 2)))], "without control characters"),
        ([([""], np.zeros((1, 2)))], "An identifier is empty"),
        ([(["a"], np.zeros((1, n))) for n in (2, 3)], "Expected 2 columns as before, got 3"),
    ],
)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_bad_pieces(tmp_path, pieces, message, suffix):
    refused = pytest.raises(ValueError, match=message)
    with refused, open_embeddings(tmp_path / f"x{suffix}") as writer:
        for piece in pieces:
            writer.write(*piece)
    assert list(tmp_path.iterdir()) == []


def test_unknown_suffix(tmp_path):
    for call in (read_embeddings, lambda path: write_embeddings(path, ["a"], np.zeros((1, 2)))):
        with pytest.raises(ValueError, match=r"expected \.npy, \.tsv, \.csv or \.parquet"):
            call(tmp_path / "x.png")
    with pytest.raises(TypeError, match="path of a file, got list"):
        write_embeddings(["a"], "x.npy", np.zeros((1, 2)))


def test_missing_dependency_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r'pip install "dnaembed\[parquet\]"'):
        write_embeddings(tmp_path / "x.parquet", ["a"], np.zeros((1, 2)))
    assert list(tmp_path.iterdir()) == []


def parquet_file(columns):
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), buffer)
    return buffer.getvalue()


NO_NUMBER = "a value is missing or no floating-point number"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.tsv", b"", "holds no embedding"),
        ("x.tsv", b"id\tx\n", "holds no embedding"),
        ("x.tsv", b"id\tx\n\t1\n", "line 2: the identifier is empty"),
        ("x.ids.txt", b"a\x1b\nb\n", "without control characters"),
        ("x.ids.txt", b"a\n", r"1 identifiers do not fit .*\(2, 2\)"),
        ("x.ids.txt", b"a\n\xff\n", r"x\.ids\.txt: not UTF-8 text"),
        ("x.ids.txt", b"a\n\n", r"x\.ids\.txt, line 2: the identifier is empty"),
        ("x.ids.txt", b"", r"x\.ids\.txt, line 1: the identifier is empty"),
        ("x.parquet", b"text", r"not a \.parquet file"),
        ("x.parquet", parquet_file({"id": ["a"] * 9999, "x": [1.0] * 9999}), "promises more rows"),
        ("x.parquet", parquet_file({"x": [1.0]}), "needs a column 'id'"),
        ("x.parquet", parquet_file({"id": ["a", None], "x": [1.0, 2.0]}), NO_NUMBER),
        ("x.parquet", parquet_file({"id": ["a", "b"], "x": [1.0, None]}), NO_NUMBER),
        ("x.parquet", parquet_file({"id": ["a", "b"], "x": ["1", "2"]}), NO_NUMBER),
        ("x.parquet", parquet_file({"id": ["a", "b"], "x": [[1.0], [2.0]]}), NO_NUMBER),
    ],
)
def test_damaged_files(tmp_path, name, content, message):
    write_embeddings(tmp_path / "x.npy", ["a", "b"], np.zeros((2, 2)))
    (tmp_path / name).write_bytes(content)
    path = tmp_path / name.replace(".ids.txt", ".npy")
    with pytest.raises(SequenceFileError, match=message):
        read_embeddings(path)
    (tmp_path / name).unlink()
    with pytest.raises(FileNotFoundError):
        read_embeddings(path)
