import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnaembed import reverse_complement
from dnaembed.composition import kmer_counts, tnf_k_basis


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
    from dnaembed.composition._counting import _settle

    basis = tnf_k_basis(3)
    rotation, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(basis.shape[1],) * 2))
    assert _settle(basis @ rotation) == pytest.approx(basis, abs=1e-10)
