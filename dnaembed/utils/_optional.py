"""Optional dependencies: one message that names the extra to install."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType


def import_optional(name: str, *, extra: str, purpose: str) -> ModuleType:
    """Import a module that an extra of this package brings.

    Parameters
    ----------
    name : str
        The module, for example ``"pyarrow.parquet"``.
    extra : str
        The extra of pyproject.toml that installs it.
    purpose : str
        What needs it, as the beginning of a sentence.

    Raises
    ------
    ImportError
        If it is not installed; the message says how to install it.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise ImportError(
            f'{purpose} needs {name.partition(".")[0]}: pip install "dnaembed[{extra}]".'
        ) from error
