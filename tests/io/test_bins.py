"""Bins as folders of FASTA files."""

import gzip

import numpy as np
import pandas as pd
import pytest

from dnaembed.io import SequenceFileError, read_labels, read_sequences, write_bins
from dnaembed.io._bins import Contigs, circular_contigs, read_contigs

IDS = ["a", "b", "c", "d"]
SEQUENCES = ["ACGT" * 50, "GG", "AT", "NN"]


def test_write_bins(tmp_path):
    folder = tmp_path / "bins"
    write_bins(folder, IDS, SEQUENCES, [10, 0, -1, 0])
    files = "bin_00.fasta bin_10.fasta bins.tsv cami.binning contigs.tsv contigs2bin.tsv"
    assert sorted(p.name for p in folder.iterdir()) == [*files.split(), "unbinned.fasta"]
    assert read_sequences(folder / "unbinned.fasta") == (["c"], ["AT"])
    assert read_sequences(folder / "bin_00.fasta") == (["b", "d"], ["GG", "NN"])
    assert read_sequences(folder / "bin_10.fasta") == (["a"], ["ACGT" * 50])
    assert (folder / "bins.tsv").read_text().splitlines() == [
        "bin\tfile\tsequences\tbases\tn50\tgc\tgc_sd\tcircular\tconfidence",
        "0\tbin_00.fasta\t2\t4\t2\t1.0000\t0.0000\tno\t",
        "10\tbin_10.fasta\t1\t200\t200\t0.5000\t0.0000\tno\t",
    ]
    assert read_labels(folder / "contigs.tsv") == {"a": "10", "b": "0", "c": "-1", "d": "0"}
    found = {"a": "bin_10", "b": "bin_00", "d": "bin_00"}
    assert read_labels(folder / "cami.binning") == read_labels(folder / "contigs2bin.tsv") == found


def test_what_is_known_of_contigs_and_bins(tmp_path):
    frame = pd.DataFrame([[4.0], [1.0], [np.nan], [2.0]], columns=["gut"])
    write_bins(
        tmp_path / "bins",
        IDS,
        ["ggnnaa" * 30, "GC", "at", "aatt"],
        [0, 1, -1, 1],
        headers=["a circular=Y", "b", "c d", "d"],
        confidence=[1.0, 0.9, np.nan, 0.3],
        reasons=["", "", "too short", ""],
        abundance=frame,
        circular=[True, True, False, False],
        compress=True,
    )
    with gzip.open(tmp_path / "bins" / "bin_0.fasta.gz", "rt") as file:
        lines = file.read().splitlines()
    assert lines[0] == ">a circular=Y"
    assert "".join(lines[1:]) == "ggnnaa" * 30  # letter by letter
    rows = (tmp_path / "bins" / "bins.tsv").read_text().splitlines()
    assert rows[0].endswith("\tconfidence\tcoverage gut")
    assert rows[1:] == [
        "0\tbin_0.fasta.gz\t1\t180\t180\t0.5000\t0.0000\tyes\t1.000\t4",
        "1\tbin_1.fasta.gz\t2\t6\t4\t0.3333\t0.4714\tno\t0.500\t1.667",
    ]
    lines = (tmp_path / "bins" / "contigs.tsv").read_text().splitlines()
    assert lines[3:] == ["c\t-1\t\ttoo short", "d\t1\t0.300\t"]


def test_records_as_they_are(tmp_path):
    (tmp_path / "a.fa").write_text(">x len=9 circular=Y\nacRYn\n-CU\n>y\nACGT\n")
    headers, records = ["x len=9 circular=Y", "y"], ["acRYn-CU", "ACGT"]
    expected = Contigs(["x", "y"], ["ACNNNCT", "ACGT"], headers, records)
    assert read_contigs(tmp_path / "a.fa") == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("s0.ctg000001c", True),  # hifiasm-meta
        ("ptg000012c", True),
        ("ptg000012l", False),
        ("u7ctg_len-5209436_circular-yes_depth-10-10-9_duplicated-no", True),  # myloasm
        ("u7ctg_len-5209436_circular-no_depth-10-10-9_duplicated-no", False),
        ("u7ctg_len-5209436_circular-possibly_depth-10-10-9_duplicated-no", False),
        ("ctg12 length=3000 coverage=5 circular=yes", True),  # metaMDBG
        ("ctg12 length=3000 coverage=5 circular=no", False),
        ("ctg12c", True),  # older
        ("tig1 suggestCircular=yes", True),  # Canu
        ("1 length=30 depth=1x circular=true", True),  # Unicycler
        ("contig_1", False),
        ("c1 circulating phage", False),
    ],
)
def test_circular_contigs(header, expected):
    contigs = Contigs([header.split()[0]], ["A"], [header], ["A"])
    assert circular_contigs(contigs).tolist() == [expected]


def test_circular_contigs_of_a_list_and_of_flye(tmp_path):
    contigs = Contigs(["a", "b"], ["A", "C"], ["a", "b"], ["A", "C"])
    path = tmp_path / "info.txt"
    for text in ("b\n", "#seq_name\tlength\tcov.\tcirc.\na\t9\t5\tN\nb\t9\t5\tY\n"):
        path.write_text(text)
        assert circular_contigs(contigs, path).tolist() == [False, True]
    path.write_text("c\n")
    with pytest.raises(SequenceFileError, match="names none of the contigs as circular"):
        circular_contigs(contigs, path)


def test_nothing_binned_and_nothing_known(tmp_path):
    write_bins(tmp_path / "a", IDS, SEQUENCES, np.full(4, -1))
    assert not list((tmp_path / "a").glob("bin_*"))
    assert read_sequences(tmp_path / "a" / "unbinned.fasta") == (IDS, SEQUENCES)
    write_bins(tmp_path / "b", ["a"], ["NNN"], [0])
    assert (tmp_path / "b" / "bins.tsv").read_text().splitlines()[1].split("\t")[5] == "nan"


@pytest.mark.parametrize("foreign", ["thesis.tex", "bin_0.fasta/thesis.tex"])
def test_refuses_folders_with_files(tmp_path, foreign):
    folder = tmp_path / "bins"
    folder.mkdir()
    write_bins(folder, IDS, SEQUENCES, [0, 0, 1, 1])
    with pytest.raises(FileExistsError, match="holds bins already"):
        write_bins(folder, IDS, SEQUENCES, [1, 1, 1, 1])
    write_bins(folder, IDS, SEQUENCES, [1, 1, 1, 1], overwrite=True)
    assert not (folder / "bin_0.fasta").exists()
    (folder / foreign).parent.mkdir(exist_ok=True)
    (folder / foreign).write_text("years of work")
    with pytest.raises(FileExistsError, match=f"other files than bins .{foreign.split('/')[0]}"):
        write_bins(folder, IDS, SEQUENCES, [1, 1, 1, 1], overwrite=True)
    assert (folder / foreign).read_text() == "years of work"


@pytest.mark.parametrize(
    ("ids", "labels", "message"),
    [
        (IDS, [0, 1], "one identifier, sequence and label"),
        (IDS, [0.5] * 4, "must be integers"),
        (["a\tb", "b", "c", "d"], [0] * 4, "without control characters"),
    ],
)
def test_bad_input_leaves_nothing(tmp_path, ids, labels, message):
    with pytest.raises(ValueError, match=message):
        write_bins(tmp_path / "bins", ids, SEQUENCES, labels)
    assert list(tmp_path.iterdir()) == []
