from difflib import SequenceMatcher

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnaembed.training import add_errors
from tests.helpers.dna import random_sequence


@given(st.text("ACGTN", min_size=1, max_size=200), st.floats(0, 0.5), st.integers(0, 2**32))
def test_reads_stay_reads(sequence, rate, seed):
    (noisy,) = add_errors([sequence], rate, random_state=seed)
    assert 1 <= len(noisy) <= 2 * len(sequence) + 1
    assert set(noisy) <= set("ACGTN")
    assert add_errors([sequence], 0.0, random_state=seed) == [sequence]
    assert add_errors([sequence], rate, random_state=seed) == [noisy]


def test_each_read_has_a_rate_and_unknown_bases_stay():
    sequence = random_sequence(5000) + "N" * 30
    clean, noisy = add_errors([sequence, sequence], [0.0, 0.2], random_state=0)
    assert clean == sequence
    assert SequenceMatcher(None, sequence[:500], noisy[:500]).ratio() < 0.97
    assert noisy.count("N") == 30


@pytest.mark.parametrize(
    ("rate", "shares", "message"),
    [
        (0.1, (0.5, 0.5, 0.5), "add up to 1"),
        (0.1, (-0.5, 1.0, 0.5), "add up to 1"),
        (0.1, (0.5, 0.5), "three numbers"),
        (0.6, (1, 0, 0), r"from 0 to 0\.5"),
        (float("nan"), (1, 0, 0), r"from 0 to 0\.5"),
    ],
)
def test_bad_parameters(rate, shares, message):
    with pytest.raises(ValueError, match=message):
        add_errors(["ACGT"], rate, shares=shares)


@pytest.mark.parametrize(("shares", "longer"), [((0, 1, 0), True), ((0, 0, 1), False)])
def test_rate_and_kind_of_indels(shares, longer):
    sequence = random_sequence(200_000)
    change = len(add_errors([sequence], 0.1, shares=shares, random_state=0)[0]) - len(sequence)
    assert (change > 0) is longer
    # The bias is scaled such that the rate over a random sequence is what was asked.
    assert abs(change) / len(sequence) == pytest.approx(0.1, rel=0.05)


def test_rate_of_substitutions_and_evenness():
    sequence = random_sequence(200_000)
    noisy = add_errors([sequence], 0.1, shares=(1, 0, 0), random_state=0)[0]
    assert len(noisy) == len(sequence)
    pairs = [(a, b) for a, b in zip(sequence, noisy, strict=True) if a != b]
    assert len(pairs) / len(sequence) == pytest.approx(0.1, rel=0.05)
    kinds = np.unique([a + b for a, b in pairs], return_counts=True)[1]
    assert len(kinds) == 12
    assert kinds.max() / kinds.min() < 1.2


def test_runs_lose_more_bases_and_insertions_repeat_the_letter():
    texts = ["AAAAAAACGT" * 5000, "ACGTACGTAC" * 5000]
    runs, even = (len(add_errors([t], 0.1, shares=(0, 0, 1), random_state=0)[0]) for t in texts)
    assert runs < even - 5000
    noisy = add_errors(["A" * 2000], 0.1, shares=(0, 1, 0), random_state=0)[0]
    assert len(noisy) > 2000
    assert noisy.count("A") >= len(noisy) - 1  # only the very first base is in no run yet
