"""What the configuration of a model may ask for, checked before anything is built."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..utils._messages import printable

# The published models have 12 layers and 117 M parameters.
MAX_LAYERS = 1024
MAX_PARAMETERS = 10**10


def check_size(n_layers: int, n_parameters: int) -> None:
    """Raise if sizes ask for more than any model of this package could need."""
    if n_layers > MAX_LAYERS or n_parameters > MAX_PARAMETERS:
        raise ValueError(
            f"A model of at most {MAX_LAYERS} layers and {MAX_PARAMETERS:,} parameters is "
            f"expected, got {n_layers:,} layers and {n_parameters:,} parameters."
        )


def check_integer(name: str, value: Any, low: int = 1, high: int = MAX_PARAMETERS) -> int:
    """Return an integer in a range; raise with the name of the parameter otherwise."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or not low <= value <= high:
        raise ValueError(f"{name} must be an integer from {low} to {high:,}, got {shown(value)}.")
    return int(value)


def check_number(name: str, value: Any, high: float, *, positive: bool = False) -> float:
    """Return a number from 0 up to, without, `high`; raise with the name of the parameter."""
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not number or not 0 <= value < high:
        raise ValueError(
            f"{name} must be a number from 0 to {high:g} (excluded), got {shown(value)}."
        )
    if positive and not value:
        raise ValueError(f"{name} must be positive, got {shown(value)}.")
    return float(value)


def shown(value: Any) -> str:
    """Return a value of any origin as it can stand in a message."""
    return printable(repr(value))
