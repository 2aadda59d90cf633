import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnaembed import reverse_complement
from dnaembed.composition import _counting, kmer_counts, kmer_names, tnf_k_basis
from tests.helpers import naive

dna = st.text(alphabet="ACGTN", min_size=1, max_size=80) | st.text("ACGT", max_size=200)
ks = st.lists(st.integers(1, 6), min_size=1, max_size=3)


@given(st.lists(dna, min_size=1, max_size=5), ks, st.booleans())
def test_counts_equal_the_definition(sequences, k, canonical):
    expected = [
        [n for value in k for n in naive.kmer_counts(sequence, value, canonical)]
        for sequence in sequences
    ]
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


def test_no_sequences_give_no_rows():
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


# Canonical k-mers, less one for the sum, less one law for each (k-1)-mer and its reverse complement
# that differ: 10 - 1 - 2, 32 - 1 - 6, 136 - 1 - 32.
@pytest.mark.parametrize(("k", "n_free"), [(2, 7), (3, 25), (4, 103)])
def test_basis_is_orthonormal_of_the_known_size(k, n_free):
    basis = tnf_k_basis(k)
    assert basis.shape == (4**k, n_free)
    assert basis.T @ basis == pytest.approx(np.eye(n_free), abs=1e-12)
    assert not basis.flags.writeable


@given(st.text("ACGT", min_size=4, max_size=200))
def test_both_strands_project_alike(sequence):
    counts = kmer_counts([sequence, reverse_complement(sequence)], 4, canonical=False)
    forward, reverse = counts.astype(float) @ tnf_k_basis(4)
    assert forward == pytest.approx(reverse, abs=1e-9)


@given(st.text("ACGT", min_size=8, max_size=200))
def test_a_circle_of_both_strands_loses_nothing(sequence):
    # Of a circular molecule all laws hold exactly, so that the basis spans its frequencies.
    circle = sequence + sequence[:3]
    counts = kmer_counts([circle, reverse_complement(circle)], 4, canonical=False).sum(axis=0)
    frequencies = counts / counts.sum() - 1 / 256
    basis = tnf_k_basis(4)
    assert basis @ (basis.T @ frequencies) == pytest.approx(frequencies, abs=1e-12)


def test_the_basis_does_not_depend_on_the_rotation_that_linear_algebra_returns():
    basis = tnf_k_basis(3)
    rotation, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(basis.shape[1],) * 2))
    assert _counting._settle(basis @ rotation) == pytest.approx(basis, abs=1e-10)
