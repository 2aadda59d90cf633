"""Bins as folders of FASTA files."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnaembed.io import read_labels, read_sequences, write_bins

IDS = ["a", "b", "c", "d"]
SEQUENCES = ["ACGT" * 50, "GG", "AT", "NN"]


def test_write_bins(tmp_path):
    folder = tmp_path / "bins"
    write_bins(folder, IDS, SEQUENCES, [10, 0, -1, 0])
    assert sorted(p.name for p in folder.iterdir()) == [
        "bin_00.fasta",
        "bin_10.fasta",
        "bins.tsv",
        "contigs.tsv",
    ]
    assert read_sequences(folder / "bin_00.fasta") == (["b", "d"], ["GG", "NN"])
    assert read_sequences(folder / "bin_10.fasta") == (["a"], ["ACGT" * 50])
    assert (folder / "bins.tsv").read_text().splitlines() == [
        "bin\tfile\tsequences\tbases\tn50\tgc",
        "0\tbin_00.fasta\t2\t4\t2\t1.0000",
        "10\tbin_10.fasta\t1\t200\t200\t0.5000",
    ]
    assert read_labels(folder / "contigs.tsv") == {"a": "10", "b": "0", "c": "-1", "d": "0"}


def test_gc_of_unknown_bases_is_nan(tmp_path):
    write_bins(tmp_path / "bins", ["a"], ["NNN"], [0])
    assert (tmp_path / "bins" / "bins.tsv").read_text().endswith("\tnan\n")


def test_nothing_binned(tmp_path):
    write_bins(tmp_path / "bins", IDS, SEQUENCES, np.full(4, -1))
    assert sorted(p.name for p in (tmp_path / "bins").iterdir()) == ["bins.tsv", "contigs.tsv"]


def test_refuses_folders_with_files(tmp_path):
    folder = tmp_path / "bins"
    folder.mkdir()
    write_bins(folder, IDS, SEQUENCES, [0, 0, 1, 1])
    with pytest.raises(FileExistsError, match="holds bins already"):
        write_bins(folder, IDS, SEQUENCES, [0, 0, 0, 0])
    write_bins(folder, IDS, SEQUENCES, [0, 0, 0, 0], overwrite=True)
    assert not (folder / "bin_1.fasta").exists()
    (folder / "thesis.tex").write_text("years of work")
    with pytest.raises(FileExistsError, match=r"other files than bins \(thesis.tex"):
        write_bins(folder, IDS, SEQUENCES, [0, 0, 0, 0], overwrite=True)
    assert (folder / "thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize(
    ("labels", "message"),
    [([0, 1], "one identifier, sequence and label"), ([0.5] * 4, "must be integers")],
)
def test_bad_labels(tmp_path, labels, message):
    with pytest.raises(ValueError, match=message):
        write_bins(tmp_path / "bins", IDS, SEQUENCES, labels)
    assert list(tmp_path.iterdir()) == []


def test_failure_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="tab"):
        write_bins(tmp_path / "bins", ["a\tb"], ["ACGT"], [0])
    assert list(tmp_path.iterdir()) == []


@given(labels=st.lists(st.integers(-1, 12), min_size=1, max_size=20))
def test_every_binned_sequence_is_written_once(tmp_path_factory, labels):
    folder = tmp_path_factory.mktemp("x") / "bins"
    ids = [f"contig_{i}" for i in range(len(labels))]
    write_bins(folder, ids, ["ACGT"] * len(labels), labels)
    found = {}
    for path in folder.glob("bin_*.fasta"):
        for identifier in read_sequences(path)[0]:
            assert identifier not in found
            found[identifier] = int(path.stem.removeprefix("bin_"))
    assert found == {i: n for i, n in zip(ids, labels, strict=True) if n >= 0}
