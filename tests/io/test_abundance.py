import gzip
import io

import numpy as np
import pytest

from dnaembed.io import SequenceFileError, abundance_of, read_abundance


def read(text):
    return read_abundance(io.BytesIO(text.encode()))


def test_table_and_its_order():
    text = b"contig\tgut\tskin\r\n c1 \t1\t2.5\r\n\r\nc2\t0\t1e3\r\n"
    table = read_abundance(io.BytesIO(gzip.compress(text, mtime=0)))
    assert list(table) == ["c1", "c2"]
    np.testing.assert_array_equal(abundance_of(["c2", "c1"], table), [[0, 1000], [1, 2.5]])
    with pytest.raises(SequenceFileError, match=r"cov.tsv: no line for 1 .* 'x'; .* is 'c1'"):
        abundance_of(["c1", "x"], table, where="cov.tsv")


@pytest.mark.parametrize(
    ("text", "samples"),
    [
        (
            "contigName\tcontigLen\ttotalAvgDepth\ta.bam\ta.bam-var\tb.bam\tb.bam-var\n"
            "c1 flag=1\t5000\t9\t7\t0.1\t4\t0.2\n",
            ["a.bam", "b.bam"],
        ),
        ("#ID\tAvg_fold\tLength\tRef_GC\tCovered_percent\nc1\t7\t2000\t0.5\t99\n", ["depth"]),
        (
            "#rname\tstartpos\tendpos\tnumreads\tcovbases\tcoverage\tmeandepth\tmeanbaseq\t"
            "meanmapq\nc1\t1\t2000\t93\t2000\t100\t7\t35\t60\n",
            ["depth"],
        ),
        ("Contig\ta.bam Mean\ta.bam Length\tb.bam Mean\nc1\t7\t2000\t8\n", ["a.bam", "b.bam"]),
        ("Contig\ta.bam Trimmed Mean\ta.bam RPKM\nc1\t7\t2000\n", ["a.bam"]),
        ("chrom\tlength\tbases\tmean\tmin\tmax\nc1\t2000\t9\t7\t0\t30\n", ["depth"]),
        ("#seq_name\tlength\tcov.\tcirc.\nc1\t2000\t7\tN\n", ["depth"]),
        ("c1\t7\nc2\t8\n", ["depth"]),  # strobealign --aemb
        ("contig\tcoverage\nc1\t7\n", ["coverage"]),
    ],
    ids=["jgi", "pileup", "samtools", "coverm", "trimmed", "mosdepth", "flye", "aemb", "plain"],
)
def test_tables_of_tools(tmp_path, text, samples):
    path = tmp_path / "depth.txt"
    path.write_text(text)
    table = read_abundance(path)
    assert table.samples == samples
    assert table["c1"][0] == 7


def test_several_tables_are_joined_by_name(tmp_path):
    for name, text in (("a", "c1\t1\nc2\t2\n"), ("b", "c3\t4\nc2\t3\n"), ("c", "x\t1\n")):
        (tmp_path / f"{name}.tsv").write_text(text)
    a, b, c = sorted(tmp_path.iterdir())
    table = read_abundance([a, b])
    assert table.samples == ["a", "b"]
    found = {name: values.tolist() for name, values in table.items()}
    assert found == {"c1": [1, 0], "c2": [2, 3], "c3": [0, 4]}
    with pytest.raises(SequenceFileError, match="Two tables of coverage have a sample 'a'"):
        read_abundance([a, b, a])
    with pytest.raises(SequenceFileError, match=r"has no contig of .*a.tsv: its first is 'x'"):
        read_abundance([a, c])


def test_depth_of_bam(tmp_path):
    pysam = pytest.importorskip("pysam")
    header = {"HD": {"VN": "1.6"}, "SQ": [{"SN": "c1", "LN": 100}, {"SN": "c2", "LN": 50}]}
    with pysam.AlignmentFile(tmp_path / "gut.bam", "wb", header=header) as file:
        reads = [(0, 0, 40), (16, 0, 60), (4, -1, 30), (256, 1, 30), (1024, 1, 9)]
        for flag, contig, length in reads:
            read = pysam.AlignedSegment(file.header)
            read.query_name, read.flag, read.reference_id = "r", flag, contig
            read.query_sequence = "A" * length
            if contig >= 0:
                read.reference_start, read.cigarstring = 5, f"{length}M"
            file.write(read)
    table = read_abundance(tmp_path / "gut.bam")
    assert table.samples == ["gut"]
    assert {name: values.tolist() for name, values in table.items()} == {"c1": [1], "c2": [0]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: expected a header with an identifier and one column per sample"),
        ("contig\ta\n", "holds no contig"),
        ("contig\ta\ta\nc1\t1\t2\n", "line 1: two columns are of a sample 'a'"),
        ("#Name\tLength\tCoverage\tFPKM\n", "line 1: not all columns are mean coverages"),
        ("contig\ta\tgc" * 99 + "\n", r"columns are mean coverages of .{,300}, \.\.\.\. Keep"),
        ("Contig\ta.bam Length\ta.bam TPM\n", "line 1: not all columns are mean coverages"),
        ("contig\ta\nc1\t1\nc1\t2\n", "line 3: the identifier 'c1' is there twice"),
        ("contig\ta\n\t1\n", "line 2: the identifier is empty"),
        ("contig\ta\nc1\tnan\n", "line 2, column 'a': expected a number of at least 0, got 'nan'"),
        ("contig\ta\nc1\t\n", "expected a number of at least 0, got ''"),
    ],
)
def test_bad_tables(text, message):
    with pytest.raises(SequenceFileError, match=message):
        read(text)
