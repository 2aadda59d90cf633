"""What goes wrong in files, as one exception that says where."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import NamedTuple, TypeVar

_Error = TypeVar("_Error", bound=Exception)


class SequenceFileError(ValueError):
    """A sequence, label or embedding file does not hold what it should.

    The message names the file and the record or line. It is a `ValueError`, so that code which
    treats bad input alike, wherever it comes from, needs one ``except``. A file that is missing, is
    a directory or may not be read raises the usual `OSError` instead.
    """


class Advice(NamedTuple):
    """Which setting would avoid an error; the command line has an option of another name."""

    problem: str
    sentence: str
    setting: str


def with_advice(error: _Error, sentence: str, setting: str) -> _Error:
    """End a message with a sentence on the setting, its ``{}``, that would avoid the error."""
    error.advice = Advice(str(error), sentence, setting)  # type: ignore[attr-defined]
    error.args = (f"{error} {sentence.format(setting)}",)
    return error


def import_optional(name: str, *, extra: str, purpose: str) -> ModuleType:
    """Import a module that an extra of this package brings, or say how to install it."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        package = name.partition(".")[0]
        message = f'{purpose} needs {package}: pip install "dnaembed[{extra}]".'
        raise ImportError(message) from error
