"""Which weights are trained, anchored and averaged."""

import pytest
import torch
from safetensors.torch import load_file

from tests.helpers.toys import ToySource, make_trainer, same, weights


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"n_trainable_layers": 1, "head_size": None}, {"blocks.2", "last"}),
        ({"n_trainable_layers": 0}, {"last", "head.0", "head.2"}),
    ],
)
def test_which_weights_move(config, expected):
    trainer = make_trainer(n_steps=2, **config)
    before = weights(trainer)
    trainer.train()
    after = weights(trainer)
    moved = {name.rpartition(".")[0] for name in before if not before[name].equal(after[name])}
    assert moved == expected
    assert all(p.requires_grad for p in trainer.backbone.model.parameters())


def test_anchor_holds_the_weights():
    def distance(anchor):
        trainer = make_trainer(anchor=anchor, n_steps=20)
        before = weights(trainer)
        after = weights(trainer) if trainer.train() else {}
        encoder = [name for name in before if not name.startswith("head.")]
        return sum((after[n] - before[n]).square().sum().item() for n in encoder) ** 0.5

    assert distance(50.0) < 0.6 * distance(0.0)
    assert distance(1e6) < 1e-6  # all the way back after each step


def test_average_follows_its_recurrence_and_is_what_is_validated_and_returned(tmp_path):
    trainer = make_trainer(tmp_path, ema_decay=0.5, n_steps=4, validation_source=ToySource(seed=1))
    expected = [p.detach().clone() for p in trainer._weights]
    update = trainer._update

    def follow(prepared):
        result = update(prepared)
        decay = min(0.5, (1 + trainer.step) / (10 + trainer.step))
        for i, p in enumerate(trainer._weights):
            expected[i] = decay * expected[i] + (1 - decay) * p.detach()
        return result

    trainer._update = follow
    trainer.train()
    for p, e in zip(trainer._encoder_weights, expected, strict=False):
        torch.testing.assert_close(p.detach(), e)
    saved = load_file(tmp_path / "best" / "model" / "model.safetensors")
    assert same(saved, trainer.backbone.model.state_dict())
