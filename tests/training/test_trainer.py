"""`ContrastiveTrainer`: curriculum, weights, validation, logs, checkpoints, resuming."""

import json
from unittest.mock import Mock

import pytest
import torch
from safetensors.torch import load_file

from dnaembed.training import TrainingConfig
from dnaembed.training._trainer import freeze_first_layers, latest_checkpoint, write_checkpoint
from tests.helpers.toys import ToyBackbone, ToySource, make_trainer, read_rows, same, weights


def test_training_lowers_the_validation_loss_of_other_reads():
    others = {"validation_source": ToySource(seed=1), "eval_every": 20}
    trainer = make_trainer(n_steps=60, batch_size=16, loss="c2lr", **others)
    before = trainer._validation_loss(trainer.validation_source)["validation_loss"]
    trainer.train()
    phases = [row["phase"] for row in trainer.history]
    assert phases == ["weighted_simclr"] * 20 + ["mi_mix"] * 40
    after = [row["validation_loss"] for row in trainer.validations]
    assert len(after) == 3
    assert min(after) < 0.9 * before
    assert trainer.best["validation_loss"] == min(after)


def test_gradients_are_clipped():
    trainer = make_trainer(temperature=0.01)
    trainer._both.train()
    _, norm = trainer._update(trainer._compute.prepare(trainer.source, 0))
    assert norm > 2
    clipped = sum(p.grad.square().sum() for p in trainer._weights).sqrt().item()
    assert clipped == pytest.approx(1.0, rel=1e-3)


def test_a_loss_that_is_not_finite_is_an_error():
    trainer = make_trainer(learning_rate=1e30, n_steps=20, warmup=0)
    with pytest.raises(FloatingPointError, match=r"The loss is nan at step \d+: lower"):
        trainer.train()


def test_the_best_weights_are_kept(tmp_path, monkeypatch):
    losses, fingerprints = iter([3.0, 1.0, 2.0]), []
    trainer = make_trainer(tmp_path, eval_every=2, validation_source=ToySource(seed=1))

    def validate(source):
        assert not trainer.backbone.model.training
        fingerprints.append(trainer.backbone.fingerprint())
        return {"validation_loss": next(losses)}

    monkeypatch.setattr(trainer, "_validation_loss", validate)
    backbone = trainer.train()
    assert trainer.best == {"step": 4, "validation_loss": 1.0}
    assert backbone.fingerprint() == fingerprints[1] != fingerprints[2]
    assert not backbone.model.training
    saved = load_file(tmp_path / "best" / "model" / "model.safetensors")
    assert same(saved, backbone.model.state_dict())
    assert json.loads((tmp_path / "best" / "validation.json").read_text()) == trainer.best
    rows = read_rows(tmp_path / "validation.csv")
    assert [row["validation_loss"] for row in rows] == ["3", "1", "2"]


def test_validation_is_the_same_each_time():
    others = {"validation_source": ToySource(seed=3), "eval_every": 2}
    trainer = make_trainer(learning_rate=0.0, dropout=0.5, **others)
    trainer.train()
    values = [{k: v for k, v in row.items() if k != "step"} for row in trainer.validations]
    assert len(values) == 3
    assert values[0] == values[1] == values[2]
    assert set(values[0]) == {"validation_loss", "validation_alignment", "validation_uniformity"}


def test_log_has_a_row_a_step(tmp_path):
    trainer = make_trainer(tmp_path, n_steps=5, log_every=2)
    trainer.train()
    rows = read_rows(tmp_path / "log.csv")
    assert [row["step"] for row in rows] == ["2", "4", "5"]
    for row, kept in zip(rows, trainer.history, strict=True):
        for name in ("loss", "alignment", "uniformity", "gradient_norm"):
            assert float(row[name]) == pytest.approx(kept[name], rel=1e-5)
    content = json.loads((tmp_path / "training.json").read_text())
    assert TrainingConfig.from_dict(content["config"]) == trainer.config


RESUMABLE = {"n_steps": 12, "dropout": 0.2, "ema_decay": 0.9, "anchor": 0.5}
RESUMABLE |= {"eval_every": 3, "checkpoint_every": 4, "budget": 900}


def test_interrupted_and_resumed_is_bit_identical(tmp_path):
    def trainer(folder, **options):
        validation = ToySource(seed=8)
        return make_trainer(tmp_path / folder, validation_source=validation, **RESUMABLE | options)

    whole = trainer("whole")
    whole.train()
    first = trainer("parts")
    draw = first.source.sample
    first.source.sample = lambda step, n_pairs: draw(step, n_pairs if step < 10 else 0)
    with pytest.raises(ValueError, match="gave 0 and 0 views"):
        first.train()
    assert latest_checkpoint(tmp_path / "parts" / "checkpoints")[0] == 8
    second = trainer("parts", n_workers=2)
    second.train(resume=True)
    assert same(weights(whole), weights(second))
    assert whole.validations == second.validations
    assert whole.best == second.best
    losses = [[row["loss"] for row in t.history] for t in (whole, second)]
    assert losses[0] == losses[1]
    runs = [tmp_path / "whole", tmp_path / "parts"]
    logs = [[row["loss"] for row in read_rows(run / "log.csv")] for run in runs]
    assert logs[0] == logs[1]
    assert len(logs[0]) == 12
    newest = [max((run / "checkpoints").iterdir()) for run in runs]
    assert same(*(load_file(checkpoint / "state.safetensors") for checkpoint in newest))


def test_a_finished_run_resumes_to_its_result(tmp_path):
    trainer, again = (make_trainer(tmp_path, **RESUMABLE) for _ in range(2))
    trainer.train(resume=True)  # from the start
    again.train(resume=True)
    assert same(weights(trainer), weights(again))


def test_resume_refuses_another_recipe(tmp_path):
    make_trainer(tmp_path, checkpoint_every=3).train()
    with pytest.raises(ValueError, match=r"other values of \['n_steps', 'temperature'\]"):
        make_trainer(tmp_path, checkpoint_every=3, n_steps=9, temperature=0.1).train(resume=True)


def test_wrong_combinations():
    with pytest.raises(ValueError, match="checkpoint_every needs an output_dir"):
        make_trainer(checkpoint_every=2)
    with pytest.raises(ValueError, match="mixes at the input of a hidden layer"):
        make_trainer(n_layers=0)
    with pytest.raises(ValueError, match=r"whose 2 hidden layers are one ModuleList; ToyModel has"):
        freeze_first_layers(ToyBackbone(num_hidden_layers=3).model, 2, 1)


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


def test_only_the_newest_checkpoints_are_kept(tmp_path):
    make_trainer(tmp_path, checkpoint_every=1).train()
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["step-000000005", "step-000000006"]


def test_half_a_checkpoint_is_none(tmp_path, monkeypatch):
    write_checkpoint(tmp_path, 1, {"a": torch.ones(2)}, {})
    full = Mock(side_effect=OSError("disk full"))
    monkeypatch.setattr("dnaembed.training._trainer.save_file", full)
    with pytest.raises(OSError, match="disk full"):
        write_checkpoint(tmp_path, 2, {"a": torch.ones(2)}, {})
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000001"]
    assert latest_checkpoint(tmp_path)[0] == 1
    assert latest_checkpoint(tmp_path / "nowhere") is None
