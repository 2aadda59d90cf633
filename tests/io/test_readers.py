"""Everything that can be in a file is either handled or refused with its place."""

import bz2
import gzip
import io
import logging
import sys
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xopen import xopen

from dnaembed.io import SequenceFileError, iter_sequences, read_sequences

FASTA = b">r1 first\nACGT\nACGT\n>r2\nGGG\n"
FASTQ = b"@r1 first\nACGTACGT\n+\nIIIIIIII\n@r2\nGGG\n+r2\nIII\n"
EXPECTED = (["r1", "r2"], ["ACGTACGT", "GGG"])


def write(folder, content, name="reads.fa"):
    path = folder / name
    path.write_bytes(content)
    return path


def compress(data, form, path):
    with xopen(path, "wb", threads=0, format=form) if form else path.open("wb") as file:
        file.write(data)
    return path


def bgzip(data, *, end=True):
    """Gzip members with the extra field that bgzip writes."""

    def member(piece):
        body = gzip.compress(piece, mtime=0)
        size = len(body) + 8
        extra = b"\x06\x00BC\x02\x00" + (size - 1).to_bytes(2, "little")
        return body[:3] + b"\x04" + body[4:10] + extra + body[10:]

    blocks = [member(data[i : i + 100]) for i in range(0, len(data), 100)]
    mark = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
    return b"".join(blocks) + (mark if end else b"")


@pytest.mark.parametrize("content", [FASTA, FASTQ], ids=["fasta", "fastq"])
@pytest.mark.parametrize("form", [None, "gz", "bz2", "xz", "zst"])
@pytest.mark.parametrize("name", ["reads.fa", "reads.fastq", "reads", "reads.gz", "reads.zst"])
def test_formats_are_recognised_by_content(tmp_path, content, form, name):
    path = compress(content, form, tmp_path / name)
    assert read_sequences(path) == EXPECTED
    assert list(iter_sequences(str(path))) == list(zip(*EXPECTED, strict=True))


@pytest.mark.parametrize(
    ("content", "sequence"),
    [
        (b">r\rAC\rGT\r", "ACGT"),
        (b"@r\r\nACGT\r\n+\r\nIIII\r\n", "ACGT"),
        (b"\xef\xbb\xbf@r\nACGT\n+\nIIII\n", "ACGT"),
        (b"\n\n  \n>r\nAC\n\nGT\n\n", "ACGT"),
        (b"# comment\n>r\nAC\n# comment\nGT", "ACGT"),
        (b"@r\nACGT\n+\nIIII", "ACGT"),
        (b"@r caf\xc3\xa9\nACGT\n+\nIIII\n", "ACGT"),
        (b">r\twith tab\nACGT\n", "ACGT"),
        (b"> r\nACGT\n", "ACGT"),
        (b"@ r\nACGT\n+\nIIII\n", "ACGT"),
        (b"; by hand\n>r a;x\nAC\n;GT\nGT\n", "ACGT"),
        (b";\r>r\rAC\r;x\rGT\r", "ACGT"),
        (b"@r\nACGT\n+\n;;;;\n", "ACGT"),
    ],
)
def test_accepted(tmp_path, content, sequence):
    assert read_sequences(write(tmp_path, content)) == (["r"], [sequence])


REFUSED = {
    "empty fastq record": (b"@a\n\n+\n\n", r"record 'a' \(number 1\) is empty"),
    "tar": (b"a.fa".ljust(257, b"\0") + b"ustar", r"is a tar archive"),
    "tar.gz": (gzip.compress(b"a.fa".ljust(257, b"\0") + b"ustar", mtime=0), r"is a tar archive"),
    "neither name nor base": (b">a\nAC\n>\n\n", r"record number 2 is empty.*skip_empty"),
    "text after comment": (b"# x\nhello\n", r"line 2: not valid FASTA"),
    "other name after plus": (b"@a\nAC\n+b\nII\n", r"line 3: not valid FASTQ"),
    "text with at sign": (b"@home: write\nto me\n", r"not valid FASTQ after 0 good records"),
}


@pytest.mark.parametrize("form", [None, "xz"])
@pytest.mark.parametrize("case", REFUSED)
def test_refused(tmp_path, case, form):
    content, message = REFUSED[case]
    form = None if content.startswith(b"\x1f\x8b") else form
    path = compress(content, form, tmp_path / "reads.fa")
    with pytest.raises(SequenceFileError, match=message) as caught:
        read_sequences(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "\x1a" not in str(caught.value)


@pytest.mark.parametrize("form", ["gz", "bz2", "xz", "zst"])
@pytest.mark.parametrize("content", [FASTA, FASTQ], ids=["fasta", "fastq"])
def test_compressed_data_cut_anywhere_is_an_error(tmp_path, form, content):
    complete = compress(content, form, tmp_path / "complete").read_bytes()
    for end in range(1, len(complete)):
        with pytest.raises(SequenceFileError):
            read_sequences(write(tmp_path, complete[:end]))
    assert read_sequences(write(tmp_path, complete)) == EXPECTED


@pytest.mark.parametrize("form", ["gz", "bz2", "xz"])
@pytest.mark.parametrize("damage", ["garbage", "second stream"])
def test_what_follows_the_first_stream_is_not_dropped(tmp_path, form, damage):
    first = compress(b">r1\nACGT\n", form, tmp_path / "a").read_bytes()
    second = compress(b">r2\nACGT\n", form, tmp_path / "b").read_bytes()
    assert read_sequences(write(tmp_path, first + second))[0] == ["r1", "r2"]
    middle = bytearray(second)
    middle[len(middle) // 2] ^= 0xFF
    middle[1] ^= 0xFF
    tail = b"garbage" if damage == "garbage" else bytes(middle)
    with pytest.raises(SequenceFileError, match=rf"other bytes after the end of its {form} data"):
        read_sequences(write(tmp_path, first + tail))


def test_bgzip_with_and_without_its_end_mark(tmp_path, caplog):
    data = b"".join(b">r%d\nACGTACGT\n" % i for i in range(50))
    assert len(read_sequences(write(tmp_path, bgzip(data)))[0]) == 50
    assert not caplog.records
    assert len(read_sequences(write(tmp_path, bgzip(data, end=False)))[0]) == 50
    assert "may be truncated" in caplog.text


def test_skip_empty_counts_what_it_skips(tmp_path, caplog):
    path = write(tmp_path, b">a\nAC\n>b\n>c\n--\n>\n\n>\n>d\nG\n")
    with caplog.at_level(logging.WARNING, logger="dnaembed"):
        assert read_sequences(path, skip_empty=True) == (["a", "d"], ["AC", "G"])
    assert "skipped 4 of 6 records" in caplog.text
    for content, message in (
        (b">a\n>b\n", "no sequence: all 2 records are without a base"),
        (b">a\n*\n", r"'\*' at position 1"),
    ):
        with pytest.raises(SequenceFileError, match=message):
            read_sequences(write(tmp_path, content), skip_empty=True)


def test_duplicates_across_files_and_allowed(tmp_path):
    both = write(tmp_path, FASTA, "a.fa"), write(tmp_path, FASTQ, "b.fq")
    with pytest.raises(SequenceFileError, match=r"a.fa, record number 1 and record .* 1 of .*b"):
        read_sequences(both)
    assert read_sequences(both, duplicate_ids="allow") == (EXPECTED[0] * 2, EXPECTED[1] * 2)


def test_duplicate_far_away_is_found_before_the_end(tmp_path):
    lines = [b">r%d\nA\n" % i for i in range(70_000)]
    lines[60_000] = b">r17\nA\n"
    seen = []
    with pytest.raises(SequenceFileError, match=r"number 18 and record number 60001 .*'r17'"):
        seen.extend(iter_sequences(write(tmp_path, b"".join(lines))))
    assert len(seen) < 70_000


def test_equal_digests_of_different_ids_are_no_duplicates(tmp_path, monkeypatch):
    same = SimpleNamespace(digest=lambda: b"12345678")
    monkeypatch.setattr("dnaembed.io._readers.blake2b", lambda *_, **__: same)
    assert read_sequences(write(tmp_path, FASTA)) == EXPECTED


def test_the_pair_that_is_complete_first_is_named(tmp_path):
    # Whatever the order of the digests of the identifiers.
    for names in (b"abcd", b"dcba", b"zy01"):
        a, b, c, d = (bytes([name]) for name in names)
        lines = [b">%s\nA\n" % name for name in (a, b, c, b, d, a, c, d)]
        with pytest.raises(SequenceFileError, match="record number 2 and record number 4 "):
            read_sequences(write(tmp_path, b"".join(lines)))


@pytest.mark.parametrize("content", [FASTA, gzip.compress(FASTA, mtime=0), bz2.compress(FASTQ)])
def test_streams_are_read_and_stay_open(monkeypatch, tmp_path, content):
    stdin = io.TextIOWrapper(io.BufferedReader(io.BytesIO(content)))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert read_sequences("-") == EXPECTED
    assert not stdin.closed
    with write(tmp_path, content).open("rb") as file:
        assert read_sequences(file) == EXPECTED
        assert not file.closed


def test_errors_in_streams_are_named_and_do_not_speak_to_a_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(b"text"))))
    with pytest.raises(SequenceFileError, match="standard input is neither"):
        read_sequences("-")
    with pytest.raises(SequenceFileError, match="input stream, record number 1 and record number"):
        read_sequences(io.BytesIO(b">a\nA\n>a\nA\n"))
    with pytest.raises(SequenceFileError, match=r"line 2.*\\x1b\[2J") as caught:
        read_sequences(io.BytesIO(b"# x\nab\x1b[2Jcd\x07\n"))
    assert str(caught.value).isprintable()


def test_iterator_reads_no_further_than_asked(tmp_path):
    records = iter_sequences(write(tmp_path, b">a\nACGT\n>b\n***\n"))
    assert next(records) == ("a", "ACGT")
    records.close()


def test_folders_and_patterns_stand_for_their_files(tmp_path):
    for name in ("b.FQ", "a.fasta.gz", "[x].fa", "c.txt"):
        text = f"@{name}\nACGT\n+\nIIII\n" if name == "b.FQ" else f">{name}\nACGT\n"
        data = gzip.compress(text.encode()) if name.endswith("gz") else text.encode()
        (tmp_path / name).write_bytes(data)
    (tmp_path / "deeper.fa").mkdir()
    assert read_sequences(tmp_path)[0] == ["[x].fa", "a.fasta.gz", "b.FQ"]
    found = read_sequences([tmp_path / "c.txt", str(tmp_path / "[ab].*")])[0]
    assert found == ["c.txt", "a.fasta.gz", "b.FQ"]
    assert read_sequences(tmp_path / "[x].fa")[0] == ["[x].fa"]  # a file of such a name


@given(
    ids=st.lists(st.text("aé漢\U0001f9ec", min_size=1), min_size=1, max_size=8, unique=True),
    form=st.sampled_from([">{}{}\n{}\n", "@{}{}\n{}\n+\nIIII\n", ">{}{}\r{}\r"]),
)
def test_identifiers_in_any_script(ids, form):
    text = "".join(form.format(name, " é" * (i % 2), "ACGT") for i, name in enumerate(ids))
    assert read_sequences(io.BytesIO(text.encode())) == (ids, ["ACGT"] * len(ids))


@pytest.mark.parametrize("place", range(10))
def test_identifiers_that_are_cut_where_a_block_ends(place):
    text = ">a é\n" + "A" * ((1 << 17) - 7 - place) + "\n>é漢b é\nAC\n>é\nGT"
    ids, sequences = read_sequences(io.BytesIO(text.encode()))
    assert ids == ["a", "é漢b", "é"]
    assert sequences[1:] == ["AC", "GT"]
