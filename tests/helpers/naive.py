"""The plainest way to do what the library does fast: what the fuzzer compares it with."""

import re
from collections import Counter
from itertools import product

_BASES = dict.fromkeys("RYSWKMBDHVN", "N") | {base: base for base in "ACGT"} | {"U": "T"}
_COMPLEMENT = {"A": "T", "C": "G", "G": "C", "T": "A"}


def clean(sequence):
    """Return the sequence in ACGTN, or None if it is empty or holds something else."""
    cleaned = ""
    for character in sequence.strip():
        if character in "-.":
            continue
        if not character.isascii() or character.upper() not in _BASES:
            return None
        cleaned += _BASES[character.upper()]
    return cleaned or None


def parse(data):
    """Return identifier and cleaned sequence of each record of a good FASTA or FASTQ file."""
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    space = " \t\n\r\x0b\x0c"
    if text.lstrip(space).startswith("@"):
        lines = []
        while text := text.lstrip(space):  # blank space before a record is nothing
            *record, text = [*text.split("\n", 4), ""][:5]
            assert len(record) == 4, "a record of less than four lines was accepted"
            lines += [line.removesuffix("\r") for line in record]
        assert all(line.startswith("+") for line in lines[2::4])
        assert all(len(a) == len(b) for a, b in zip(lines[1::4], lines[3::4], strict=True))
        found = zip((line[1:] for line in lines[::4]), lines[1::4], strict=True)
    else:
        found = []
        for line in map(str.strip, re.split("\r\n|\r|\n", text)):
            if line.startswith(">"):
                found.append((line[1:], []))
            elif line and not line.startswith(("#", ";")):
                found[-1][1].append(line)
        found = [(header, "".join(parts)) for header, parts in found]
    return [("".join(header.split()[:1]), clean(sequence)) for header, sequence in found]


def kmer_counts(sequence, k, canonical):
    """Return the counts of one sequence, in the order of the names of its k-mers."""

    def name(kmer):
        other = "".join(_COMPLEMENT[base] for base in reversed(kmer))
        return min(kmer, other) if canonical else kmer

    sequence = "".join(c if c in "ACGTacgt" else "N" for c in sequence).upper()
    windows = (sequence[i : i + k] for i in range(len(sequence) - k + 1))
    found = Counter(name(window) for window in windows if "N" not in window)
    names = sorted({name("".join(kmer)) for kmer in product("ACGT", repeat=k)})
    return [found[kmer] for kmer in names]
