"""TNF-K: k-mer frequencies without the directions in which they cannot vary."""

from functools import lru_cache
from itertools import product

import numpy as np
from scipy.linalg import null_space

from .._sequences import reverse_complement


@lru_cache(maxsize=4)
def tnf_k_basis(k: int = 4) -> np.ndarray:
    """Return an orthonormal basis of the free directions of k-mer frequencies.

    The frequencies of a long double-stranded molecule obey linear laws: they add up to one, a
    k-mer is as frequent as its reverse complement, and each (k-1)-mer begins as many k-mers as it
    ends. What is left has 103 dimensions for tetranucleotides (TNF-K; Kislyuk et al., BMC
    Bioinformatics 2009, 10:316).

    Parameters
    ----------
    k : int, default=4
        Length of the k-mers, from 2 to 6.

    Returns
    -------
    ndarray of shape (4**k, n_free), float64
        Rows in A, C, G, T order, as the columns of ``kmer_counts(..., canonical=False)``;
        read-only.

    Examples
    --------
    >>> from dnaembed.composition import tnf_k_basis
    >>> tnf_k_basis(4).shape
    (256, 103)
    """
    kmers = ["".join(letters) for letters in product("ACGT", repeat=k)]
    column = {kmer: i for i, kmer in enumerate(kmers)}
    n = len(kmers)
    laws = np.zeros((1 + n + n // 4, n))
    laws[0] = 1
    for row, kmer in enumerate(kmers, 1):
        laws[row, column[kmer]] += 1
        laws[row, column[reverse_complement(kmer)]] -= 1
    for row, stem in enumerate(kmers[::4], 1 + n):  # without their last letter, an A
        for base in "ACGT":
            laws[row, column[base + stem[:-1]]] += 1
            laws[row, column[stem[:-1] + base]] -= 1
    basis = _settle(null_space(laws))
    basis.setflags(write=False)
    return basis


def _settle(basis: np.ndarray) -> np.ndarray:
    """Choose one basis of a space, whatever rotation the linear algebra library returned.

    The projector onto the space is unique; Gram-Schmidt over its columns in their own order gives
    the same basis everywhere.
    """
    projector = basis @ basis.T
    chosen = np.empty_like(basis)
    found = 0
    for candidate in projector.T:
        rest = candidate.copy()
        for _ in range(2):  # twice is enough for full orthogonality
            rest -= chosen[:, :found] @ (chosen[:, :found].T @ rest)
        norm = np.linalg.norm(rest)
        if norm > 1e-6:
            chosen[:, found] = rest / norm
            found += 1
            if found == basis.shape[1]:
                break
    return chosen
