"""Blocks hold the same records, and raise the same errors, as the reader of single records."""

import gzip
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnaembed.io import SequenceFileError, iter_sequences
from dnaembed.io._blocks import BLOCK_BYTES, iter_blocks
from dnaembed.io._parse import checksum, digest_ids, parse_records


class Named(io.BytesIO):
    name = "reads"


def outcome(records):
    """Records up to the end, or up to an error, and the error's message."""
    found = []
    try:
        for record in records:
            found.append(record)
    except SequenceFileError as error:
        return found, str(error)
    return found, None


def by_block(data, **options):
    for block in iter_blocks(Named(data), **options):
        assert len(block) == len(block.lengths) > 0
        assert block.bases.dtype == np.uint8
        yield from zip(block.ids.decode().split("\n"), block.sequences(), strict=False)


def assert_same(data, **options):
    block_bytes = options.pop("block_bytes", BLOCK_BYTES)
    expected, message = outcome(iter_sequences(Named(data), **options))
    found, error = outcome(by_block(data, block_bytes=block_bytes, **options))
    assert error == message
    if message is None:
        assert found == expected


feeds = st.sampled_from([b"\n"] * 5 + [b"\r\n", b"\r", b"\n\n", b" \n"])
letters = st.text("ACGTacgtuNRY", min_size=1, max_size=30)
odd = st.one_of(letters, letters, st.text("ACGT-.*>@+# \t\x00é", max_size=8)).map(
    lambda text: text.encode("utf-8")
)
names = st.one_of(
    st.integers(0, 500).map(lambda n: b"r%d" % n),
    st.sampled_from([b"r1 text", b"r2\ttext", b"", b" x", b"a\x01b", b"\xc3\xa9", b"ok \xc3\xa9"]),
)
fasta_records = st.builds(
    lambda name, pieces, feed: b">" + name + feed + b"".join(p + feed for p in pieces),
    names,
    st.lists(odd, min_size=1, max_size=3),
    feeds,
)
fastq_records = st.builds(
    lambda name, bases, plus, quality, feed: (
        b"@"
        + name
        + feed
        + bases
        + feed
        + b"+"
        + (name if plus else b"")
        + feed
        + b"I" * (len(bases) + quality)
        + feed
    ),
    names,
    odd,
    st.booleans(),
    st.sampled_from([0, 0, 0, 0, 0, 0, -1, 1]),
    feeds,
)
files = st.one_of(st.lists(fasta_records), st.lists(fastq_records)).map(b"".join)


@given(
    files,
    st.integers(0, 12),
    st.integers(4, 200),
    st.booleans(),
    st.sampled_from(["error", "allow"]),
)
def test_blocks_agree_with_single_records(data, cut, block_bytes, skip_empty, duplicate_ids):
    assert_same(
        data[: len(data) - cut],
        block_bytes=block_bytes,
        skip_empty=skip_empty,
        duplicate_ids=duplicate_ids,
    )


@given(st.lists(letters, min_size=1, max_size=30), st.integers(1, 40), st.integers(4, 100))
def test_wrapped_lines_and_small_blocks(sequences, width, block_bytes):
    lines = []
    for i, sequence in enumerate(sequences):
        wrapped = [sequence[j : j + width] for j in range(0, len(sequence), width)]
        lines += [f">r{i} of many", *wrapped]
    assert_same("\n".join(lines).encode(), block_bytes=block_bytes)


@given(st.lists(letters, min_size=2, max_size=20), st.integers(4, 60), st.data())
def test_cuts_follow_from_the_content(sequences, block_bytes, data):
    text = "".join(f">r{i}\n{s}\n" for i, s in enumerate(sequences)).encode()

    class Trickle(Named):
        def readinto(self, buffer):
            return super().readinto(memoryview(buffer)[: data.draw(st.integers(1, 40))])

        def read(self, n=-1):
            return super().read(data.draw(st.integers(1, 40)) if n else n)

    whole = [block.ids for block in iter_blocks(Named(text), block_bytes=block_bytes)]
    assert [b.ids for b in iter_blocks(Trickle(text), block_bytes=block_bytes)] == whole


def test_errors_count_records_and_lines_from_the_start_of_the_file():
    good = b"".join(b"@r%d\nACGT\n+\nIIII\n" % i for i in range(100))
    for bad in (b"@x\nACGT\n+\nIII\n", b"@x\nAC*T\n+\nIIII\n", b"@x\nACGT\n+y\nIIII\n"):
        assert_same(good + bad, block_bytes=64)
        with pytest.raises(SequenceFileError, match=r"line 40[1-4]|number 101"):
            list(iter_blocks(Named(good + bad), block_bytes=64))


def test_skipped_records_are_counted_from_the_start(caplog):
    data = b"".join(b">r%d\nACGT\n" % i for i in range(50)) + b">e\n--\n>f\n"
    with caplog.at_level("WARNING", "dnaembed"):
        blocks = list(iter_blocks(Named(data), skip_empty=True, block_bytes=64))
    assert sum(map(len, blocks)) == 50
    assert "skipped 2 of 52 records" in caplog.text


def test_duplicates_across_blocks_and_files(tmp_path):
    first, second = tmp_path / "a.fa", tmp_path / "b.fa"
    first.write_bytes(b"".join(b">r%d\nACGT\n" % i for i in range(30)))
    second.write_bytes(b">new\nAC\n>r7\nACGT\n")
    with pytest.raises(SequenceFileError, match=r"number 8 and record number 2 of .*b\.fa.*'r7'"):
        list(iter_blocks([first, second], block_bytes=64))
    blocks = list(iter_blocks([first, second], block_bytes=64, duplicate_ids="allow"))
    assert sum(map(len, blocks)) == 32
    with pytest.raises(ValueError, match='duplicate_ids must be "error" or "allow"'):
        list(iter_blocks(first, duplicate_ids="no"))


def test_compressed_and_truncated(tmp_path):
    data = b"".join(b">r%d\n%s\n" % (i, b"ACGT" * 50) for i in range(200))
    path = tmp_path / "x.fa.gz"
    path.write_bytes(gzip.compress(data))
    assert sum(map(len, iter_blocks(path))) == 200
    path.write_bytes(gzip.compress(data)[:-20])
    with pytest.raises(SequenceFileError, match="truncated"):
        list(iter_blocks(path))


@given(st.lists(st.text("abc|0", min_size=1, max_size=9), max_size=20))
def test_digests_are_those_of_the_parser(names):
    text = "".join(f">{name} x\nA\n" for name in names).encode()
    parsed = parse_records(np.frombuffer(text, dtype=np.uint8), "fasta", at_end=True)
    np.testing.assert_array_equal(digest_ids(parsed.ids, len(names)), parsed.digests)
    assert len(set(parsed.digests.tolist())) == len(set(names))


@given(st.binary(max_size=60), st.integers(0, 59), st.integers(1, 255))
def test_checksum_sees_every_byte(data, place, change):
    values = np.frombuffer(data, dtype=np.uint8)
    start = checksum(values)
    assert checksum(np.append(values, np.uint8(0))) != start
    if place < len(values):
        other = values.copy()
        other[place] ^= change
        assert checksum(other) != start


@given(st.lists(letters, min_size=1, max_size=20), st.data())
def test_take(sequences, data):
    text = "".join(f">r{i}\n{s}\n" for i, s in enumerate(sequences)).encode()
    (block,) = iter_blocks(Named(text))
    kept = np.array([data.draw(st.booleans()) for _ in sequences])
    part = block.take(kept)
    assert part.ids.decode().split("\n")[:-1] == [f"r{i}" for i in np.flatnonzero(kept)]
    assert part.sequences() == [s for s, k in zip(block.sequences(), kept, strict=True) if k]


def test_a_skipped_record_does_not_hide_a_duplicate(tmp_path):
    path = tmp_path / "r.fa"
    path.write_bytes(b">a\nAC\n>b\n\n>a\nGT\n")
    with pytest.raises(SequenceFileError, match=r"number 1 and record number 3 .*'a'"):
        list(iter_blocks(path, skip_empty=True))
