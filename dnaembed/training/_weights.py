"""Operations on the weights of a model: which are trained, copied, moved."""

from __future__ import annotations

from collections.abc import Sequence

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
    parameters = list(model.parameters())  # in order of definition
    end = max(i for i, parameter in enumerate(parameters) if parameter in inside)
    frozen = [p for p in parameters[: end + 1] if p.requires_grad and p not in kept]
    for parameter in frozen:
        parameter.requires_grad_(False)
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
