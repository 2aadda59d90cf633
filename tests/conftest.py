"""Small models made on the spot: nothing is downloaded, nothing takes long."""

from collections import Counter

import numpy as np
import pytest

from dnaembed.backbones import load_backbone


def random_dna(n, low=50, high=400, seed=0, alphabet="ACGT"):
    """Return n random sequences of between low and high bases."""
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list(alphabet), rng.integers(low, high))) for _ in range(n)]
