"""The hyperparameters of a training run, in one immutable and serialisable object."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from math import cos, inf, nextafter, pi
from typing import Any, Literal, Self, get_args

from ._losses import LOSSES

Precision = Literal["fp32", "bf16", "fp16"]

# What may change between a run and its continuation without changing a single weight.
FREE = frozenset({"n_workers", "log_every", "checkpoint_every"})


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Hyperparameters of `ContrastiveTrainer`; one out of its range raises ValueError.

    Parameters
    ----------
    n_steps : int, default=5000
        Optimiser steps.
    batch_size : int, default=64
        Pairs per step, over all processes.
    loss : str, default="c2lr"
        A name in `LOSSES`, used in all steps. ``"c2lr"``: Weighted SimCLR first, then MI-Mix.
    phase_split : float, default=1/3
        Share of the steps that C2LR spends in Weighted SimCLR.
    temperature : float, default=0.05
        Of the loss.
    head_size : int or None, default=128
        Columns of the projection head; None applies the loss to the embedding itself.
    learning_rate : float, default=3e-4
        Highest learning rate. The paper's 3e-6 is for a pretrained encoder of 117 M parameters.
    weight_decay, betas : float and tuple of float, default=0.01 and (0.9, 0.999)
        Of AdamW. Vectors (biases, norms) do not decay.
    warmup, final_learning_rate : float, default=0.05, 0.0
        Share of the steps in which the learning rate rises linearly, and where the cosine after
        them ends, as a share of the highest rate.
    ema_decay : float, default=None
        Validate and return an exponential average of the weights with this decay; None: none.
    anchor : float, default=0.0
        Each step moves the encoder by ``learning rate x anchor`` of the way back (decoupled L2-SP).
    n_trainable_layers : int, default=None
        Last hidden layers to train, with what follows them. None trains all.
    mixed_precision : {"fp32", "bf16", "fp16"}, default="fp32"
        Precision of the matrix products, by autocast; weights stay in float32.
    budget : int, default=None
        Cost units of the backbone (tokens, or sequences for a k-mer profile) that pass through the
        model at once; larger batches go in pieces (GradCache: the same gradients). None: all.
    n_workers : int, default=1
        Threads that draw and featurise the batches of the next steps.
    eval_every, checkpoint_every, log_every : int, default=None, None, 20
        Steps between validations (None: one at the end), checkpoints (None: none), rows of the log.
    seed : int, default=0
        Of the head, the mixing and the dropout. (Pairs have the seed of their source.)

    Examples
    --------
    >>> from dnaembed.training import TrainingConfig
    >>> config = TrainingConfig(n_steps=300)
    >>> config.loss_at(99), config.loss_at(100)
    ('weighted_simclr', 'mi_mix')
    """

    n_steps: int = 5000
    batch_size: int = 64
    loss: str = "c2lr"
    phase_split: float = 1 / 3
    temperature: float = 0.05
    head_size: int | None = 128
    learning_rate: float = 3e-4
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.999)
    warmup: float = 0.05
    final_learning_rate: float = 0.0
    ema_decay: float | None = None
    anchor: float = 0.0
    n_trainable_layers: int | None = None
    mixed_precision: Precision = "fp32"
    budget: int | None = None
    n_workers: int = 1
    eval_every: int | None = None
    checkpoint_every: int | None = None
    log_every: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "betas", tuple(self.betas))
        for name, choices in (("loss", tuple(LOSSES)), ("mixed_precision", get_args(Precision))):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {choices}, got {getattr(self, name)!r}.")
        for names, (low, high) in _RANGES.items():
            for name in names:
                value = getattr(self, name)
                if value is not None and not low <= value <= high:
                    bounds = f"from {low} to {high}" if low in (0, 1) else "positive"
                    raise ValueError(f"{name} must be {bounds}, got {value}.")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas must be two numbers from 0 to 1, got {self.betas}.")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Make a configuration from a mapping; refuse unknown names, with the nearest known."""
        check_names(values, {one.name: one.default for one in fields(cls)}, "training parameters")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Return the parameters as plain values that JSON can hold."""
        return asdict(self) | {"betas": list(self.betas)}

    def loss_at(self, step: int) -> str:
        """Name the loss of a step, counted from 0."""
        phases = LOSSES[self.loss].phases
        if not phases:
            return self.loss
        return phases[0] if step < round(self.phase_split * self.n_steps) else phases[1]

    def learning_rate_factor(self, step: int) -> float:
        """Return the share of the highest learning rate that a step uses."""
        n_warmup = round(self.warmup * self.n_steps)
        if step < n_warmup:
            return (step + 1) / n_warmup
        progress = (step - n_warmup) / max(1, self.n_steps - n_warmup)
        low = self.final_learning_rate
        return low + (1 - low) * (1 + cos(pi * progress)) / 2


_RANGES: dict[tuple[str, ...], tuple[float, float]] = {
    ("n_steps", "batch_size", "head_size", "budget", "n_workers"): (1, inf),
    ("eval_every", "checkpoint_every", "log_every"): (1, inf),
    ("learning_rate", "weight_decay", "anchor", "n_trainable_layers"): (0, inf),
    ("phase_split", "warmup", "final_learning_rate", "ema_decay"): (0, 1),
    ("temperature",): (nextafter(0, 1), inf),
    ("seed",): (0, 2**63 - 1),
}


def check_names(values: Mapping[str, Any], known: Mapping[str, Any], what: str) -> None:
    """Refuse names that are not among the `known` with their defaults, and texts for numbers."""
    for name, value in values.items():
        if isinstance(value, str) and isinstance(known.get(name), int | float | tuple):
            raise ValueError(f"{name} must be a number, got the text {value!r}.")
    unknown = sorted(set(values) - set(known))
    if unknown:
        near = get_close_matches(unknown[0], list(known), n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"Unknown {what} {unknown}.{hint} There are {list(known)}.")
