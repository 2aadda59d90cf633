import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnaembed.embedding._windows import pool_windows, split_windows


@given(st.text("ACGT", min_size=1, max_size=300), st.integers(1, 320))
def test_windows_cover_the_sequence_evenly(sequence, window_size):
    windows = split_windows(sequence, window_size)
    lengths = [len(window) for window in windows]
    assert "".join(windows) == sequence
    assert max(lengths) <= window_size
    assert max(lengths) - min(lengths) <= 1
    assert len(windows) == -(-len(sequence) // window_size)


def test_no_window_size_means_one_pass():
    assert split_windows("ACGT" * 1000, None) == ["ACGT" * 1000]


def test_pooling_is_the_length_weighted_mean_and_leaves_single_windows_alone():
    rows = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    pooled = pool_windows(rows, [7, 10, 5, 9], np.array([0, 1, 1, 2]), 3)
    assert pooled.dtype == np.float32
    assert (pooled[[0, 2]] == rows[[0, 3]]).all()
    assert pooled[1] == pytest.approx((10 * rows[1] + 5 * rows[2]) / 15, abs=1e-6)
