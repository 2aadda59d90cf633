"""Steps: what is drawn and collated ahead, loss and gradients, whole and in chunks."""

import itertools
from copy import deepcopy

import numpy as np
import pytest
import torch

from dnaembed.training import ContrastiveTrainer, TrainingConfig, weighted_simclr
from dnaembed.training._recipe import make_backbone
from dnaembed.training._step import draw_mixing, plan_chunks
from dnaembed.utils._randomness import derive_seed
from tests.helpers.random_models import SIZES, embed
from tests.helpers.toys import ToySource, gradients, make_trainer, same, weights


@pytest.mark.parametrize("loss", ["weighted_simclr", "mi_mix", "i_mix", "supcon"])
def test_ablation_uses_one_loss(loss):
    trainer = make_trainer(loss=loss, n_steps=4)
    layers = {
        chunk.mixing.layer
        for step in range(20)
        for chunk in trainer._compute.prepare(trainer.source, step).chunks
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


def test_a_step_is_the_loss_of_its_batch():
    trainer = make_trainer(loss="weighted_simclr")
    output, found = gradients(trainer, 3)
    batch = trainer.source.sample(3, 8)
    features = trainer.backbone.featurize(batch.view1 + batch.view2)
    z = trainer.head(trainer.backbone.embed(trainer.backbone.collate(features)))
    loss = weighted_simclr(z[:8], z[8:], temperature=0.05, labels=torch.from_numpy(batch.labels))
    expected = torch.autograd.grad(loss, trainer._weights)
    torch.testing.assert_close(output.loss, loss.detach())
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6 * float(other.abs().max()))


@pytest.mark.parametrize("loss", ["weighted_simclr", "mi_mix", "supcon"])
@pytest.mark.parametrize("budget", [1, 700, 1500])
@pytest.mark.parametrize(
    # In float32 the rounding of z, divided by the temperature, is larger than 1e-6.
    ("dtype", "temperature", "tolerance"),
    [(torch.float64, 0.05, 1e-12), (torch.float32, 1.0, 3e-6)],
)
def test_cached_gradients_are_those_of_the_whole_batch(loss, budget, dtype, temperature, tolerance):
    how = {"loss": loss, "temperature": temperature}
    whole, chunked = make_trainer(**how), make_trainer(**how, budget=budget)
    for trainer in (whole, chunked):
        trainer.backbone.model.to(dtype)
        trainer.head.to(dtype)
    for step in range(3):
        assert len(chunked._compute.prepare(chunked.source, step).chunks) > 1
        one, expected = gradients(whole, step)
        two, found = gradients(chunked, step)
        assert one.z1.dtype == dtype
        torch.testing.assert_close(two.loss, one.loss, rtol=tolerance, atol=0)
        largest = max(float(b.abs().max()) for b in expected)
        for a, b in zip(found, expected, strict=True):
            assert (a - b).abs().max() <= tolerance * largest
        for trainer in (whole, chunked):
            trainer._optimizer.zero_grad()


def test_cached_gradients_replay_the_dropout():
    # Autograd through the very chunks, all at once, is the truth.
    trainer = make_trainer(loss="mi_mix", dropout=0.5, budget=900)
    trainer.backbone.model.double()
    trainer.head.double()
    prepared = trainer._compute.prepare(trainer.source, 2)
    assert len(prepared.chunks) > 2
    output, found = gradients(trainer, 2)
    seeds = [derive_seed(trainer.config.seed, 2, 0, i) for i in range(len(prepared.chunks))]
    parts = map(trainer._compute._forward, prepared.chunks, seeds)
    rows = torch.cat([chunk.rows for chunk in prepared.chunks])
    z = torch.cat([*parts])[rows.argsort()]
    loss = trainer._compute._loss(prepared, z[:8], z[8:])
    expected = torch.autograd.grad(loss, trainer._weights)
    torch.testing.assert_close(output.loss, loss.detach())
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("mixed_precision", ["bf16", "fp16"])
def test_mixed_precision_learns_as_full_precision(mixed_precision):
    full, mixed = make_trainer(n_steps=1), make_trainer(n_steps=1, mixed_precision=mixed_precision)
    dtypes = set()
    mixed.backbone.model.first.register_forward_hook(lambda *a: dtypes.add(a[-1].dtype))
    expected, found = gradients(full, 0), gradients(mixed, 0)
    assert dtypes == {torch.bfloat16 if mixed_precision == "bf16" else torch.float16}
    assert found[0].z1.dtype == torch.float32
    assert found[0].loss.item() == pytest.approx(expected[0].loss.item(), rel=0.1)
    for trainer in (full, mixed):
        trainer.train()
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in mixed._weights)
    assert mixed.history[0]["loss"] == pytest.approx(full.history[0]["loss"], rel=0.1)


class FewSource(ToySource):
    """Statistics and tokens need no thousands of reads here."""

    def sample(self, step, n_pairs):
        return super().sample(step % 4, min(n_pairs, 16))


@pytest.fixture(scope="module", params=["kmer_profile", "dnabert"])
def real_backbone(request):
    section = {
        "kmer_profile": {"k": [3], "hidden_size": 16, "intermediate_size": 16, "linear_size": 4},
        "dnabert": SIZES | {"vocab_size": 40, "num_hidden_layers": 3},
    }[request.param]
    return make_backbone({"architecture": request.param} | section, FewSource(), seed=0)


def test_real_models_learn(real_backbone):
    backbone = deepcopy(real_backbone)
    options = {"mixed_precision": "bf16", "n_trainable_layers": 1, "budget": 300, "loss": "i_mix"}
    config = TrainingConfig(n_steps=8, batch_size=8, learning_rate=1e-3, **options)
    ContrastiveTrainer(backbone, ToySource(), config, device="cpu").train()
    assert backbone.fingerprint() != real_backbone.fingerprint()
    assert all(p.isfinite().all() for p in backbone.model.parameters())
    assert embed(backbone, ["ACGT" * 30, "GGCA" * 30]).isfinite().all()
