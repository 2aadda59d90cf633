import numpy as np
import torch

from dnaembed.training._prepare import draw_mixing


def test_a_draw_depends_on_its_key_alone():
    state = torch.get_rng_state()
    np_state = np.random.get_state()[1].copy()  # noqa: NPY002
    one = draw_mixing(12, 5, seed=3, step=9)
    two = draw_mixing(12, 5, seed=3, step=9)
    assert one.layer == two.layer
    assert (one.permutation == two.permutation).all()
    assert (one.coefficients == two.coefficients).all()
    assert torch.equal(state, torch.get_rng_state())
    assert (np_state == np.random.get_state()[1]).all()  # noqa: NPY002
    for other in (draw_mixing(12, 5, seed=4, step=9), draw_mixing(12, 5, seed=3, step=10)):
        assert (one.coefficients != other.coefficients).all()


def test_permutations_cover_the_batch_and_coefficients_are_folded():
    draws = [draw_mixing(7, 4, seed=0, step=step) for step in range(2000)]
    assert all(sorted(d.permutation.tolist()) == list(range(7)) for d in draws)
    shares = torch.cat([d.coefficients for d in draws]).numpy()
    # max(c, 1 - c) of a uniform c is uniform from 0.5 to 1.
    assert shares.min() >= 0.5
    assert abs(shares.mean() - 0.75) < 0.01
    assert abs((shares < 0.6).mean() - 0.2) < 0.02
    layers = np.bincount([d.layer for d in draws], minlength=4) / len(draws)
    assert layers.shape == (4,)
    assert np.abs(layers - 0.25).max() < 0.05
    # Each row meets each other (and itself) equally often.
    partners = np.bincount([int(d.permutation[0]) for d in draws], minlength=7) / len(draws)
    assert np.abs(partners - 1 / 7).max() < 0.04


def test_alpha_moves_the_coefficients():
    shares = draw_mixing(5000, 1, seed=0, step=0, alpha=20.0).coefficients
    assert 0.5 <= shares.min() < shares.mean() < 0.62
