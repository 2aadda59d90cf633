import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnaembed import check_sequences, normalize_sequence, reverse_complement

dna = st.text(alphabet="ACGTN", min_size=1, max_size=60)


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ("acgt", "ACGT"),
        ("ACGU", "ACGT"),
        ("acgu", "ACGT"),
        ("RYSWKMBDHVN", "N" * 11),
        ("rykm", "NNNN"),
        ("AC--GT..A", "ACGTA"),
        ("  ACGT\r\n", "ACGT"),
    ],
)
def test_normalize(given_, expected):
    assert normalize_sequence(given_) == expected


@given(dna)
def test_normalized_sequences_stay_as_they_are(sequence):
    assert normalize_sequence(sequence) == sequence
    assert normalize_sequence(sequence.lower().replace("t", "u")) == sequence


@given(dna)
def test_reverse_complement_twice_is_the_sequence(sequence):
    assert reverse_complement(reverse_complement(sequence)) == sequence
    assert reverse_complement(sequence)[0] == dict(zip("ACGTN", "TGCAN"))[sequence[-1]]  # noqa: B905


@given(st.text(max_size=30))
def test_any_text_is_normalized_or_refused(text):
    allowed = set("ACGTURYSWKMBDHVN-.")
    stripped = text.strip()
    if set(stripped.upper()) <= allowed and set(stripped) - set("-.") and stripped.isascii():
        assert set(normalize_sequence(text)) <= set("ACGTN")
    else:
        with pytest.raises(ValueError, match="sequence"):
            normalize_sequence(text)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("ACG*T", "'*' at position 4 "),
        ("MKVLE", "'L' at position 4 "),
        ("ACGT1", "'1' at position 5 "),
        ("AC GT", "' ' at position 3 "),
        ("A-\x00C", r"'\x00' at position 3 "),
        ("A|é", "'|' at position 2 "),
        ("Aé|", "'é' at position 2 "),
        ("  AC1", "'1' at position 5 "),
        ("\ud800", f"{chr(0xD800)!r} at position 1 "),
        ("", "is empty"),
        (" -.- ", "is empty"),
    ],
)
def test_the_first_bad_character_is_named_where_it_stands(bad, message):
    with pytest.raises(ValueError, match=r"^read 7:? ") as caught:
        normalize_sequence(bad, where="read 7")
    assert message in str(caught.value)


@pytest.mark.parametrize("character", "EFILPQZXJO*efilpqzxjo1 |é/\0")
def test_letters_of_proteins_only_are_told(character):
    hint = "" if character in "1 |é/\0" else " Is this a protein sequence?"
    with pytest.raises(ValueError, match="is not a DNA base") as caught:
        normalize_sequence(f"A{character}C")
    assert str(caught.value) == (
        f"sequence: {character!r} at position 2 is not a DNA base. Expected A, C, G, T, U, IUPAC "
        f"codes (RYSWKMBDHVN) or gaps (- .), in any case.{hint}"
    )


READS = ["ACGT", "GGNA"]


@pytest.mark.parametrize(
    "container",
    [
        READS,
        tuple(READS),
        (read for read in READS),
        [[read] for read in READS],
        np.array(READS),
        np.array(READS, dtype=object),
        np.array(READS, dtype=getattr(np.dtypes, "StringDType", object)),  # from numpy 2 on
        np.array(READS)[:, None],
        pd.Series(READS, index=[5, 9]),
        pd.Series(READS, dtype="string").array,
        pd.DataFrame({"read": READS}),
        pl.Series(READS),
        pl.DataFrame({"read": READS}),
    ],
    ids=lambda c: f"{type(c).__module__}.{type(c).__name__}",
)
def test_containers(container):
    assert check_sequences(container) == READS


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ("ACGT", ValueError, "^Iterable over DNA sequences expected, string object received"),
        ([], ValueError, r"^Found array with 0 sample\(s\)"),
        (np.array([], dtype="U3"), ValueError, r"Found array with 0 sample\(s\)"),
        (["ACGT", 5], TypeError, r"got int \(5\) at position 1"),
        (["ACGT", None], TypeError, "got NoneType .* at position 1"),
        (["ACGT", float("nan")], TypeError, "got float .* at position 1"),
        ([b"ACGT"], TypeError, "got bytes"),
        (np.array([["A", "C"]]), ValueError, r"one column, got an array of shape \(1, 2\)"),
        (7, TypeError, "Iterable over DNA sequences expected, got int"),
        (["ACGT", "AC!"], ValueError, "sequence 1: '!' at position 3"),
    ],
)
def test_what_is_not_sequences(bad, error, message):
    with pytest.raises(error, match=message):
        check_sequences(bad)


def test_a_bad_item_is_quoted_in_short():
    with pytest.raises(TypeError, match=r"got bytes .*\.\.\.\) at position 1") as caught:
        check_sequences(["ACGT", b"A" * 1_000_000])
    assert len(str(caught.value)) < 300
