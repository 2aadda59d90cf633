"""Random DNA."""

import numpy as np

from dnaembed.datasets._genomes import unpack


def random_dna(n, low=50, high=400, seed=0, alphabet="ACGT"):
    """Return n random sequences of low to high - 1 bases."""
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list(alphabet), rng.integers(low, high))) for _ in range(n)]


def random_sequence(n, seed=0, alphabet="ACGT"):
    """Return one random sequence of n bases."""
    return "".join(np.random.default_rng(seed).choice(list(alphabet), n))


def bases(store, start, stop):
    """The bases of a `GenomeStore` from one to another."""
    codes = np.empty(stop - start, dtype=np.uint8)
    unpack(store.packed, store.gaps, start, stop, codes)
    return "".join("ACGTN"[code] for code in codes)
