"""Files with something wrong, and the exact words about each: the table of the documentation.

``python -m tests.io.test_malformed_files`` writes that table anew.
"""

import bz2
import contextlib
import gzip
import io
import lzma
import os
import re
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from dnaembed.io import (
    SequenceFileError,
    iter_sequences,
    read_abundance,
    read_embeddings,
    read_labels,
    read_sequences,
    write_embeddings,
    write_labels,
)
from tests.helpers import zstd

PAGE = Path(__file__).parents[2] / "docs" / "malformed_files.rst"

FASTA = b">r1\nACGT\n>r2\nGGG\n"
FASTQ = b"@r1\nACGT\n+\nIIII\n@r2\nGGG\n+\nIII\n"
# Bases that no compressor gets much shorter, so that a cut is a cut within the data.
LONG = b">r1\n" + np.random.default_rng(0).choice(list(b"ACGT"), 5000).astype(np.uint8).tobytes()


@dataclass(frozen=True)
class Case:
    """What is wrong with a file, and what is said about it: nothing, if it is read.

    ``FILE`` stands for its path, ``...`` for words of another library.
    """

    title: str
    content: bytes
    message: str
    name: str = "file"


def flip(data):
    """Change a byte in the middle."""
    damaged = bytearray(data)
    damaged[len(damaged) // 2] ^= 0xFF
    return bytes(damaged)


PACKED = {
    "gz": ("gzip", gzip.compress(LONG, mtime=0)),
    "bz2": ("bzip2", bz2.compress(LONG)),
    "xz": ("xz", lzma.compress(LONG)),
    "zst": ("zstd", zstd.compress(LONG)),
}
TRUNCATED = "FILE is truncated: its {} data ends before its end mark. Copy or download it again."
DAMAGED = "FILE is damaged: its {} data cannot be read (...)."
TRAILING = "FILE has other bytes after the end of its bz2 data; remove them."
FASTQ_ENDS = "FILE, line {}: not valid FASTQ after {} good records: ..."
LINES = " FASTQ with several lines per sequence is not read."
NOT_DNA = (
    "FILE, record '{}' (number {}): {!r} at position {} is not a DNA base. Expected A, C, G, T, U, "
    "IUPAC codes (RYSWKMBDHVN) or gaps (- .), in any case.{}"
)
MIXED = " Does the file mix FASTA and FASTQ?"
PROTEIN = " Is this a protein sequence?"
OUTSIDE = " The character is a byte outside ASCII: is the file damaged?"
BAD_ID = "FILE, record number 1: identifier {!r} has a character that is not printable ASCII."
BAD_QUALITY = "FILE, record number 1: the quality line has a character that is not printable ASCII."
TWICE = (
    "FILE, record number 1 and record number 3 have the same identifier 'r1'. Use "
    'duplicate_ids="allow" to keep both.'
)
EMPTY = (
    "FILE, record 'r2' (number 2) is empty: at least one base is required. Records without a base "
    "can be left out with skip_empty=True."
)
NEITHER = "FILE is neither FASTA nor FASTQ: it starts with {!r}, where '>' or '@' is expected."
NOTHING = "FILE holds no sequence."

SEQUENCES = [
    *(Case(f"truncated {n}", d[:-200], TRUNCATED.format(f)) for f, (n, d) in PACKED.items()),
    *(Case(f"a damaged byte in {n}", flip(d), DAMAGED.format(f)) for f, (n, d) in PACKED.items()),
    Case("bytes after the end of compressed data", bz2.compress(LONG) + b"garbage", TRAILING),
    Case(
        "compressed twice",
        gzip.compress(gzip.compress(FASTA), mtime=0),
        "FILE is compressed twice; decompress it once.",
    ),
    Case("zip, tar, 7z, rar, .Z", b"PK\x03\x04", "FILE is a zip file; unpack it first."),
    Case("FASTA, then FASTQ", FASTA + b"@r3\n", NOT_DNA.format("r2", 2, "@", 4, MIXED)),
    Case("FASTQ, then FASTA", FASTQ + FASTA, FASTQ_ENDS.format(9, 2)),
    Case(
        "FASTQ with several lines per sequence",
        b"@r1\nAC\nGT\n+\nIIII\n",
        FASTQ_ENDS.format(3, 0) + LINES,
    ),
    Case("blank lines at the start or end of FASTQ", b"\n \n" + FASTQ + b"\n\n", ""),
    Case("blank lines between records of FASTQ", FASTQ + b"\n" + FASTQ, FASTQ_ENDS.format(9, 2)),
    Case("comments that begin with a semicolon", b"; old\n" + FASTA, ""),
    Case("quality line too short", b"@r1\nACGT\n+\nIII\n", FASTQ_ENDS.format(4, 0)),
    Case("FASTQ cut within a record", FASTQ[:-6], FASTQ_ENDS.format(7, 1)),
    Case("NUL byte in a sequence", b">r1\nAC\0GT\n", NOT_DNA.format("r1", 1, "\0", 3, "")),
    Case("NUL byte in an identifier", b">r\0001\nACGT\n", BAD_ID.format("r\x001")),
    Case("NUL byte in a quality line", b"@r1\nACGT\n+\nII\0I\n", BAD_QUALITY),
    Case(
        "identifier that is not ASCII (UTF-8, Latin-1, anything)",
        b">caf\xe9\nACGT\n",
        BAD_ID.format("caf?"),
    ),
    Case("such bytes in the text after an identifier", b">r1 caf\xe9 \xff\nACGT\n", ""),
    Case("such bytes in a sequence", b">r1\nAC\xe9T\n", NOT_DNA.format("r1", 1, "?", 3, OUTSIDE)),
    Case("UTF-8 byte order mark", b"\xef\xbb\xbf" + FASTA, ""),
    Case("CRLF line ends", FASTA.replace(b"\n", b"\r\n"), ""),
    Case("no line end at the end", FASTA[:-1], ""),
    Case(
        "UTF-16", FASTA.decode().encode("utf-16"), "FILE is UTF-16 text; save it as ASCII or UTF-8."
    ),
    Case("duplicate identifiers", b">r1\nACGT\n>r2\nGG\n>r1\nTTT\n", TWICE),
    Case("empty file", b"", NOTHING),
    Case("nothing but blank lines", b"\n \n\r\n", NOTHING),
    Case("empty file, compressed", gzip.compress(b"", mtime=0), NOTHING),
    Case("record without a base", b">r1\nACGT\n>r2\n>r3\nA\n", EMPTY),
    Case(
        "record without an identifier",
        b">r1\nACGT\n>\nACGT\n",
        "FILE, record number 2: the header has no identifier.",
    ),
    Case("protein sequences", b">p1\nMKVLE\n", NOT_DNA.format("p1", 1, "L", 4, PROTEIN)),
    Case("something else", b"Dear reader,\n", NEITHER.format("Dear reader,")),
    Case("SAM", b"@HD\tVN:1.6\n", "FILE is SAM; convert it first: samtools fastq."),
    Case(
        "BAM",
        gzip.compress(b"BAM\x01\0\0\0\0", mtime=0),
        "FILE is BAM; convert it first: samtools fastq.",
    ),
]

COLUMNS = "FILE, line {}: expected {} columns, got {}."
CONTROL = "FILE, line {}: control character {!r}; is this a table?"
LABELS = [
    Case(
        "one column, or three",
        b"r1 a\n",
        "FILE, line 1: expected 2 columns separated by a tab (identifier and label), got 1.",
    ),
    Case("empty label", b"r1\ta\nr2\t\n", "FILE, line 2: the label is empty."),
    Case(
        "an identifier twice",
        b"r1\ta\nr2\tb\nr1\tb\n",
        "FILE, line 3: identifier 'r1' is there twice.",
    ),
    Case("not UTF-8", b"r1\tcaf\xe9\n", "FILE, line 1: not UTF-8 text."),
    Case("NUL byte", b"r1\ta\0\n", CONTROL.format(1, "\0")),
    Case("characters that a terminal obeys", b"r1\ta\nr2\t\x1b[2J\n", CONTROL.format(2, "\x1b")),
    Case(
        "a million blank lines, or comments",
        b"\n" * 1_000_002,
        "FILE, line 1000002: more than 1,000,000 blank lines so far; is this a table?",
    ),
    Case("CR line ends", b"id\tlabel\rr1\tACGT\rr2\tGGG\r", ""),
    Case("quotes around fields", b'"r1"\t"ACGT"\n"r2"\t"GGG"\n', ""),
    Case(
        "header of CAMI or AMBER",
        b"@Version:0.9.1\n\n@@SEQUENCEID\tBINID\tTAXID\nr1\tACGT\t9\nr2\tGGG\t8\n",
        "",
    ),
    Case("no line, or a header alone", b"read_id\tspecies\n", "FILE holds no label."),
]

ABUNDANCES = [
    Case(
        "no header",
        b"c1\t4\t5\n",
        "FILE, line 1: expected a header that names the samples, got numbers.",
    ),
    Case("a line of another length", b"id\ta\tb\nc1\t4\n", COLUMNS.format(2, 3, 2)),
    Case(
        "no number, or one below 0, infinite or NaN",
        b"id\ta\nc1\t-1\n",
        "FILE, line 2, column 'a': expected a number of at least 0, got '-1'.",
    ),
]


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


ROWS = npy(np.eye(2, dtype=np.float32))
HUGE = ROWS.replace(b"(2, 2), }" + b" " * 10, b"(99999, 9999999), }")
NPY = "FILE is not a complete .npy file: ..."

EMBEDDINGS = [
    Case("cut off", ROWS[:-4], NPY, "x.npy"),
    Case("header that asks for terabytes", HUGE, NPY, "x.npy"),
    Case("pickled objects", npy(np.array([{}], dtype=object)), NPY, "x.npy"),
    Case("other bytes after the numbers", ROWS + b"\0", NPY, "x.npy"),
    Case("no .npy at all", b"id\tx\n", NPY, "x.npy"),
    Case(
        "numbers that are not floating-point",
        npy(np.eye(2, dtype=int)),
        "FILE does not hold an array of floating-point numbers.",
        "x.npy",
    ),
    Case(
        "more or fewer rows than identifiers",
        npy(np.eye(3, dtype=np.float32)),
        "FILE: 2 identifiers do not fit an array of shape (3, 3).",
        "x.npy",
    ),
    Case(
        "table without its header",
        b"a\t1\t2\nb\t3\t4\n",
        "FILE, line 1: expected a header, got numbers.",
        "x.tsv",
    ),
    Case("line of another length", b"id\tx\na\t1\nb\n", COLUMNS.format(3, 2, 1), "x.tsv"),
    Case(
        "no number",
        b"id\tx\na\tone\n",
        "FILE, line 2: could not convert string to float: 'one'.",
        "x.tsv",
    ),
]

TABLES: dict[str, tuple[str, list[Case], Callable]] = {
    "Sequences": ("dnaembed.io.read_sequences", SEQUENCES, read_sequences),
    "Labels": ("dnaembed.io.read_labels", LABELS, read_labels),
    "Abundances": ("dnaembed.io.read_abundance", ABUNDANCES, read_abundance),
    "Embeddings": ("dnaembed.io.read_embeddings", EMBEDDINGS, read_embeddings),
}


CASES = {
    f"{heading.lower()}: {case.title}": (case, read)
    for heading, (_, rows, read) in TABLES.items()
    for case in rows
}


@pytest.mark.parametrize(("case", "read"), CASES.values(), ids=CASES)
def test_the_exact_message(tmp_path, case, read):
    path = tmp_path / case.name
    path.write_bytes(case.content)
    (tmp_path / "x.ids.txt").write_text("a\nb\n")
    if not case.message:
        found = read(path)
        ids, sequences = found if isinstance(found, tuple) else zip(*found.items(), strict=True)
        assert list(ids) == ["r1", "r2"][: len(ids)]
        assert list(sequences) == ["ACGT", "GGG"][: len(ids)]
        return
    with pytest.raises(SequenceFileError) as caught:
        read(path)
    pattern = re.escape(case.message).replace(re.escape("..."), ".+")
    assert re.fullmatch(pattern.replace("FILE", re.escape(str(path))), str(caught.value))


def page():
    """Return the page of the documentation, with its tables as they are here."""
    old = PAGE.read_text(encoding="utf-8")
    parts = []
    for heading, (function, rows, _) in TABLES.items():
        parts += [heading, "-" * len(heading), "", f"`{function}`", "", ".. list-table::"]
        parts += ["   :header-rows: 1", "   :widths: 30 70", "", "   * - In the file"]
        parts += ["     - What is said"]
        for case in rows:
            said = f"``{case.message}``" if case.message else "nothing: it is read"
            parts += [f"   * - {case.title}", f"     - {said}"]
        parts += [""]
    start, end = old.index(f"{parts[0]}\n---"), old.index("The file system\n---")
    return old[:start] + "\n".join(parts) + "\n" + old[end:]


def test_the_page_holds_these_messages():
    assert PAGE.read_text(encoding="utf-8") == page()


# The file system


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("case", SEQUENCES, ids=lambda case: case.title)
def test_a_pipe_is_read_as_a_file(tmp_path, case):
    path = tmp_path / "pipe"
    os.mkfifo(path)

    def write():
        with contextlib.suppress(BrokenPipeError):
            path.write_bytes(case.content)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        if case.message:
            with pytest.raises(SequenceFileError, match="pipe"):
                read_sequences(path)
        else:
            assert read_sequences(path)[0]
    finally:
        writer.join()


def test_what_is_no_file_or_may_not_be_read(tmp_path):
    path = tmp_path / "reads.fa"
    with pytest.raises(FileNotFoundError, match=r"No such file or directory: '.*reads\.fa'"):
        read_sequences(path)
    for read in (read_sequences, read_labels, read_abundance):
        with pytest.raises(IsADirectoryError, match=f"Is a directory: '{tmp_path}'"):
            read(tmp_path)
    path.touch(mode=0)
    user = os.geteuid() if hasattr(os, "geteuid") else pytest.skip("needs users as Unix has them")
    os.seteuid(user or 65534)  # not the superuser, who may read everything
    try:
        with pytest.raises(PermissionError, match="Permission denied"):
            read_sequences(path)
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
    for write in (
        lambda: write_embeddings(path, ids, np.random.default_rng(0).random((3000, 4))),
        lambda: write_labels(tmp_path / "labels.tsv", ids, ids),
    ):
        with small_files(), pytest.raises(OSError, match="File too large"):
            write()
        assert {place: place.read_bytes() for place in tmp_path.iterdir()} == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_device(tmp_path):
    (tmp_path / "out.tsv").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device"):
        write_labels(tmp_path / "out.tsv", ["r1"], ["a"])


# Size


@pytest.mark.parametrize("size", [1_000_000, pytest.param(100_000_000, marks=pytest.mark.slow)])
def test_a_line_of_any_length(size):
    bases = b"ACGT" * (size // 4)
    (record,) = iter_sequences(io.BytesIO(b">r1\n" + bases + b"\n"))
    assert len(record[1]) == size
    (record,) = iter_sequences(io.BytesIO(b"@r1\n" + bases + b"\n+\n" + bases + b"\n"))
    assert len(record[1]) == size
    for content in (
        b">" + bases + b"*\n*\n",  # as an identifier
        b">r1\n" + bases + b"*\n",
        bases,
        b"# x\n" + bases,
        b"@r1\n" + bases + b"\n",
        b">r1\nA\n>r1" + bases + b"\nA\n>r1" + bases + b"\nA\n",
    ):
        with pytest.raises(SequenceFileError) as caught:
            list(iter_sequences(io.BytesIO(content)))
        assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("n", [20_000, pytest.param(10_000_000, marks=pytest.mark.slow)])
def test_records_of_any_number(tmp_path, n):
    path = tmp_path / "reads.fa"
    with path.open("wb") as file:
        for start in range(0, n, 100_000):
            numbers = range(start, min(start + 100_000, n))
            file.write(b"".join(b">%d\nA\n" % i for i in numbers))
    assert sum(1 for _ in iter_sequences(path)) == n
    with path.open("ab") as file:
        file.write(b">7\nA\n")
    with pytest.raises(
        SequenceFileError, match=f"record number 8 and record number {n + 1} have .* '7'"
    ):
        sum(1 for _ in iter_sequences(path))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE}\n")
