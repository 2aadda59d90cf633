from collections import UserList
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnaembed import (
    DNABertSEmbedder,
    FewShotSpeciesClassifier,
    KmerEmbedder,
    SpeciesClusterer,
    check_sequences,
    normalize_sequence,
    reverse_complement,
)

dna = st.text(alphabet="ACGTN", min_size=1, max_size=60)


@given(dna)
def test_normalized_sequences_stay_as_they_are(sequence):
    assert normalize_sequence(sequence) == sequence
    assert normalize_sequence(f"  {sequence.lower().replace('t', 'u')}.-\r\n") == sequence
    assert normalize_sequence("RYSWKMBDHVNryswkmbdhvn") == "N" * 22
    assert reverse_complement(reverse_complement(sequence)) == sequence
    assert reverse_complement(sequence)[0] == dict(zip("ACGTN", "TGCAN"))[sequence[-1]]  # noqa: B905


@pytest.mark.parametrize(
    ("bad", "position"),
    [
        *{"ACG*T": 4, "MKVLE": 4, "ACGT1": 5, "AC GT": 3, "A-\x00C": 3, "A|é": 2, "Aé|": 2}.items(),
        *{"  AC1": 5, "\ud800": 1}.items(),
        *((f"A{c}C", 2) for c in "EFILPQZXJO*efilpqzxjo|/"),
    ],
)
def test_the_first_bad_character_is_named_where_it_stands(bad, position):
    with pytest.raises(ValueError, match="is not a DNA base") as caught:
        normalize_sequence(bad, where="read 7")
    character = bad[position - 1]
    hint = " Is this a protein sequence?" if character in "EFILPQZXJO*efilpqzxjo" else ""
    assert str(caught.value) == (
        f"read 7: {character!r} at position {position} is not a DNA base. Expected A, C, G, T, U, "
        f"IUPAC codes (RYSWKMBDHVN) or gaps (- .), in any case.{hint}"
    )


def test_a_name_in_place_of_a_sequence():
    with pytest.raises(ValueError, match=r"Is this a name\? Sequences come before labels\.$"):
        normalize_sequence("Escherichia coli")


READS = ["ACGTTGCATG" * 8, "GGNACCATTA" * 9, "ACGTTGCATC" * 8, "GGNACGATTA" * 9]
BY_ID = dict(zip("abcd", READS, strict=True))


class Record:
    """As those of Biopython."""

    def __init__(self, seq):
        self.seq = seq

    def __str__(self):
        return self.seq

    def __len__(self):
        return len(self.seq)


CONTAINERS = {
    "list": lambda: READS,
    "tuple": lambda: tuple(READS),
    "generator": lambda: (read for read in READS),
    "values of a dict": BY_ID.values,
    "keys of a dict": lambda: dict.fromkeys(READS).keys(),
    "UserList": lambda: UserList(READS),
    "rows of one": lambda: [[read] for read in READS],
    "np.str_": lambda: [np.str_(read) for read in READS],
    "U array": lambda: np.array(READS),
    "object array": lambda: np.array(READS, dtype=object),
    # From numpy 2 on.
    "StringDType": lambda: np.array(READS, dtype=getattr(np.dtypes, "StringDType", object)),
    "array of one column": lambda: np.array(READS)[:, None],
    "Series": lambda: pd.Series(READS, index=list("abcd")),
    "Index": lambda: pd.Index(READS),
    "Categorical": lambda: pd.Categorical(READS),
    "string array": lambda: pd.Series(READS, dtype="string").array,
    "frame": lambda: pd.DataFrame({"read": READS}),
    "polars Series": lambda: pl.Series(READS),
    "polars frame": lambda: pl.DataFrame({"read": READS}),
    "pyarrow array": lambda: pa.array(READS),
    "pyarrow chunks": lambda: pa.chunked_array([READS[:1], READS[1:]]),
    "pyarrow table": lambda: pa.table({"read": READS}),
}
ONE_LONG = "ACGTTGCATG" * 100_000
REFUSED = {
    "string": (lambda: "ACGT", ValueError, "^Iterable over DNA .* expected, string object"),
    "bytes": (lambda: b"ACGT", ValueError, "^Iterable over DNA .*, string object .*: decode them"),
    "a path": (lambda: "x/r.fq.gz", ValueError, "read a file by dnaembed.io.read_sequences"),
    "paths": (lambda: ["a.fasta"], ValueError, "A file is read by dnaembed.io.read_sequences"),
    "ids and reads": (lambda: (["r1", "r2"], ["A", "C"]), TypeError, "ids, sequences = read_seq"),
    "set": (lambda: set(READS), TypeError, "rows of a set have no order"),
    "frozenset": (lambda: frozenset(READS), TypeError, "rows of a frozenset have no order"),
    "dict": (lambda: BY_ID, TypeError, "rows of a dict have no order"),
    "number": (lambda: [*READS, 5], TypeError, r"got int \(5\) at position 4"),
    "None": (lambda: [*READS, None], TypeError, "got NoneType at position 4"),
    "NaN": (lambda: [*READS, np.nan], TypeError, r"got float \(nan\) at position 4"),
    "NA": (lambda: pd.Series([*READS, None], dtype="string"), TypeError, "NA.* at position 4"),
    "masked": (
        lambda: np.ma.array([*READS, "A"], mask=[0, 0, 0, 0, 1]),
        TypeError,
        "got NoneType at position 4",
    ),
    "polars null": (lambda: pl.Series([*READS, None]), TypeError, "NoneType at position 4"),
    "pyarrow null": (lambda: pa.array([*READS, None]), TypeError, "NoneType at position 4"),
    "items": (BY_ID.items, TypeError, "got tuple at position 0"),
    "id and sequence": (lambda: [("a", ONE_LONG)], TypeError, "got tuple at position 0"),
    "two": (lambda: [*READS, [ONE_LONG] * 2], TypeError, "got list at position 4"),
    "list of bytes": (lambda: [ONE_LONG.encode()], TypeError, "got bytes at position 0"),
    "S array": (lambda: np.array([ONE_LONG.encode()]), TypeError, "got bytes at position 0"),
    "records": (lambda: [Record(ONE_LONG)], TypeError, "got Record at position 0"),
    "array of records": (
        lambda: np.array([None, Record(ONE_LONG)], dtype=object)[1:],
        TypeError,
        "got Record at position 0",
    ),
    "two columns": (lambda: np.array([READS]), ValueError, r"one column, .* shape \(1, 4\)"),
    "two columns of pyarrow": (
        lambda: pa.table({"a": READS, "b": READS}),
        ValueError,
        r"one column, got Table of shape \(4, 2\)",
    ),
    "no base": (lambda: [*READS, f"{ONE_LONG}!"], ValueError, "sequence 4: '!' at position 10000"),
}
CLASSIFIER = FewShotSpeciesClassifier(KmerEmbedder())
CLUSTERER = SpeciesClusterer(2, embedder=KmerEmbedder(), random_state=0)
ESTIMATORS = {
    "DNABertSEmbedder": lambda X: DNABertSEmbedder(device="cpu").fit_transform(X),
    "KmerEmbedder": lambda X: KmerEmbedder().fit_transform(X),
    "FewShotSpeciesClassifier": lambda X: CLASSIFIER.fit(X, [0, 1, 0, 1]).classifier_[-1].coef_,
    "SpeciesClusterer": lambda X: CLUSTERER.fit(X).labels_,
    "check_sequences": lambda X: np.array(check_sequences(X)),
}


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_containers_are_alike(name, container):
    found = ESTIMATORS[name](CONTAINERS[container]())
    np.testing.assert_array_equal(found, ESTIMATORS[name](READS))


@pytest.mark.parametrize("container", REFUSED)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_what_is_not_sequences_is_refused_alike_and_in_short(name, container):
    make, error, message = REFUSED[container]
    if container == "two columns of pyarrow" and "Species" in name:
        pytest.skip("may be embeddings: scikit-learn says what is wrong with them")
    with pytest.raises(error, match=message) as caught:
        ESTIMATORS[name](make())
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ([], ValueError, r"^Found array with 0 sample\(s\)"),
        (np.array([], dtype="U3"), ValueError, r"Found array with 0 sample\(s\)"),
        (7, TypeError, "Iterable over DNA sequences expected, got int"),
        (Path("reads.fa"), TypeError, "got .*Path: read a file by dnaembed.io.read_sequences"),
        (
            ["ACGT", float("nan")],
            TypeError,
            "got float .*position 1. Leave out what has no",
        ),
    ],
)
def test_what_holds_no_sequence(bad, error, message):
    with pytest.raises(error, match=message):
        check_sequences(bad)
