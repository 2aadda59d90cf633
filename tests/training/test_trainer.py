import csv
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tqdm import tqdm

from dnaembed.training import ContrastiveTrainer, TrainingConfig, weighted_simclr
from dnaembed.training._checkpoint import CsvLog, latest_checkpoint, write_checkpoint
from dnaembed.training._config import saved_config
from dnaembed.training._prepare import ahead, plan_chunks
from dnaembed.training._recipe import make_backbone
from dnaembed.training._weights import freeze_first_layers
from dnaembed.utils._randomness import derive_seed
from tests.helpers.toys import ToyBackbone, ToySource, weights


def make(tmp_path=None, *, dropout=0.0, source=None, n_layers=3, validation_source=None, **config):
    config = {"n_steps": 6, "batch_size": 8, "learning_rate": 1e-2, "log_every": 1} | config
    return ContrastiveTrainer(
        ToyBackbone(dropout=dropout, num_hidden_layers=n_layers),
        source or ToySource(),
        TrainingConfig(**config),
        validation_source=validation_source,
        output_dir=tmp_path,
        device="cpu",
    )


def gradients(trainer, step):
    trainer._training_mode()
    output = trainer._compute.gradients(trainer._prepare(step), step)
    return output, [p.grad.clone() for p in trainer._weights]


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def read_rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


# Losses and curriculum


def test_training_lowers_the_validation_loss_of_other_reads():
    trainer = make(
        n_steps=60, batch_size=16, eval_every=20, validation_source=ToySource(seed=1), loss="c2lr"
    )
    before = trainer._validation_loss(trainer.validation_source)["validation_loss"]
    trainer.train()
    after = [row["validation_loss"] for row in trainer.validations]
    assert len(after) == 3
    assert min(after) < 0.9 * before
    assert trainer.best["validation_loss"] == min(after)


def test_curriculum_switches_once():
    trainer = make(n_steps=9, phase_split=1 / 3)
    trainer.train()
    assert [row["phase"] for row in trainer.history] == ["weighted_simclr"] * 3 + ["mi_mix"] * 6


@pytest.mark.parametrize("loss", ["weighted_simclr", "mi_mix", "i_mix", "supcon"])
def test_ablation_uses_one_loss(loss):
    trainer = make(loss=loss, n_steps=4)
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


def test_a_step_is_the_loss_of_its_batch():
    trainer = make(loss="weighted_simclr")
    output, found = gradients(trainer, 3)
    batch = trainer.source.sample(3, 8)
    features = trainer.backbone.featurize(batch.view1 + batch.view2)
    z = trainer.head(trainer.backbone.embed(trainer.backbone.collate(features)))
    loss = weighted_simclr(z[:8], z[8:], temperature=0.05, labels=torch.from_numpy(batch.labels))
    expected = torch.autograd.grad(loss, trainer._weights)
    torch.testing.assert_close(output.loss, loss.detach())
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6 * float(other.abs().max()))


# Cached gradients


@pytest.mark.parametrize("loss", ["weighted_simclr", "mi_mix", "supcon"])
@pytest.mark.parametrize("budget", [1, 700, 1500])
@pytest.mark.parametrize(
    # In float32 the rounding of z, divided by the temperature, is larger than 1e-6.
    ("dtype", "temperature", "tolerance"),
    [(torch.float64, 0.05, 1e-12), (torch.float32, 1.0, 3e-6)],
)
def test_cached_gradients_are_those_of_the_whole_batch(loss, budget, dtype, temperature, tolerance):
    whole, chunked = (make(loss=loss, temperature=temperature, budget=b) for b in (None, budget))
    for trainer in (whole, chunked):
        trainer.backbone.model.to(dtype)
        trainer.head.to(dtype)
    for step in range(3):
        assert len(chunked._prepare(step).chunks) > 1
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
    trainer = make(loss="mi_mix", dropout=0.5, budget=900)
    trainer.backbone.model.double()
    trainer.head.double()
    prepared = trainer._prepare(2)
    assert len(prepared.chunks) > 2
    output, found = gradients(trainer, 2)
    parts = [
        trainer._compute._forward(chunk, derive_seed(trainer.config.seed, 2, 0, i))
        for i, chunk in enumerate(prepared.chunks)
    ]
    rows = torch.cat([chunk.rows for chunk in prepared.chunks])
    z = torch.cat(parts)[rows.argsort()]
    loss = trainer._compute._loss(prepared, z[:8], z[8:])
    expected = torch.autograd.grad(loss, trainer._weights)
    torch.testing.assert_close(output.loss, loss.detach())
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)


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


# Randomness


def test_global_generators_are_left_alone():
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    make(dropout=0.3).train()
    assert torch.equal(torch_state, torch.get_rng_state())
    assert (numpy_state == np.random.get_state()[1]).all()  # noqa: NPY002


def test_weights_depend_on_the_seed_and_not_on_the_number_of_workers():
    trainers = [make(dropout=0.2, **p) for p in ({}, {"n_workers": 3}, {"seed": 1})]
    one, two, three = (weights(t) for t in trainers if t.train())
    assert same(one, two)
    assert not same(one, three)


def test_results_come_in_order_and_errors_in_their_place():
    def work(step):
        time.sleep(0.01 * (step % 3))
        if step == 7:
            raise ValueError("bad read")
        return step

    results = ahead(work, range(10), 4)
    assert [next(results) for _ in range(7)] == list(range(7))
    with pytest.raises(ValueError, match="bad read"):
        next(results)


# Optimiser


def test_learning_rates_warm_up_and_fall():
    config = TrainingConfig(n_steps=100, warmup=0.1, final_learning_rate=0.1)
    factors = [config.learning_rate_factor(step) for step in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert max(factors) == factors[10] == factors[9] == 1.0
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert factors[-1] == pytest.approx(0.1, abs=0.01)


def test_encoder_and_head_have_rates_of_their_own():
    trainer = make(learning_rate=0.0, head_learning_rate=0.1, n_steps=2)
    before = weights(trainer)
    trainer.train()
    after = weights(trainer)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"head.0.weight", "head.2.weight"}


def test_only_the_last_layers_are_trained():
    trainer = make(n_trainable_layers=1, head_size=None, n_steps=2)
    before = weights(trainer)
    trainer.train()
    after = weights(trainer)
    moved = {
        name.rpartition(".")[0] for name in before if not torch.equal(before[name], after[name])
    }
    assert moved == {"blocks.2", "last"}
    assert all(p.requires_grad for p in trainer.backbone.model.parameters())


def test_anchor_holds_the_weights():
    def distance(anchor):
        trainer = make(anchor=anchor, n_steps=20)
        before = weights(trainer)
        after = weights(trainer) if trainer.train() else {}
        encoder = [name for name in before if not name.startswith("head.")]
        return sum((after[n] - before[n]).square().sum().item() for n in encoder) ** 0.5

    assert distance(50.0) < 0.6 * distance(0.0)
    assert distance(1e6) < 1e-6  # all the way back after each step


def test_average_is_what_is_validated_and_returned(tmp_path):
    trainer = make(tmp_path, ema_decay=0.5, validation_source=ToySource(seed=1))
    raw = []
    update = trainer._update
    trainer._update = lambda prepared: (
        update(prepared),
        raw.append(trainer.backbone.fingerprint()),
    )[0]
    trainer.train()
    saved = load_file(tmp_path / "best" / "model" / "model.safetensors")
    assert same(saved, trainer.backbone.model.state_dict())
    assert trainer.backbone.fingerprint() != raw[-1]


def test_average_follows_its_recurrence():
    trainer = make(ema_decay=0.5, n_steps=4)
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
    for p, e in zip(trainer._weights, expected, strict=True):
        torch.testing.assert_close(p.detach(), e)


def test_gradients_are_clipped():
    trainer = make(temperature=0.01)
    trainer._training_mode()
    _, norm = trainer._update(trainer._prepare(0))
    assert norm > 2
    clipped = sum(p.grad.square().sum() for p in trainer._weights).sqrt().item()
    assert clipped == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize("mixed_precision", ["bf16", "fp16"])
def test_mixed_precision_learns_as_full_precision(mixed_precision):
    full, mixed = make(n_steps=1), make(n_steps=1, mixed_precision=mixed_precision)
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


def test_a_loss_that_is_not_finite_is_an_error():
    trainer = make(learning_rate=1e30, n_steps=20, warmup=0)
    with pytest.raises(FloatingPointError, match=r"The loss is nan at step \d+: lower"):
        trainer.train()


# Validation and stopping


def test_the_best_weights_are_kept(tmp_path, monkeypatch):
    losses, fingerprints = iter([3.0, 1.0, 2.0]), []
    trainer = make(tmp_path, eval_every=2, validation_source=ToySource(seed=1))

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
    assert [row["validation_loss"] for row in read_rows(tmp_path / "validation.csv")] == [
        "3",
        "1",
        "2",
    ]


def test_validation_is_the_same_each_time():
    trainer = make(
        learning_rate=0.0, eval_every=2, dropout=0.5, validation_source=ToySource(seed=3)
    )
    trainer.train()
    values = [{k: v for k, v in row.items() if k != "step"} for row in trainer.validations]
    assert len(values) == 3
    assert values[0] == values[1] == values[2]
    assert set(values[0]) == {"validation_loss", "validation_alignment", "validation_uniformity"}


# Logs


def test_log_has_a_row_a_step(tmp_path):
    trainer = make(tmp_path, n_steps=5, log_every=2)
    trainer.train()
    rows = read_rows(tmp_path / "log.csv")
    assert [row["step"] for row in rows] == ["2", "4", "5"]
    for row, kept in zip(rows, trainer.history, strict=True):
        for name in ("loss", "alignment", "uniformity", "gradient_norm"):
            assert float(row[name]) == pytest.approx(kept[name], rel=1e-5)
    content = json.loads((tmp_path / "training.json").read_text())
    assert TrainingConfig.from_dict(content["config"]) == trainer.config


def test_progress_bar_shows_the_loss(monkeypatch):
    shown = []

    class Bar(tqdm):
        def set_postfix(self, values, **_):
            shown.append(values)

    monkeypatch.setattr(
        "dnaembed.training._trainer.progress", lambda **kw: Bar(total=kw["total"], disable=True)
    )
    make(n_steps=3).train()
    assert [set(values) for values in shown] == [{"loss", "alignment", "uniformity"}] * 3


def test_resumed_log_drops_what_came_after_the_checkpoint(tmp_path):
    log = CsvLog(tmp_path / "log.csv")
    for step in range(1, 5):
        log.write({"step": step, "loss": step / 3})
    with log.path.open("a") as file:
        file.write("5,")  # cut off
    again = CsvLog(tmp_path / "log.csv", after=3)
    again.write({"step": 4, "loss": 0.5})
    assert [row["step"] for row in read_rows(log.path)] == ["1", "2", "3", "4"]
    assert read_rows(log.path)[-1]["loss"] == "0.5"
    CsvLog(tmp_path / "log.csv")
    assert read_rows(log.path) == []


# Checkpoints

RESUMABLE = {
    "n_steps": 12,
    "dropout": 0.2,
    "ema_decay": 0.9,
    "anchor": 0.5,
    "eval_every": 3,
    "checkpoint_every": 4,
    "budget": 900,
}


class DrawError(Exception):
    pass


class InterruptedSource(ToySource):
    """Fails when the pairs of a step are drawn."""

    def __init__(self, at, **kwargs):
        super().__init__(**kwargs)
        self.at = at

    def sample(self, step, n_pairs):
        if step == self.at:
            raise DrawError
        return super().sample(step, n_pairs)


def test_interrupted_and_resumed_is_bit_identical(tmp_path):
    validation = ToySource(seed=8)
    whole = make(tmp_path / "whole", validation_source=validation, **RESUMABLE)
    whole.train()
    first = make(
        tmp_path / "parts", source=InterruptedSource(10), validation_source=validation, **RESUMABLE
    )
    with pytest.raises(DrawError):
        first.train()
    assert latest_checkpoint(tmp_path / "parts" / "checkpoints").step == 8
    second = make(
        tmp_path / "parts", validation_source=validation, **(RESUMABLE | {"n_workers": 2})
    )
    second.train(resume=True)
    assert same(weights(whole), weights(second))
    assert whole.validations == second.validations
    assert whole.best == second.best
    without_time = [
        [{k: v for k, v in row.items() if k != "seconds"} for row in t.history]
        for t in (whole, second)
    ]
    assert without_time[0] == without_time[1]
    logs = [
        [row["loss"] for row in read_rows(tmp_path / run / "log.csv")] for run in ("whole", "parts")
    ]
    assert logs[0] == logs[1]
    assert len(logs[0]) == 12
    optimizers = [
        load_file(sorted((tmp_path / run / "checkpoints").iterdir())[-1] / "state.safetensors")
        for run in ("whole", "parts")
    ]
    assert same(*optimizers)


def test_a_finished_run_resumes_to_its_result(tmp_path):
    trainer = make(tmp_path, **RESUMABLE)
    trainer.train()
    again = make(tmp_path, **RESUMABLE)
    again.train(resume=True)
    assert same(weights(trainer), weights(again))


def test_resume_without_checkpoint_starts(tmp_path):
    trainer = make(tmp_path, n_steps=2)
    trainer.train(resume=True)
    assert trainer.step == 2


def test_resume_refuses_another_recipe(tmp_path):
    make(tmp_path, checkpoint_every=3).train()
    with pytest.raises(ValueError, match=r"other values of \['n_steps', 'temperature'\]"):
        make(tmp_path, checkpoint_every=3, n_steps=9, temperature=0.1).train(resume=True)


def test_only_the_newest_checkpoints_are_kept(tmp_path):
    make(tmp_path, checkpoint_every=1).train()
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["step-000000005", "step-000000006"]


def test_half_a_checkpoint_is_none(tmp_path, monkeypatch):
    write_checkpoint(tmp_path, 1, {"a": torch.ones(2)}, {})
    monkeypatch.setattr(
        "dnaembed.training._checkpoint.save_file",
        lambda *a: (_ for _ in ()).throw(OSError("disk full")),
    )
    with pytest.raises(OSError, match="disk full"):
        write_checkpoint(tmp_path, 2, {"a": torch.ones(2)}, {})
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000001"]
    assert latest_checkpoint(tmp_path).step == 1
    assert latest_checkpoint(tmp_path / "nowhere") is None


SCRIPT = """
import sys
from tqdm import tqdm

from tests.helpers.toys import ToyBackbone, ToySource
from dnaembed.training import ContrastiveTrainer, TrainingConfig
config = TrainingConfig(n_steps=400, batch_size=8, learning_rate=1e-2, ema_decay=0.99,
                        checkpoint_every=20, eval_every=50, budget=900)
trainer = ContrastiveTrainer(ToyBackbone(dropout=0.2), ToySource(), config, device="cpu",
                             validation_source=ToySource(seed=3), output_dir=sys.argv[1])
trainer.train(resume=True).save(sys.argv[1] + "/model")
"""


@pytest.mark.slow
def test_killed_and_resumed_is_bit_identical(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}

    def start(folder):
        return subprocess.Popen([sys.executable, script, tmp_path / folder], env=environment)

    assert start("whole").wait() == 0
    killed = 0
    for after in (60, 200):  # twice, each time somewhere after that step
        run = start("parts")
        while run.poll() is None:
            checkpoint = latest_step(tmp_path / "parts" / "checkpoints")
            if checkpoint >= after:
                run.send_signal(signal.SIGKILL)
                break
            time.sleep(0.02)
        killed += run.wait() == -signal.SIGKILL
    assert killed == 2
    assert latest_step(tmp_path / "parts" / "checkpoints") < 400
    assert start("parts").wait() == 0
    files = [tmp_path / run / "model" / "model.safetensors" for run in ("whole", "parts")]
    assert files[0].read_bytes() == files[1].read_bytes()


def latest_step(folder):
    names = [path.name for path in folder.glob("step-*")] if folder.is_dir() else []
    return max((int(name.removeprefix("step-")) for name in names), default=0)


# Wrong parameters


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"loss": "triplet"}, "loss must be one of"),
        ({"n_steps": 0}, "n_steps must be from 1"),
        ({"phase_split": 1.5}, "phase_split must be from 0 to 1, got 1.5"),
        ({"temperature": 0.0}, "temperature must be positive, got 0.0"),
        ({"betas": (0.9, 1.0)}, "betas must be two numbers"),
        ({"mixed_precision": "int8"}, "mixed_precision must be one of"),
        ({"seed": -1}, "seed must be from 0"),
    ],
)
def test_wrong_hyperparameters(values, message):
    with pytest.raises(ValueError, match=message):
        TrainingConfig(**values)


def test_unknown_hyperparameter():
    with pytest.raises(ValueError, match=r"Unknown training parameters \['lr'\]; there are"):
        TrainingConfig.from_dict({"lr": 1})
    with pytest.raises(ValueError, match=r"\['n_step'\]; .*\. Did you mean 'n_steps'\?"):
        TrainingConfig.from_dict({"n_step": 1})
    with pytest.raises(ValueError, match=r"Unknown training parameters \['patience'\]"):
        TrainingConfig.from_dict({"patience": None})


def test_runs_of_the_first_version_resume_where_they_used_what_remains():
    saved = TrainingConfig(n_steps=7).to_dict() | {"patience": None, "schedule": "cosine"}
    assert saved_config(saved | {"n_checkpoints": 9, "tensorboard": True}).n_steps == 7
    with pytest.raises(ValueError, match="used the training parameter patience, which this"):
        saved_config(saved | {"patience": 3})


def test_wrong_combinations():
    with pytest.raises(ValueError, match="checkpoint_every needs an output_dir"):
        make(checkpoint_every=2)
    with pytest.raises(ValueError, match="mixes at the input of a hidden layer"):
        make(n_layers=0)
    with pytest.raises(ValueError, match="gradient_checkpointing is not possible with ToyModel"):
        make(gradient_checkpointing=True)
    with pytest.raises(ValueError, match=r"whose 2 hidden layers are one ModuleList; ToyModel has"):
        freeze_first_layers(ToyBackbone(num_hidden_layers=3).model, 2, 1)


def test_a_source_that_gives_too_little_is_an_error():
    class Short(ToySource):
        def sample(self, step, n_pairs):
            return super().sample(step, n_pairs - 1)

    with pytest.raises(ValueError, match="gave 7 and 7 views and 7 labels at step 0; 8 of each"):
        make(source=Short()).train()


# The real models


class FewSource(ToySource):
    """Statistics and tokens need no thousands of reads here."""

    def sample(self, step, n_pairs):
        return super().sample(step % 4, min(n_pairs, 16))


@pytest.fixture(scope="module", params=["kmer_profile", "dnabert"])
def real_backbone(request):
    section = {
        "kmer_profile": {"k": [3], "hidden_size": 16, "intermediate_size": 16, "linear_size": 4},
        "dnabert": {
            "vocab_size": 40,
            "hidden_size": 32,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "intermediate_size": 48,
        },
    }[request.param]
    return make_backbone({"architecture": request.param} | section, FewSource(), seed=0)


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"budget": 300, "ema_decay": 0.9},
        {"mixed_precision": "bf16"},
        {"n_trainable_layers": 1},
        {"head_size": None, "loss": "i_mix"},
    ],
)
def test_real_models_learn(real_backbone, config):
    backbone = deepcopy(real_backbone)
    config = TrainingConfig(n_steps=8, batch_size=8, learning_rate=1e-3, log_every=1, **config)
    ContrastiveTrainer(backbone, ToySource(), config, device="cpu").train()
    assert backbone.fingerprint() != real_backbone.fingerprint()
    assert all(p.isfinite().all() for p in backbone.model.parameters())
    batch = backbone.collate(backbone.featurize(["ACGT" * 30, "GGCA" * 30]))
    with torch.inference_mode():
        assert backbone.embed(batch).isfinite().all()


def test_cached_gradients_of_a_transformer(real_backbone):
    found = []
    for budget in (None, 400):
        backbone = deepcopy(real_backbone)
        for module in backbone.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        config = TrainingConfig(
            batch_size=8,
            loss="mi_mix",
            temperature=0.5,
            budget=budget and budget // scale(backbone),
        )
        trainer = ContrastiveTrainer(backbone, ToySource(), config, device="cpu")
        assert (len(trainer._prepare(1).chunks) > 1) == (budget is not None)
        found.append(gradients_of(trainer, 1))
    largest = max(float(b.abs().max()) for b in found[0].values())
    assert found[0].keys() == found[1].keys()
    for name, gradient in found[0].items():
        assert (gradient - found[1][name]).abs().max() < 1e-5 * largest


def scale(backbone):
    return 100 if backbone.default_budget == 512 else 1  # rows rather than tokens


def gradients_of(trainer, step):
    trainer._training_mode()
    trainer._compute.gradients(trainer._prepare(step), step)
    named = trainer.backbone.model.named_parameters()
    return {name: p.grad.clone() for name, p in named if p.grad is not None}


def test_checkpointed_activations_change_nothing():
    sizes = {"hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 48}
    sizes |= {"architecture": "dnabert", "vocab_size": 40, "num_hidden_layers": 2}
    one = make_backbone(sizes, FewSource(), seed=0)
    two = deepcopy(one)
    hooks = [len(m._forward_hooks) for m in two.model.modules()]
    for backbone, recompute in ((one, False), (two, True)):
        config = TrainingConfig(
            n_steps=4, batch_size=8, gradient_checkpointing=recompute, learning_rate=1e-3
        )
        ContrastiveTrainer(backbone, ToySource(), config, device="cpu").train()
    assert one.fingerprint() == two.fingerprint()
    assert [len(m._forward_hooks) for m in two.model.modules()] == hooks
