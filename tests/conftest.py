"""What several test modules need: random DNA, made on the spot."""

import numpy as np
import pytest


def random_dna(n, low=50, high=400, seed=0, alphabet="ACGT"):
    """Return n random sequences of low to high - 1 bases."""
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list(alphabet), rng.integers(low, high))) for _ in range(n)]


@pytest.fixture
def reads():
    return random_dna(12)
