import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnaembed import reverse_complement
from dnaembed.composition import _counting, kmer_counts, kmer_names
from tests.helpers import naive

dna = st.text(alphabet="ACGTN", min_size=1, max_size=80) | st.text("ACGT", max_size=200)
ks = st.lists(st.integers(1, 6), min_size=1, max_size=3)


@given(st.lists(dna, min_size=1, max_size=5), ks, st.booleans())
def test_counts_equal_the_definition(sequences, k, canonical):
    expected = []
    for sequence in sequences:
        expected.append([n for value in k for n in naive.kmer_counts(sequence, value, canonical)])
    counts = kmer_counts(sequences, k, canonical=canonical)
    assert counts.dtype == np.uint32
    np.testing.assert_array_equal(counts, expected)
    others = [reverse_complement(sequence) for sequence in sequences if sequence]
    expected = kmer_counts([sequence for sequence in sequences if sequence], k)
    np.testing.assert_array_equal(kmer_counts(others, k), expected)


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("canonical", [True, False])
def test_names_are_sorted_and_as_many_as_columns(k, canonical):
    names = kmer_names(k, canonical=canonical)
    assert names == sorted(set(names))
    assert len(names) == kmer_counts(["A"], k, canonical=canonical).shape[1]
    assert len(names) == _counting.n_kmers(k, canonical)


def test_lower_case_counts_and_anything_else_breaks_kmers():
    np.testing.assert_array_equal(kmer_counts(["acgta"], 3), kmer_counts(["ACGTA"], 3))
    assert kmer_counts(["ANCNG", "é"], 2).sum() == 0


def test_sequences_in_several_chunks_keep_their_rows(monkeypatch):
    sequences = ["ACGTACGA", "", "TTTT", "NNNN", "GATTACA", "C"]
    whole = kmer_counts(sequences, [3, 2])
    monkeypatch.setattr(_counting, "_CHUNK_BASES", 5)
    np.testing.assert_array_equal(kmer_counts(sequences, [3, 2]), whole)
    assert kmer_counts([], 4).shape == (0, 136)


@pytest.mark.parametrize("k", [0, 13, [4, 0]])
def test_k_out_of_range(k):
    with pytest.raises(ValueError, match="k must be from 1 to 12, got"):
        kmer_counts(["ACGT"], k)


def test_other_bad_input():
    with pytest.raises(ValueError, match="At least one k"):
        kmer_names([])
    with pytest.raises(TypeError, match="k must be an integer"):
        kmer_names("4")
    with pytest.raises(TypeError, match="got a single string"):
        kmer_counts("ACGT", 4)
