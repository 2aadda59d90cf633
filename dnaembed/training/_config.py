"""The hyperparameters of a training run, in one immutable and serialisable object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import cos, pi
from typing import Any, Literal, Self, get_args

Loss = Literal["c2lr", "weighted_simclr", "mi_mix", "i_mix", "supcon"]
Precision = Literal["fp32", "bf16", "fp16"]
Schedule = Literal["cosine", "constant"]

# What may change between a run and its continuation without changing a single weight.
_FREE = frozenset({"n_workers", "log_every", "checkpoint_every", "n_checkpoints", "tensorboard"})


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Hyperparameters of `ContrastiveTrainer`.

    Parameters
    ----------
    n_steps : int, default=5000
        Optimiser steps.
    batch_size : int, default=64
        Pairs in a step, over all processes.
    loss : {"c2lr", "weighted_simclr", "mi_mix", "i_mix", "supcon"}, default="c2lr"
        ``"c2lr"`` is the curriculum of the paper: Weighted SimCLR first, then MI-Mix. The others
        are used from the first step to the last, for ablation.
    phase_split : float, default=1/3
        Share of the steps that C2LR spends in Weighted SimCLR.
    temperature : float, default=0.05
        Of the loss.
    final_temperature : float, default=None
        Temperature of the last step, reached linearly; None keeps it constant.
    mixing_alpha : float, default=1.0
        The mixing coefficients are drawn from ``Beta(alpha, alpha)``.
    head_size : int or None, default=128
        Columns of the projection head; None applies the loss to the embedding itself.
    head_hidden_size : int, default=None
        Hidden units of the head; the size of the embedding if None.
    learning_rate : float, default=3e-4
        Highest learning rate of the encoder. The paper's 3e-6 is for a pretrained encoder of 117 M
        parameters.
    head_learning_rate : float, default=None
        Highest learning rate of the head; that of the encoder if None.
    weight_decay : float, default=0.01
        Of matrices; vectors (biases, norms) have none.
    betas : tuple of float, default=(0.9, 0.999)
        Of AdamW.
    schedule : {"cosine", "constant"}, default="cosine"
        What the learning rates do after the warm-up.
    warmup : float, default=0.05
        Share of the steps in which the learning rates rise linearly.
    final_learning_rate : float, default=0.0
        Where the cosine ends, as a share of the highest rate.
    max_grad_norm : float or None, default=1.0
        Longer gradients are shortened to this; None leaves them.
    ema_decay : float, default=None
        Average the weights exponentially with this decay (less in the first steps, where it would
        average the beginning in), validate and return the average. None: no average.
    anchor : float, default=0.0
        Pull the encoder back to where it started: each step moves the weights by ``learning rate x
        anchor`` of the way (decoupled L2-SP), against forgetting in fine-tuning.
    n_trainable_layers : int, default=None
        Train only so many of the last hidden layers, and what follows them. None trains all.
    mixed_precision : {"fp32", "bf16", "fp16"}, default="fp32"
        Precision of the matrix products, by autocast; weights stay in float32. ``"bf16"`` also
        pays on CPUs that have it.
    gradient_checkpointing : bool, default=False
        Recompute activations in the backward pass, if the model can.
    budget : int, default=None
        Cost units of the backbone (tokens, or sequences for a k-mer profile) that pass through the
        model at once. A batch over it is embedded twice: without gradients to compute the loss over
        the whole batch, then piece by piece with them (GradCache), which gives the same gradients
        in less memory. None: the whole batch at once.
    n_workers : int, default=1
        Threads that draw and featurise the batches of the next steps.
    eval_every : int, default=None
        Steps between validations; None validates only at the end, if there is anything to validate.
    n_validation_batches : int, default=4
        Batches of the validation source, the same each time.
    monitor : str, default="validation_loss"
        What decides which weights are best: this or a key that `evaluate` returns.
    greater_is_better : bool, default=False
        The sense of `monitor`.
    patience : int, default=None
        Stop after so many validations without a better one; None never stops early.
    checkpoint_every : int, default=None
        Steps between checkpoints; None writes none.
    n_checkpoints : int, default=2
        Newest checkpoints that are kept.
    log_every : int, default=20
        Steps between rows of the log.
    tensorboard : bool, default=False
        Write a TensorBoard log as well (needs the package ``tensorboard``).
    seed : int, default=0
        Of the head, the mixing and the dropout. (Pairs have the seed of their source.)

    Raises
    ------
    ValueError
        If a value is out of its range; the message names the parameter.

    Examples
    --------
    >>> from dnaembed.training import TrainingConfig
    >>> config = TrainingConfig(n_steps=300)
    >>> config.loss_at(99), config.loss_at(100)
    ('weighted_simclr', 'mi_mix')
    """

    n_steps: int = 5000
    batch_size: int = 64
    loss: Loss = "c2lr"
    phase_split: float = 1 / 3
    temperature: float = 0.05
    final_temperature: float | None = None
    mixing_alpha: float = 1.0
    head_size: int | None = 128
    head_hidden_size: int | None = None
    learning_rate: float = 3e-4
    head_learning_rate: float | None = None
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.999)
    schedule: Schedule = "cosine"
    warmup: float = 0.05
    final_learning_rate: float = 0.0
    max_grad_norm: float | None = 1.0
    ema_decay: float | None = None
    anchor: float = 0.0
    n_trainable_layers: int | None = None
    mixed_precision: Precision = "fp32"
    gradient_checkpointing: bool = False
    budget: int | None = None
    n_workers: int = 1
    eval_every: int | None = None
    n_validation_batches: int = 4
    monitor: str = "validation_loss"
    greater_is_better: bool = False
    patience: int | None = None
    checkpoint_every: int | None = None
    n_checkpoints: int = 2
    log_every: int = 20
    tensorboard: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "betas", tuple(self.betas))
        for name, choices in (
            ("loss", get_args(Loss)),
            ("mixed_precision", get_args(Precision)),
            ("schedule", get_args(Schedule)),
        ):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {choices}, got {getattr(self, name)!r}.")
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise ValueError(f"{name} must be from {low} to {high}, got {value}.")
        for name in ("temperature", "final_temperature", "mixing_alpha", "max_grad_norm"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be positive, got {value}.")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas must be two numbers from 0 to 1, got {self.betas}.")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Make a configuration from a mapping, as read from JSON or TOML.

        Parameters
        ----------
        values : mapping
            Parameters by name.

        Returns
        -------
        TrainingConfig
            The configuration.

        Raises
        ------
        ValueError
            If a name is unknown; the message lists those that there are.
        """
        names = [field.name for field in fields(cls)]
        unknown = sorted(set(values) - set(names))
        if unknown:
            raise ValueError(f"Unknown training parameters {unknown}; there are {names}.")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Return the parameters as plain values that JSON can hold."""
        return asdict(self) | {"betas": list(self.betas)}

    def differences(self, other: TrainingConfig) -> list[str]:
        """Name the parameters that differ and could change a weight."""
        return [
            field.name
            for field in fields(self)
            if field.name not in _FREE and getattr(self, field.name) != getattr(other, field.name)
        ]

    def loss_at(self, step: int) -> str:
        """Name the loss of a step, counted from 0."""
        if self.loss != "c2lr":
            return self.loss
        return "weighted_simclr" if step < round(self.phase_split * self.n_steps) else "mi_mix"

    def temperature_at(self, step: int) -> float:
        """Return the temperature of a step."""
        if self.final_temperature is None:
            return self.temperature
        progress = step / max(1, self.n_steps - 1)
        return self.temperature + progress * (self.final_temperature - self.temperature)

    def learning_rate_factor(self, step: int) -> float:
        """Return the share of the highest learning rate that a step uses."""
        n_warmup = round(self.warmup * self.n_steps)
        if step < n_warmup:
            return (step + 1) / n_warmup
        if self.schedule == "constant":
            return 1.0
        progress = (step - n_warmup) / max(1, self.n_steps - n_warmup)
        low = self.final_learning_rate
        return low + (1 - low) * (1 + cos(pi * progress)) / 2


_INF = float("inf")
_RANGES: tuple[tuple[str, float, float], ...] = (
    ("n_steps", 1, _INF),
    ("batch_size", 1, _INF),
    ("phase_split", 0, 1),
    ("head_size", 1, _INF),
    ("head_hidden_size", 1, _INF),
    ("learning_rate", 0, _INF),
    ("head_learning_rate", 0, _INF),
    ("weight_decay", 0, _INF),
    ("warmup", 0, 1),
    ("final_learning_rate", 0, 1),
    ("ema_decay", 0, 1),
    ("anchor", 0, _INF),
    ("n_trainable_layers", 0, _INF),
    ("budget", 1, _INF),
    ("n_workers", 1, _INF),
    ("eval_every", 1, _INF),
    ("n_validation_batches", 1, _INF),
    ("patience", 1, _INF),
    ("checkpoint_every", 1, _INF),
    ("n_checkpoints", 1, _INF),
    ("log_every", 1, _INF),
    ("seed", 0, 2**63 - 1),
)
