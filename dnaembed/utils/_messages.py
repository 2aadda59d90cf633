"""Text from files, made fit for a message."""

from __future__ import annotations

_LONGEST = 100


def shorten(text: str, longest: int = _LONGEST) -> str:
    """Return the start of a text that is too long for a message."""
    return text if len(text) <= longest else f"{text[:longest]}..."


def printable(text: str, longest: int = _LONGEST) -> str:
    """Return the start of a text in one line, without control characters for a terminal."""
    return escape(" ".join(shorten(text, longest).split()))


def escape(text: str) -> str:
    """Return text with its unprintable characters escaped, line ends among them."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
