"""Text out of a file as it can stand in a message."""

from __future__ import annotations

_LONGEST = 100


def shorten(text: str, longest: int = _LONGEST) -> str:
    """Return the start of a text that is too long for a message."""
    return text if len(text) <= longest else f"{text[:longest]}..."


def printable(text: str, longest: int = _LONGEST) -> str:
    r"""Return text of any origin in one line, without what a terminal would obey.

    Parameters
    ----------
    text : str
        For example a line of a file, or the message of another library about one.
    longest : int, default=100
        Characters to keep.

    Returns
    -------
    str
        White space is one space, other characters that are not printable are escaped.

    Examples
    --------
    >>> from dnaembed.utils._messages import printable
    >>> printable("a\n b\x1b[2J")
    'a b\\x1b[2J'
    """
    return escape(" ".join(shorten(text, longest).split()))


def escape(text: str) -> str:
    """Return text with its unprintable characters escaped, line ends among them."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
