"""K-mer frequencies where every base is as likely: what compositions are centred by."""

from __future__ import annotations

import numpy as np

from .._sequences import reverse_complement
from ._counting import kmer_names


def uniform_frequencies(k: int) -> np.ndarray:
    """Expected frequency of each canonical k-mer: a palindrome is one k-mer, others are two."""
    palindrome = np.array([name == reverse_complement(name) for name in kmer_names(k)])
    return np.where(palindrome, 1.0, 2.0) / 4.0**k
