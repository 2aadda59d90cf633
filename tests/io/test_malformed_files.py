"""Files with something wrong; the exact words about each stand in docs/malformed_files.rst."""

import bz2
import contextlib
import gzip
import io
import lzma
import os
import re
import threading
from pathlib import Path

import numpy as np
import pytest

import dnaembed.io
from tests.helpers import zstd

PAGE = Path(__file__).parents[2] / "docs" / "malformed_files.rst"

FASTA = b">r1\nACGT\n>r2\nGGG\n"
FASTQ = b"@r1\nACGT\n+\nIIII\n@r2\nGGG\n+\nIII\n"
# Bases that no compressor gets much shorter, so that a cut is a cut within the data.
LONG = b">r1\n" + np.random.default_rng(0).choice(list(b"ACGT"), 5000).astype(np.uint8).tobytes()


def flip(data):
    """Change a byte in the middle."""
    damaged = bytearray(data)
    damaged[len(damaged) // 2] ^= 0xFF
    return bytes(damaged)


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


PACKED = {
    "gzip": gzip.compress(LONG, mtime=0),
    "bzip2": bz2.compress(LONG),
    "xz": lzma.compress(LONG),
    "zstd": zstd.compress(LONG),
}
ROWS = npy(np.eye(2, dtype=np.float32))
HUGE = ROWS.replace(b"(2, 2), }" + b" " * 10, b"(99999, 9999999), }")
# The contents by what is said to be in the file, by the heading of the table on the page.
CONTENTS = {
    "Sequences": {
        **{f"truncated {name}": data[:-200] for name, data in PACKED.items()},
        **{f"a damaged byte in {name}": flip(data) for name, data in PACKED.items()},
        "bytes after the end of compressed data": bz2.compress(LONG) + b"garbage",
        "compressed twice": gzip.compress(gzip.compress(FASTA), mtime=0),
        "zip, tar, 7z, rar, .Z": b"PK\x03\x04",
        "FASTA, then FASTQ": FASTA + b"@r3\n",
        "FASTQ, then FASTA": FASTQ + FASTA,
        "FASTQ with several lines per sequence": b"@r1\nAC\nGT\n+\nIIII\n",
        "blank lines before, between or after records of FASTQ": (
            b"\n \n" + FASTQ[:16] + b"\r\n\n" + FASTQ[16:] + b"\n\n"
        ),
        "blank lines within a record of FASTQ": FASTQ + b"\n@r3\nACGT\n\n+\nIIII\n",
        "comments that begin with a semicolon": b"; old\n" + FASTA,
        "quality line too short": b"@r1\nACGT\n+\nIII\n",
        "FASTQ cut within a record": FASTQ[:-6],
        "NUL byte in a sequence": b">r1\nAC\0GT\n",
        "NUL byte in an identifier": b">r\0001\nACGT\n",
        "NUL byte in a quality line": b"@r1\nACGT\n+\nII\0I\n",
        "identifier that is not UTF-8 (Latin-1, anything)": b">caf\xe9\nACGT\n",
        "such bytes in the text after an identifier": b">r1 caf\xe9 \xff\nACGT\n",
        "such bytes in a sequence": b">r1\nAC\xe9T\n",
        "UTF-8 byte order mark": b"\xef\xbb\xbf" + FASTA,
        "CRLF line ends": FASTA.replace(b"\n", b"\r\n"),
        "no line end at the end": FASTA[:-1],
        "UTF-16": FASTA.decode().encode("utf-16"),
        "duplicate identifiers": b">r1\nACGT\n>r2\nGG\n>r1\nTTT\n",
        "empty file": b"",
        "nothing but blank lines": b"\n \n\r\n",
        "empty file, compressed": gzip.compress(b"", mtime=0),
        "record without a base": b">r1\nACGT\n>r2\n>r3\nA\n",
        "record without an identifier": b">r1\nACGT\n>\nACGT\n",
        "protein sequences": b">p1\nMKVLE\n",
        "something else": b"Dear reader,\n",
        "SAM": b"@HD\tVN:1.6\n",
        "BAM": gzip.compress(b"BAM\x01\0\0\0\0", mtime=0),
    },
    "Labels": {
        "one column, or three": b"r1 a\n",
        "empty label": b"r1\ta\nr2\t\n",
        "an identifier twice": b"r1\ta\nr2\tb\nr1\tb\n",
        "not UTF-8": b"r1\tcaf\xe9\n",
        "NUL byte": b"r1\ta\0\n",
        "characters that a terminal obeys": b"r1\ta\nr2\t\x1b[2J\n",
        "a million blank lines, or comments": b"\n" * 1_000_002,
        "CR line ends": b"id\tlabel\rr1\tACGT\rr2\tGGG\r",
        "quotes around fields": b'"r1"\t"ACGT"\n"r2"\t"GGG"\n',
        "header of CAMI or AMBER": (
            b"@Version:0.9.1\n\n@@SEQUENCEID\tBINID\tTAXID\nr1\tACGT\t9\nr2\tGGG\t8\n"
        ),
        "no line, or a header alone": b"read_id\tspecies\n",
    },
    "Abundances": {
        "no header": b"c1\t4\t5\n",
        "a line of another length": b"id\ta\tb\nc1\t4\n",
        "no number, or one below 0, infinite or NaN": b"id\ta\nc1\t-1\n",
    },
    "Embeddings": {
        "cut off": ROWS[:-4],
        "header that asks for terabytes": HUGE,
        "pickled objects": npy(np.array([{}], dtype=object)),
        "other bytes after the numbers": ROWS + b"\0",
        "no .npy at all": b"id\tx\n",
        "numbers that are not floating-point": npy(np.eye(2, dtype=int)),
        "more or fewer rows than identifiers": npy(np.eye(3, dtype=np.float32)),
        # Tables, as all after them.
        "table without its header": b"a\t1\t2\nb\t3\t4\n",
        "line of another length": b"id\tx\na\t1\nb\n",
        "no number": b"id\tx\na\tone\n",
    },
}
SUFFIXES = dict.fromkeys(list(CONTENTS["Embeddings"])[-3:], ".tsv")


def cases():
    """Give each line of the page: the reader, what is in the file, what is said (or nothing)."""
    tables, _, _ = PAGE.read_text("utf-8").partition("The file system\n---")
    headings = re.split(r"^(\w+)\n-+\n\n`([\w.]+)`$", tables, flags=re.M)[1:]
    for heading, function, rows in zip(*(headings[i::3] for i in range(3)), strict=True):
        read = getattr(dnaembed.io, function.rpartition(".")[2])
        for title, said in re.findall(r"   \* - (.+)\n     - (.+)", rows)[1:]:
            message = "" if said == "nothing: it is read" else said[2:-2]
            yield pytest.param(heading, title, read, message, id=f"{heading.lower()}: {title}")


CASES = list(cases())


def test_the_page_has_a_line_for_each_file():
    found = [case.values[:2] for case in CASES]
    assert found == [(heading, title) for heading in CONTENTS for title in CONTENTS[heading]]


@pytest.mark.parametrize(("heading", "title", "read", "message"), CASES)
def test_the_exact_message(tmp_path, heading, title, read, message):
    suffix = SUFFIXES.get(title, ".npy") if heading == "Embeddings" else ""
    path = tmp_path / f"x{suffix}"
    path.write_bytes(CONTENTS[heading][title])
    (tmp_path / "x.ids.txt").write_text("a\nb\n")
    if not message:
        found = read(path)
        ids, sequences = found if isinstance(found, tuple) else zip(*found.items(), strict=True)
        assert list(ids) == ["r1", "r2"][: len(ids)]
        assert list(sequences) == ["ACGT", "GGG"][: len(ids)]
        return
    with pytest.raises(dnaembed.io.SequenceFileError) as caught:
        read(path)
    pattern = re.escape(message).replace(re.escape("..."), ".+")
    assert re.fullmatch(pattern.replace("FILE", re.escape(str(path))), str(caught.value))


# The file system


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("content", [PACKED["gzip"][:-200], PACKED["zstd"], FASTA, FASTQ[:-6], b""])
def test_a_pipe_is_read_as_a_file(tmp_path, content):
    path = tmp_path / "pipe"
    os.mkfifo(path)

    def write():
        with contextlib.suppress(BrokenPipeError):
            path.write_bytes(content)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        if content in (FASTA, PACKED["zstd"]):
            assert dnaembed.io.read_sequences(path)[0]
        else:
            with pytest.raises(dnaembed.io.SequenceFileError, match="pipe"):
                dnaembed.io.read_sequences(path)
    finally:
        writer.join()


def test_what_is_no_file_or_may_not_be_read(tmp_path):
    path = tmp_path / "reads.fa"
    with pytest.raises(FileNotFoundError, match=r"No such file or directory: '.*reads\.fa'"):
        dnaembed.io.read_sequences(path)
    for read in (dnaembed.io.read_labels, dnaembed.io.read_abundance):
        with pytest.raises(IsADirectoryError, match=f"Is a directory: '{tmp_path}'"):
            read(tmp_path)
    (tmp_path / "text.md").touch()
    for place, message in ((tmp_path, "the folder holds no FASTA"), (path / "*", "No file match")):
        with pytest.raises(dnaembed.io.SequenceFileError, match=message):
            dnaembed.io.read_sequences(place)
    path.touch(mode=0)
    user = os.geteuid() if hasattr(os, "geteuid") else pytest.skip("needs users as Unix has them")
    os.seteuid(user or 65534)  # not the superuser, who may read everything
    try:
        with pytest.raises(PermissionError, match="Permission denied"):
            dnaembed.io.read_sequences(path)
    finally:
        os.seteuid(user)


@contextlib.contextmanager
def small_files():
    """Let no file grow above 4 kB, as on a full disk."""
    resource = pytest.importorskip("resource", reason="needs limits as Unix has them")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("old", [None, b"what was there"])
@pytest.mark.parametrize("suffix", [".npy", ".tsv", ".parquet"])
def test_an_output_that_does_not_fit_leaves_nothing(tmp_path, suffix, old):
    path = tmp_path / f"x{suffix}"
    if old is not None:
        path.write_bytes(old)
    before = {place: place.read_bytes() for place in tmp_path.iterdir()}
    ids = [f"r{i}" for i in range(3000)]
    rows, bins = np.random.default_rng(0).random((3000, 4)), ["ACGT"] * 3000
    for name, write in {
        path.name: lambda: dnaembed.io.write_embeddings(path, ids, rows),
        "labels.tsv": lambda: dnaembed.io.write_labels(tmp_path / "labels.tsv", ids, ids),
        "bins.tsv": lambda: dnaembed.io.write_bins(tmp_path / "bins", ids, bins, [0] * 3000),
    }.items():
        with small_files(), pytest.raises(OSError, match=f"File too large: .*{name}'"):
            write()
        assert {place: place.read_bytes() for place in tmp_path.iterdir()} == before


# Size


@pytest.mark.parametrize("size", [1_000_000, pytest.param(100_000_000, marks=pytest.mark.slow)])
def test_a_line_of_any_length(size):
    bases = b"ACGT" * (size // 4)
    (record,) = dnaembed.io.iter_sequences(io.BytesIO(b">r1\n" + bases + b"\n"))
    assert len(record[1]) == size
    (record,) = dnaembed.io.iter_sequences(io.BytesIO(b"@r1\n" + bases + b"\n+\n" + bases + b"\n"))
    assert len(record[1]) == size
    for content in (
        b">" + bases + b"*\n*\n",  # as an identifier
        b">r1\n" + bases + b"*\n",
        bases,
        b"# x\n" + bases,
        b"@r1\n" + bases + b"\n",
        b">r1\nA\n>r1" + bases + b"\nA\n>r1" + bases + b"\nA\n",
    ):
        with pytest.raises(dnaembed.io.SequenceFileError) as caught:
            list(dnaembed.io.iter_sequences(io.BytesIO(content)))
        assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("n", [20_000, pytest.param(10_000_000, marks=pytest.mark.slow)])
def test_records_of_any_number(tmp_path, n):
    path = tmp_path / "reads.fa"
    with path.open("wb") as file:
        for start in range(0, n, 100_000):
            numbers = range(start, min(start + 100_000, n))
            file.write(b"".join(b">%d\nA\n" % i for i in numbers))
    assert sum(1 for _ in dnaembed.io.iter_sequences(path)) == n
    with path.open("ab") as file:
        file.write(b">7\nA\n")
    message = f"record number 8 and record number {n + 1} have .* '7'"
    with pytest.raises(dnaembed.io.SequenceFileError, match=message):
        sum(1 for _ in dnaembed.io.iter_sequences(path))
