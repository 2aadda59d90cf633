"""Text from files, made fit for a message."""

from collections.abc import Iterable

_LONGEST = 100


def shorten(text: str, longest: int = _LONGEST) -> str:
    """Return the start of a text that is too long for a message."""
    return text if len(text) <= longest else f"{text[:longest]}..."


def listed(texts: Iterable[str], most: int = 10) -> str:
    """Return the first of some texts, each of them shortened."""
    shown = [repr(shorten(text, 40)) for text in texts]
    return ", ".join(shown[:most]) + ", ..." * (len(shown) > most)


def printable(text: str, longest: int = _LONGEST) -> str:
    """Return the start of a text in one line, without control characters for a terminal."""
    return escape(" ".join(shorten(text, longest).split()))


def escape(text: str) -> str:
    """Return text with its unprintable characters escaped, line ends among them."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
