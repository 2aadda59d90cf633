"""What goes wrong in files, as one exception that says where."""

from importlib import import_module
from types import ModuleType
from typing import TypeVar

_Error = TypeVar("_Error", bound=Exception)


class SequenceFileError(ValueError):
    """A sequence, label or embedding file does not hold what it should.

    The message names the file and the record or line. A file that is missing, is a directory or may
    not be read raises the usual `OSError` instead.
    """


def with_advice(error: _Error, sentence: str, setting: str) -> _Error:
    """End a message with a sentence on the setting, its ``{}``, that would avoid the error.

    The command line, whose option has another name, finds the parts in ``error.advice``.
    """
    error.advice = str(error), sentence, setting  # type: ignore[attr-defined]
    error.args = (f"{error} {sentence.format(setting)}",)
    return error


def import_optional(name: str, *, extra: str, purpose: str) -> ModuleType:
    """Import a module that an extra of this package brings, or say how to install it."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        message = f'{purpose} needs {name}: pip install "dnaembed[{extra}]".'
        raise ImportError(message) from error
