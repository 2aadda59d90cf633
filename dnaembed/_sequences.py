"""What counts as a DNA sequence: the one place that accepts, cleans and refuses them."""

import re
from collections.abc import Iterable, Mapping
from numbers import Number
from os import PathLike
from typing import Any

import numpy as np

_AMBIGUOUS = "RYSWKMBDHVN"
_GAPS = b"-."
# Everything is done on bytes with translate, at the speed of C: one table cleans, and what is left
# of the alphabet after that must not be there.
_AS_N = (_AMBIGUOUS + _AMBIGUOUS.lower()).encode()
_CLEAN = bytes.maketrans(b"acgtuU" + _AS_N, b"ACGTTT" + b"N" * len(_AS_N))
_COMPLEMENT = str.maketrans("ACGTN", "TGCAN")
_ALLOWED = b"ACGTN"
_FILE = re.compile(r"\.(fa|fasta|fna|fq|fastq)(\.(gz|bz2|xz|zst))?$", re.IGNORECASE)


def normalize_sequence(sequence: str, *, where: str = "sequence") -> str:
    """Return a sequence in the alphabet A, C, G, T, N.

    Letters are upper-cased, ``U`` becomes ``T``, the IUPAC ambiguity codes ``RYSWKMBDHVN`` become
    ``N``, alignment gaps (``-`` and ``.``) are removed and surrounding white space is stripped.

    Parameters
    ----------
    sequence, where : str
        The sequence as it was read, and how an error names it: ``"reads.fa, record 'r1'"``.

    Returns
    -------
    str
        At least one character out of ``ACGTN``; anything else raises ValueError with its position,
        counted from 1.

    Examples
    --------
    >>> from dnaembed import normalize_sequence
    >>> normalize_sequence("acgu-RN")
    'ACGTNN'
    """
    # Non-ASCII becomes "?", which is not a base.
    stripped = sequence.strip()
    clean = stripped.encode("ascii", "replace")
    if clean and not clean.translate(None, _ALLOWED):
        return stripped  # as most are
    clean = clean.translate(_CLEAN, _GAPS)
    if clean.translate(None, _ALLOWED):
        raw = sequence.encode("ascii", "replace").translate(_CLEAN)
        start = len(sequence) - len(sequence.lstrip())
        place = next(i for i in range(start, len(raw)) if raw[i] not in _ALLOWED + _GAPS)
        hint = " Is this a protein sequence?" * (sequence[place].upper() in set("EFILPQZXJO*"))
        if hint and re.match(r"\s*[A-Z][a-z]{3}", sequence):
            hint = " Is this a name? Sequences come before labels."
        hint = " A file is read by dnaembed.io.read_sequences." if _is_file(sequence) else hint
        expected = f"A, C, G, T, U, IUPAC codes ({_AMBIGUOUS}) or gaps (- .), in any case"
        found = f"{sequence[place]!r} at position {place + 1} is not a DNA base"
        raise ValueError(f"{where}: {found}. Expected {expected}.{hint}")
    if not clean:
        raise ValueError(f"{where} is empty: at least one base is required.")
    return clean.decode("ascii")


def reverse_complement(sequence: str) -> str:
    """Return the other strand of a normalised sequence, read 5' to 3'.

    Parameters
    ----------
    sequence : str
        Characters out of ``ACGTN``.

    Returns
    -------
    str
        Of the same length.

    Examples
    --------
    >>> from dnaembed import reverse_complement
    >>> reverse_complement("AACGN")
    'NCGTT'
    """
    return sequence.translate(_COMPLEMENT)[::-1]


def gc_and_known_bases(sequences: Iterable[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return how many bases of each sequence are G or C, and how many are not ambiguous."""
    counts = np.array([[s.count(base) for base in "GCgcATUatu"] for s in sequences]).reshape(-1, 10)
    return counts[:, :4].sum(axis=1), counts.sum(axis=1)


def check_sequences(X: Any) -> list[str]:
    """Validate sequences given in any of the containers that scikit-learn users have.

    Parameters
    ----------
    X : iterable of str
        A list, tuple, generator or view of a dict, a 1-D numpy array (``U``, ``O`` or
        ``StringDType``), a pandas or polars Series, an array of pyarrow, or a table or array of one
        column. Sets and dicts are refused: rows need an order.

    Returns
    -------
    list of str
        Normalised sequences (see `normalize_sequence`), in the given order. TypeError or ValueError
        if an item is not DNA (the message gives its position, counted from 0), or there is none.

    Examples
    --------
    >>> from dnaembed import check_sequences
    >>> check_sequences(("acgt", "NNNN"))
    ['ACGT', 'NNNN']
    """
    items = _values(as_container(X))
    if isinstance(items, str | bytes):
        to_do = "read a file by dnaembed.io.read_sequences" if _is_file(items) else "give a list"
        to_do = "decode them, and give a list" if isinstance(items, bytes) else to_do
        raise ValueError(f"Iterable over DNA sequences expected, string object received: {to_do}.")
    if hasattr(items, "shape"):
        if items.shape[1:] not in ((), (1,)) or not isinstance(items, np.ndarray):
            got = f"{type(X).__name__} of shape {items.shape}"
            advice = "give that column, such as frame['sequence']"
            raise ValueError(f"DNA sequences must come as one column, got {got}: {advice}.")
        items = items.reshape(-1).tolist()
    if not isinstance(items, list | tuple):
        hint = ": read a file by dnaembed.io.read_sequences" if isinstance(X, PathLike) else ""
        raise TypeError(f"Iterable over DNA sequences expected, got {type(X).__name__}{hint}.")
    if not items:
        found = "Found array with 0 sample(s) (shape=(0,))"  # as scikit-learn says it
        raise ValueError(f"{found} while a minimum of 1 is required.")
    if len(items) == 2 and all(isinstance(item, list) and len(item) > 1 for item in items):
        example = "ids, sequences = read_sequences(path)"
        hint = f"if they are what read_sequences returns, give the second: {example}"
        raise TypeError(f"DNA sequences must be strings, got two lists: {hint}.")
    texts = map(_string, items, range(len(items)))
    return [normalize_sequence(text, where=f"sequence {i}") for i, text in enumerate(texts)]


def as_container(X: Any) -> Any:
    """Turn what can be read only once, and other iterables without a shape, into a list."""
    if hasattr(X, "to_pylist") and getattr(X, "num_columns", 1) == 1:  # pyarrow, also in chunks
        return (X.column(0) if hasattr(X, "column") else X).to_pylist()
    if hasattr(X, "shape") or isinstance(X, str | bytes | list | tuple):
        return X
    if not isinstance(X, Iterable):
        return X
    if isinstance(X, set | frozenset | Mapping):
        raise TypeError(f"The rows of a {type(X).__name__} have no order: give a list (labels_of).")
    return list(X)


def holds_sequences(X: Any) -> bool:
    """Tell sequences from numbers in what `as_container` returns: whether there is any text in it.

    One string is enough, so that a missing value among sequences is reported as such.
    """
    values = _values(X)
    if isinstance(values, list | tuple):
        return any(map(_is_text, values))
    if isinstance(values, np.ndarray):
        if values.dtype.kind != "O":
            return values.dtype.kind in "UST"
        return any(_is_text(v) if values.ndim == 1 else isinstance(v, str) for v in values.flat)
    return isinstance(values, str | bytes)


def _values(X: Any) -> Any:
    return X.to_numpy() if hasattr(X, "to_numpy") else X  # Series and frames of pandas and polars


def _is_file(text: str | bytes) -> bool:
    """Tell whether a text looks like the name of a sequence file."""
    return isinstance(text, str) and bool(_FILE.search(text))


def _is_text(item: Any) -> bool:
    """Tell a string, and any object that may hold one, from a row of numbers."""
    if isinstance(item, list | tuple):
        return any(isinstance(value, str) for value in item)
    numeric = item is None or isinstance(item, Number | np.generic) or hasattr(item, "__array__")
    return isinstance(item, str | bytes) or not numeric


def _string(item: Any, position: int) -> str:
    if isinstance(item, list | tuple) and len(item) == 1:  # as DataFrame.values.tolist() gives them
        item = item[0]
    if isinstance(item, str):
        return item
    # A number is shown; other objects may hold a whole sequence.
    shown = f" ({item})" if isinstance(item, Number) else ""
    got = f"{type(item).__name__}{shown} at position {position}"
    advice = "Decode bytes; of a record, such as (id, sequence), give the sequence alone."
    if item is None or type(item).__name__ == "NAType" or item != item:
        advice = "Leave out what has no sequence."
    raise TypeError(f"DNA sequences must be strings, got {got}. {advice}")
