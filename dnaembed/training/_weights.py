"""Operations on the weights of a model: which are trained, averaged, anchored, exchanged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn


def freeze_first_layers(model: nn.Module, n_layers: int, n_trainable: int) -> list[nn.Parameter]:
    """Leave only the last hidden layers, and what follows them, trainable; return what was frozen.

    The layers are the ``ModuleList`` of the model that has `n_layers` of them.
    """
    stack = next(
        (m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m) == n_layers), None
    )
    if stack is None:
        raise ValueError(
            f"n_trainable_layers needs a model whose {n_layers} hidden layers are one ModuleList; "
            f"{type(model).__name__} has none."
        )
    kept = set(stack[max(0, n_layers - n_trainable) :].parameters())
    inside = set(stack.parameters())
    frozen = []
    passed = False  # whether the stack has been met: parameters are listed in order of definition
    for parameter in model.parameters():
        passed |= parameter in inside
        trainable = parameter in kept or (passed and parameter not in inside)
        if parameter.requires_grad and not trainable:
            parameter.requires_grad_(False)
            frozen.append(parameter)
    return frozen


def copies(parameters: Sequence[Tensor]) -> list[Tensor]:
    """Return detached copies of tensors."""
    return [parameter.detach().clone() for parameter in parameters]


@torch.no_grad()
def assign(parameters: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    """Copy values into parameters."""
    if parameters:
        torch._foreach_copy_(list(parameters), list(values))


@torch.no_grad()
def move_towards(parameters: Sequence[Tensor], targets: Sequence[Tensor], share: float) -> None:
    """Move parameters by a share of the way to their targets."""
    if parameters:
        torch._foreach_lerp_(list(parameters), list(targets), share)


@contextmanager
def exchanged(parameters: Sequence[Tensor], values: Sequence[Tensor] | None) -> Iterator[None]:
    """Give a model other weights within the block; None changes nothing."""
    if values is None:
        yield
        return
    own = copies(parameters)
    assign(parameters, values)
    try:
        yield
    finally:
        assign(parameters, own)


def weight_groups(
    module: nn.Module, learning_rate: float, weight_decay: float
) -> list[dict[str, object]]:
    """Return optimiser groups: matrices decay, vectors do not."""
    trained = [p for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return [group | {"highest": learning_rate} for group in groups if group["params"]]


@contextmanager
def checkpointed(model: Any, enabled: bool) -> Iterator[None]:
    """Recompute activations in backward passes within the block."""
    if not enabled:
        yield
        return
    # transformers renamed both methods; the old names warn where the new ones exist.
    new = hasattr(model, "activation_checkpointing_enable")
    name = "activation_checkpointing" if new else "gradient_checkpointing"
    getattr(model, f"{name}_enable")({"use_reentrant": False})
    try:
        yield
    finally:
        getattr(model, f"{name}_disable")()
        # A hook that would travel with copies and pickles of the model.
        with suppress(AttributeError):
            model.disable_input_require_grads()
