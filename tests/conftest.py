"""What several test modules need: random DNA, made on the spot."""

import numpy as np
import pytest
from hypothesis import settings

# Compilation and shared machines make single examples slow; no test asserts a time.
settings.register_profile("dnaembed", deadline=None)
settings.load_profile("dnaembed")


def random_dna(n, low=50, high=400, seed=0, alphabet="ACGT"):
    """Return n random sequences of low to high - 1 bases."""
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list(alphabet), rng.integers(low, high))) for _ in range(n)]


@pytest.fixture
def reads():
    return random_dna(12)
