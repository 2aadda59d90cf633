"""Label tables in and out."""

import gzip
import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnaembed.io import (
    SequenceFileError,
    labels_of,
    read_abundance,
    read_frame,
    read_labels,
    write_labels,
)


@pytest.mark.parametrize(
    "content",
    [
        b"r1\tE. coli\nr2\tV. cholerae\n",
        b"id\tlabel\nr1\tE. coli\nr2\tV. cholerae\n",
        b"read_id\tspecies\nr1\tE. coli\nr2\tV. cholerae\n",
        b"\n \nread_id\tspecies\nr1\tE. coli\nr2\tV. cholerae\n",
        b"#anything\tgoes\nr1\tE. coli\nr2\tV. cholerae\n",
        b"\xef\xbb\xbfid\tlabel\r\nr1\tE. coli\r\n\r\nr2\tV. cholerae",
        gzip.compress(b"r1\t E. coli \nr2\tV. cholerae\n", mtime=0),
        b"id\tlabel\rr1\tE. coli\rr2\tV. cholerae\r",
        b"# one\n# two\nr1\tE. coli\nr2\tV. cholerae\n",
        b'"id"\t"label"\n"r1"\t"E. coli"\n"r2"\tV. cholerae\n',
        b"@Version:1\n@\n\n@@SEQUENCEID\tTAXID\tBINID\nr1\t9\tE. coli\nr2\t8\tV. cholerae\n",
        b"id\tfile\tbin\nr1\tx\tE. coli\nr2\ty\tV. cholerae\n",
        b"@@SEQUENCEID\tTAXID\nr1\tE. coli\nr2\tV. cholerae\n",
        b'# a, b\nid,label\nr1,"E. coli"\nr2, V. cholerae\n',
        b"r1,E. coli\r\nr2,V. cholerae",
        b"contig,x,bin\nr1,1,E. coli\nr2,2,V. cholerae\n",
        b"id,taxid,species,probability\nr1,1,E. coli,0.9\nr2,2,V. cholerae,0.8\n",
    ],
)
def test_read_labels(tmp_path, content):
    path = tmp_path / "labels.tsv"
    path.write_bytes(content)
    assert read_labels(path) == {"r1": "E. coli", "r2": "V. cholerae"}


@pytest.mark.parametrize(
    ("id_column", "label_column", "label"),
    [("Read", "genus", "Vibrio"), (None, "species", "cholerae, O1"), ("read", None, "Vibrio")],
)
@pytest.mark.parametrize("separator", [",", "\t", ";"])
def test_labels_by_the_names_of_columns(id_column, label_column, label, separator):
    rows = ["genus", "read", "species"], ["Vibrio", "r1", '"cholerae, O1"']
    text = "# of a lake\n" + "\n".join(map(separator.join, rows))
    columns = {"id_column": id_column, "label_column": label_column}
    identifier = "r1" if id_column else "Vibrio"
    assert read_labels(io.BytesIO(text.encode()), **columns) == {identifier: label}
    with pytest.raises(SequenceFileError, match="line 2: expected a header with order, got 'genus"):
        read_labels(io.BytesIO(text.encode()), label_column="order")


@pytest.mark.parametrize("suffix", ["", ".tsv", ".csv", ".parquet"])
def test_the_suffix_of_a_table_is_its_format(tmp_path, suffix):
    path, ids = tmp_path / f"calls{suffix}", ["é,1", '"q"', "7"]
    write_labels(path, ids, [1, -1, 2])
    if suffix == ".parquet":
        frame = pd.read_parquet(path)
        assert dict(zip(frame["id"], frame["label"], strict=True)) == {"é,1": 1, '"q"': -1, "7": 2}
        assert frame["label"].dtype.kind == "i"
    else:
        assert read_labels(path) == {"é,1": "1", '"q"': "-1", "7": "2"}
        mark = "," if suffix == ".csv" else "\t"
        assert path.read_text().splitlines()[3] == f"7{mark}2"
    with pytest.raises(ValueError, match=r"\.png: expected \.tsv, \.csv or \.parquet"):
        write_labels(tmp_path / "calls.png", ids, [1, -1, 2])
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"r1,a\nr2,b,c\n", r"line 2: expected 2 columns .*got 3"),
        (b"id,x\nr1," + b"a" * (1 << 18), r"line 2: not valid CSV: field larger"),
        (b"@@SEQUENCEID\tBINID\nr1\ta\tb\n", r"line 2: expected 2 columns .*got 3"),
        (b"r1\t" + b"a" * (1 << 24), r"line 1: longer than 16777216 characters"),
        (b"r1\ta\nr2\tb\tc\n", r"line 2: expected 2 columns .*got 3"),
        (b"id\tgenus\tdepth\nr1\ta\t3\n", r"line 2: expected 2 columns .*got 3"),
        (b"r1\ta\n \tb\n", r"line 2: the identifier is empty"),
        (b">r1 x\nACGT\n", r"line 1: .* got 1; this looks like a file of sequences, not of labels"),
        (b"@r1 x\nacgtn\n+\nIIIII\n", r"line 2: .* got 1; this looks like a file of sequences"),
        (b"id\tlabel\nr1\ta\n\nr1\ta\n", r"line 4: the identifier 'r1' is there twice"),
        ("r1\ta\n".encode("utf-16"), r"line 1: not UTF-8"),
        (gzip.compress(b"r1\ta\nr2\tb\n", mtime=0)[:-9], r"truncated"),
    ],
)
def test_bad_tables_name_the_line(tmp_path, content, message):
    path = tmp_path / "labels.tsv"
    path.write_bytes(content)
    with pytest.raises(SequenceFileError, match=message) as caught:
        read_labels(path)
    assert str(path) in str(caught.value)


def test_missing_labels_are_counted_and_named():
    message = r"x\.tsv: no label for 4 of 5 .*'q', 'r', 's', \.\.\.; the .* is 'r1'\. Leave out"
    with pytest.raises(SequenceFileError, match=message):
        labels_of(["r1", "q", "r", "s", "t"], {"r1": "a"}, where="x.tsv")
    with pytest.raises(SequenceFileError, match="identifiers of both agree"):
        labels_of(["q", "r"], {"r1": "a"})
    with pytest.raises(TypeError, match=r"what the file holds, got 'x\.tsv'"):
        labels_of(["r1"], "x.tsv")


text = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1)


@given(labels=st.dictionaries(text, text, min_size=1))
def test_labels_round_trip(tmp_path_factory, labels):
    path = tmp_path_factory.mktemp("labels") / "labels.tsv"
    write_labels(path, list(labels), list(labels.values()))
    assert read_labels(path) == labels


def test_what_cannot_stand_in_a_table(tmp_path):
    path = tmp_path / "labels.tsv"
    with pytest.raises(ValueError, match="got 1 for 2"):
        write_labels(path, ["a", "b"], np.array([1]))
    for bad in ("a\tb", "a\nb", "a\rb", "\x1b[2J", "\x9b2J", "\x7f", "\udcff"):
        with pytest.raises(ValueError, match="without control characters"):
            write_labels(path, ["r1", bad], [1, 2])
        if bad.isascii() and bad[0] != "a":
            for read, row in ((read_labels, f"r1\t{bad}"), (read_abundance, f"{bad}\t1")):
                with pytest.raises(SequenceFileError, match=r"line 2: control character '\\x"):
                    read(io.BytesIO(f"id\tx\n{row}\n".encode()))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("read", [read_labels, read_abundance])
@pytest.mark.parametrize("line", [b"\n", b" \t \n", b"#\n"])
def test_tables_of_empty_lines_end_soon(read, line):
    with pytest.raises(SequenceFileError, match=r"line \d+: .*\?|line 1: expected a header"):
        read(io.BytesIO(gzip.compress(line * 1_100_000, 1, mtime=0)))


@pytest.mark.parametrize("key", ["r1", "r1 flag=1 len=3", ">r1", "> r1 x", "@r1"])
def test_whole_headers_stand_for_their_first_word(key):
    assert labels_of(["r2", "r1"], {key: "a", "r2": "b"}) == ["b", "a"]
    with pytest.raises(SequenceFileError, match="no label for 1 of 1"):
        labels_of(["r1"], {"r1 a": "a", "r1 b": "b"})


def test_a_frame_of_sequences_and_labels(tmp_path):
    (tmp_path / "reads.fa").write_text(">r1 x\nacgt\n>r2\nGG\n")
    (tmp_path / "labels.csv").write_text("id,species\nr2,b\nr1,a\nr3,c\n")
    frame = read_frame(tmp_path, tmp_path / "labels.csv")
    assert frame.index.name == "id"
    assert frame.to_dict("index") == {
        "r1": {"sequence": "ACGT", "length": 4, "label": "a"},
        "r2": {"sequence": "GG", "length": 2, "label": "b"},
    }
    assert list(read_frame(tmp_path / "reads.fa")) == ["sequence", "length"]
    (tmp_path / "labels.csv").write_text("species,read,genus\nb,r2,d\na,r1,c\n")
    columns = {"id_column": "read", "label_column": "genus"}
    named = read_frame(tmp_path / "reads.fa", tmp_path / "labels.csv", **columns)
    assert named["label"].tolist() == ["c", "d"]
    with pytest.raises(SequenceFileError, match=r"labels: no label for 1 of 2 sequences: 'r2'"):
        read_frame(tmp_path, {"r1": "a"})
