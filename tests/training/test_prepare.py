"""What is drawn and collated ahead: pairs, mixing, chunks."""

import itertools

import numpy as np
import pytest
import torch

from dnaembed.training._prepare import draw_mixing, plan_chunks
from tests.helpers.toys import ToySource, make_trainer, same, weights


@pytest.mark.parametrize("loss", ["weighted_simclr", "mi_mix", "i_mix", "supcon"])
def test_ablation_uses_one_loss(loss):
    trainer = make_trainer(loss=loss, n_steps=4)
    layers = {
        chunk.mixing.layer
        for step in range(20)
        for chunk in trainer._prepare(step).chunks
        if chunk.mixing is not None
    }
    assert layers == {"mi_mix": {0, 1, 2}, "i_mix": {0}}.get(loss, set())
    before = weights(trainer)
    trainer.train()
    assert {row["phase"] for row in trainer.history} == {loss}
    assert not same(before, weights(trainer))


def test_chunks_keep_each_row_once_with_its_partner_within_the_budget():
    rng = np.random.default_rng(0)
    numbers = list(range(40))
    costs = {i: int(c) for i, c in enumerate(rng.integers(1, 50, 60))}
    partner = {i: int(p) for i, p in enumerate(rng.integers(0, 60, 20))}
    chunks = plan_chunks(numbers, partner, costs, 200)
    assert sorted(itertools.chain(*(kept for kept, _ in chunks))) == numbers
    for kept, extra in chunks:
        present = kept + extra
        assert len(set(present)) == len(present)
        assert {partner.get(i, i) for i in kept} <= set(present)
        assert len(present) * max(costs[i] for i in present) <= 200
    assert plan_chunks(numbers, {}, costs, None) == [(numbers, [])]


def test_a_source_that_gives_too_little_is_an_error():
    class Short(ToySource):
        def sample(self, step, n_pairs):
            return super().sample(step, n_pairs - 1)

    with pytest.raises(ValueError, match="gave 7 and 7 views and 7 labels at step 0; 8 of each"):
        make_trainer(source=Short()).train()


def test_permutations_cover_the_batch_and_coefficients_are_folded():
    draws = [draw_mixing(7, 4, seed=0, step=step) for step in range(2000)]
    other = draw_mixing(7, 4, seed=1, step=0)
    assert (draws[0].coefficients != other.coefficients).all()
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
