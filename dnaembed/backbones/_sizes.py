"""What the configuration of a model may ask for, checked before anything is built.

A folder from somebody else can neither take forever nor fill the memory.
"""

from typing import Any

import numpy as np

from ..utils._messages import printable

# The published models have 12 layers, 117 M parameters, and at most 3072 columns anywhere.
MAX_LAYERS = 1024
MAX_PARAMETERS = 10**10
MAX_COLUMNS = 65_536
# Shorter windows would make a long sequence into many times the work that it is.
MIN_WINDOW = 64


def check_integer(name: str, value: Any, low: int = 1, high: int = MAX_COLUMNS) -> int:
    """Return an integer in a range; raise with the name of the parameter otherwise."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or not low <= value <= high:
        raise ValueError(f"{name} must be an integer from {low} to {high:,}, got {shown(value)}.")
    return int(value)


def check_number(name: str, value: Any, high: float, *, positive: bool = False) -> float:
    """Return a number from 0 up to, without, `high`; raise with the name of the parameter."""
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not number or not 0 <= value < high or (positive and not value):
        above = "above" if positive else "from"
        raise ValueError(
            f"{name} must be a number {above} 0 and below {high:g}, got {shown(value)}."
        )
    return float(value)


def shown(value: Any) -> str:
    """Return a value of any origin as it can stand in a message."""
    return printable(repr(value))
