"""Hyperparameters: ranges, names, schedules."""

import pytest

from dnaembed.training import TrainingConfig


def test_learning_rates_warm_up_and_fall():
    config = TrainingConfig(n_steps=100, warmup=0.1, final_learning_rate=0.1)
    factors = [config.learning_rate_factor(step) for step in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert max(factors) == factors[10] == factors[9] == 1.0
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert factors[-1] == pytest.approx(0.1, abs=0.01)


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
    with pytest.raises(ValueError, match=r"Unknown training parameters \['lr'\]\. There are"):
        TrainingConfig.from_dict({"lr": 1})
    with pytest.raises(ValueError, match=r"\['n_step'\]. Did you mean 'n_steps'\? There"):
        TrainingConfig.from_dict({"n_step": 1})
    with pytest.raises(ValueError, match=r"Unknown training parameters \['patience'\]"):
        TrainingConfig.from_dict({"patience": None})
