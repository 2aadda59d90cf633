import gzip
import io

import numpy as np
import pytest

from dnaembed.io import SequenceFileError, abundance_of, read_abundance


def read(text):
    return read_abundance(io.BytesIO(text.encode()))


def test_table_and_its_order(tmp_path):
    path = tmp_path / "coverage.tsv.gz"
    path.write_bytes(
        gzip.compress(b"contig\tgut\tskin\r\n c1 \t1\t2.5\r\n\r\nc2\t0\t1e3\r\n", mtime=0)
    )
    table = read_abundance(path)
    assert list(table) == ["c1", "c2"]
    np.testing.assert_array_equal(abundance_of(["c2", "c1"], table), [[0, 1000], [1, 2.5]])


def test_jgi_table():
    header = "contigName\tcontigLen\ttotalAvgDepth\ta.bam\ta.bam-var\tb.bam\tb.bam-var"
    table = read(f"{header}\nc1\t5000\t7\t3\t0.1\t4\t0.2\n")
    assert table["c1"].tolist() == [3, 4]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: expected a header with an identifier and one column a sample"),
        ("contig\n", "expected a header with an identifier and one column"),
        ("contig\ta\n", "holds no contig"),
        ("c1\t1\t2\nc2\t1\t2\n", "line 1: expected a header that names the samples"),
        ("contig\ta\nc1\t1\t2\n", "line 2: expected 2 columns as in the header, got 3"),
        ("contig\ta\nc1\t1\nc1\t2\n", "line 3: identifier 'c1' comes twice"),
        ("contig\ta\n\t1\n", "line 2: the identifier is empty"),
        ("contig\ta\nc1\t-1\n", "line 2, column 'a': expected a number of at least 0, got '-1'"),
        ("contig\ta\nc1\tnan\n", "line 2, column 'a': expected a number of at least 0, got 'nan'"),
        ("contig\ta\nc1\tinf\n", "expected a number of at least 0, got 'inf'"),
        ("contig\ta\nc1\t\n", "expected a number of at least 0, got ''"),
    ],
)
def test_bad_tables(text, message):
    with pytest.raises(SequenceFileError, match=message):
        read(text)


def test_missing_contigs_are_named():
    with pytest.raises(SequenceFileError, match=r"cov.tsv: no line for 1 of 2 sequences: 'x'"):
        abundance_of(["c1", "x"], {"c1": np.ones(2)}, where="cov.tsv")
