"""Sequencing errors of long reads: substitutions, insertions, deletions, more of them in runs."""

from collections.abc import Sequence
from math import isclose

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..composition._counting import BASE_CODES
from ..utils._compile import compiled

LETTERS = np.frombuffer(b"ACGTN", dtype=np.uint8)
_LONGEST_RUN = 8  # beyond it a run is not more error-prone
_SHARES, _BIAS = (0.4, 0.25, 0.35), 1.0
#: What the compiled code wants: shares of the three kinds, and how much worse runs are.
ERRORS = np.array([*_SHARES, _BIAS])


def add_errors(
    sequences: Sequence[str],
    rate: ArrayLike,
    *,
    shares: tuple[float, float, float] = _SHARES,
    random_state: int | np.random.Generator | None = None,
) -> list[str]:
    """Return copies of sequences as a long-read sequencer would have read them.

    Insertions and deletions are ``1 + r`` times as frequent at a base with `r` (up to 8) equal ones
    before it. In such a run, an insertion repeats the letter.

    Parameters
    ----------
    sequences : sequence of str
        Sequences in ``ACGTN``; an N stays.
    rate : float or array-like of shape (n_sequences,)
        Expected errors per base, from 0 to 0.5.
    shares : tuple of three floats, default=(0.4, 0.25, 0.35)
        Shares of substitutions, insertions and deletions; they add up to one.
    random_state : int, numpy Generator or None, default=None
        Source of randomness.

    Returns
    -------
    list of str
        At least one base each.

    Examples
    --------
    >>> from dnaembed.training import add_errors
    >>> add_errors(["ACGTACGTAC"], 0.0, random_state=0)
    ['ACGTACGTAC']
    """
    rates = np.broadcast_to(np.asarray(rate, dtype=np.float64), (len(sequences),))
    check_rates(rates)
    if len(shares) != 3 or min(shares) < 0 or not isclose(sum(shares), 1.0, abs_tol=1e-9):
        raise ValueError(f"shares must be three numbers that add up to 1, got {shares}.")
    parameters = np.array([*shares, _BIAS])
    rng = np.random.default_rng(random_state)
    seeds = rng.integers(0, 2**63, size=len(sequences), dtype=np.uint64)
    noisy = []
    for sequence, one_rate, seed in zip(sequences, rates, seeds, strict=True):
        codes = BASE_CODES[np.frombuffer(sequence.encode("ascii"), dtype=np.uint8)]
        out = np.empty(2 * codes.size + 1, dtype=np.uint8)
        n = corrupt(codes, codes.size, one_rate, parameters, np.array([seed]), out)
        noisy.append(LETTERS[out[:n]].tobytes().decode("ascii"))
    return noisy


def check_rates(rates: NDArray[np.float64]) -> None:
    """Refuse rates for which the model has no meaning."""
    if rates.size and not (rates.min() >= 0 and rates.max() <= 0.5):
        raise ValueError(f"Error rates must be from 0 to 0.5, got {rates.min()} to {rates.max()}.")


@compiled
def random_bits(state):  # type: ignore[no-untyped-def]
    """Return 64 random bits and move on (SplitMix64: Steele, Lea, Flood, OOPSLA 2014)."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    z = state[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@compiled
def corrupt(codes, n, rate, model, state, out):  # type: ignore[no-untyped-def]
    """Copy `n` base codes with errors into `out` (room for ``2 n + 1``); return how many."""
    if rate <= 0.0:
        out[:n] = codes[:n]
        return n
    bias = model[3]
    # A base of a random sequence has r equal ones before it with probability (3/4) (1/4)^r.
    scale = rate / (1.0 + bias / 3.0)
    substitution = rate * model[0]
    m = 0
    run = 0
    previous = 9
    for i in range(n):
        base = codes[i]
        run = min(run + 1, _LONGEST_RUN) if base == previous else 0
        previous = base
        indel = scale * (1.0 + bias * run)
        insertion = min(indel * model[1], 0.3)
        deletion = min(indel * model[2], 0.3)
        bits = random_bits(state)
        u = (bits >> np.uint64(11)) * (1.0 / 9007199254740992.0)
        if base > 3 or u >= substitution + insertion + deletion:
            out[m] = base
            m += 1
        elif u < substitution:
            out[m] = (base + 1 + random_bits(state) % np.uint64(3)) & 3
            m += 1
        elif u < substitution + insertion:
            out[m] = base if run > 0 else np.uint8(random_bits(state) & np.uint64(3))
            out[m + 1] = base
            m += 2
    if m == 0:  # everything was deleted: a read has at least one base
        out[0] = codes[0]
        m = 1
    return m
