"""What counts as a DNA sequence: the one place that accepts, cleans and refuses them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .utils._messages import printable

_AMBIGUOUS = "RYSWKMBDHVN"
_GAPS = b"-."
# Everything is done on bytes with translate, at the speed of C: one table cleans, and what is left
# of the alphabet after that must not be there.
_CLEAN = bytes.maketrans(
    b"acgtuU" + _AMBIGUOUS.encode() + _AMBIGUOUS.lower().encode(),
    b"ACGTTT" + b"N" * (2 * len(_AMBIGUOUS)),
)
_COMPLEMENT = str.maketrans("ACGTN", "TGCAN")
_ALLOWED = b"ACGTN"


def normalize_sequence(sequence: str, *, where: str = "sequence") -> str:
    """Return a sequence in the alphabet A, C, G, T, N.

    Letters are upper-cased, ``U`` becomes ``T``, the IUPAC ambiguity codes ``RYSWKMBDHVN`` become
    ``N``, alignment gaps (``-`` and ``.``) are removed and surrounding white space is stripped.

    Parameters
    ----------
    sequence : str
        The sequence as it was read.
    where : str, default="sequence"
        How an error names the sequence, for example ``"reads.fa, record 'r1' (number 4)"``.

    Returns
    -------
    str
        At least one character out of ``ACGTN``.

    Raises
    ------
    ValueError
        If nothing is left, or if a character is none of the above (``*``, digits, letters that
        only proteins have): the message gives it and its position, counted from 1.

    Examples
    --------
    >>> from dnaembed import normalize_sequence
    >>> normalize_sequence("acgu-RN")
    'ACGTNN'
    """
    # Non-ASCII becomes "?", which is not a base.
    clean = sequence.strip().encode("ascii", "replace").translate(_CLEAN, _GAPS)
    if clean.translate(None, _ALLOWED):
        raise ValueError(_bad_character(sequence, where))
    if not clean:
        raise ValueError(f"{where} is empty: at least one base is required.")
    return clean.decode("ascii")


def _bad_character(sequence: str, where: str) -> str:
    start = len(sequence) - len(sequence.lstrip())
    raw = sequence.encode("ascii", "replace").translate(_CLEAN)
    position = next(i for i in range(start, len(raw)) if raw[i] not in _ALLOWED + _GAPS)
    character = sequence[position]
    hint = " Is this a protein sequence?" if character.upper() in set("EFILPQZXJO*") else ""
    return (
        f"{where}: {character!r} at position {position + 1} is not a DNA base. Expected A, C, G, "
        f"T, U, IUPAC codes ({_AMBIGUOUS}) or gaps (- .), in any case.{hint}"
    )


def reverse_complement(sequence: str) -> str:
    """Return the other strand of a normalised sequence, read 5' to 3'.

    Parameters
    ----------
    sequence : str
        Characters out of ``ACGTN``.

    Returns
    -------
    str
        The reverse complement, of the same length.

    Examples
    --------
    >>> from dnaembed import reverse_complement
    >>> reverse_complement("AACGN")
    'NCGTT'
    """
    return sequence.translate(_COMPLEMENT)[::-1]


def check_sequences(X: Any) -> list[str]:
    """Validate sequences given in any of the containers that scikit-learn users have.

    Parameters
    ----------
    X : iterable of str
        A list, a tuple, a 1-D numpy array (``U``, ``O`` or ``StringDType``), a pandas or polars
        Series, or a table or array of one column.

    Returns
    -------
    list of str
        Normalised sequences (see `normalize_sequence`), in the given order.

    Raises
    ------
    TypeError
        If an item is not a string; the message gives its position, counted from 0 as in ``X[0]``.
    ValueError
        If `X` is a single string, holds no sequence, has more than one column, or holds a sequence
        that is not DNA.

    Examples
    --------
    >>> from dnaembed import check_sequences
    >>> check_sequences(("acgt", "NNNN"))
    ['ACGT', 'NNNN']
    """
    items = _as_list(X)
    if not items:
        raise ValueError(
            "Found array with 0 sample(s) (shape=(0,)) while a minimum of 1 is required."
        )
    for position, item in enumerate(items):
        if not isinstance(item, str):
            raise TypeError(
                f"DNA sequences must be strings, got {type(item).__name__} "
                f"({printable(repr(item))}) at position {position}."
            )
    return [normalize_sequence(item, where=f"sequence {i}") for i, item in enumerate(items)]


def _as_list(X: Any) -> Sequence[Any]:
    if isinstance(X, str | bytes):
        raise ValueError("Iterable over DNA sequences expected, string object received.")
    if isinstance(X, list | tuple):
        # Rows of one string, as a list of lists, are what DataFrame.values.tolist() gives.
        return [x[0] if isinstance(x, list | tuple) and len(x) == 1 else x for x in X]
    if hasattr(X, "to_numpy"):  # pandas and polars: Series, extension arrays, frames
        X = X.to_numpy()
    if isinstance(X, np.ndarray):
        if X.ndim == 2 and X.shape[1] == 1:
            X = X[:, 0]
        if X.ndim != 1:
            raise ValueError(
                f"DNA sequences must come as one column, got an array of shape {X.shape}."
            )
        return X.tolist()
    if isinstance(X, Iterable):
        return list(X)
    raise TypeError(f"Iterable over DNA sequences expected, got {type(X).__name__}.")
