"""Count k-mers: one pass over the bases, compiled, for several lengths at once."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from operator import index

import numpy as np
from numpy.typing import NDArray

from ..utils._chunks import iter_chunks
from ..utils._compile import compiled

MAX_K = 12
_CHUNK_BASES = 1 << 24  # bounds what is copied beside the sequences themselves

# A, C, G, T are 0..3, so that complement is 3 - x and number order is letter order.
BASE_CODES = np.full(256, 4, dtype=np.uint8)
for _code, _letters in enumerate(("Aa", "Cc", "Gg", "Tt")):
    BASE_CODES[[ord(letter) for letter in _letters]] = _code


def kmer_counts(
    sequences: Sequence[str], k: int | Sequence[int], *, canonical: bool = True
) -> NDArray[np.uint32]:
    """Count the k-mers of each sequence.

    Windows that hold anything but A, C, G and T (in either case) are skipped.

    Parameters
    ----------
    sequences : sequence of str
        Sequences as `dnaembed.check_sequences` returns them.
    k : int or sequence of int
        Length of the k-mers, from 1 to 12; columns of several lengths are concatenated.
    canonical : bool, default=True
        Whether a k-mer and its reverse complement are one, in the column of the lexicographically
        smaller (A < C < G < T). A palindrome counts once per occurrence. If False, all ``4**k``
        k-mers have a column.

    Returns
    -------
    ndarray of shape (n_sequences, n_features), uint32
        Columns in lexicographic order within each length; see `kmer_names`.

    Examples
    --------
    >>> from dnaembed.composition import kmer_counts, kmer_names
    >>> kmer_counts(["AACGNTT"], 2)
    array([[2, 1, 0, 0, 0, 0, 1, 0, 0, 0]], dtype=uint32)
    >>> kmer_names(2)
    ['AA', 'AC', 'AG', 'AT', 'CA', 'CC', 'CG', 'GA', 'GC', 'TA']
    """
    if isinstance(sequences, str):
        raise TypeError("A sequence of strings is expected, got a single string.")
    ks = check_k(k)
    starts = np.cumsum([0, *(n_kmers(value, canonical) for value in ks)], dtype=np.int64)
    columns = np.concatenate([fold_columns(value, canonical) for value in ks])
    lengths_of_kmers = np.array(ks, dtype=np.int64)
    counts = np.zeros((len(sequences), starts[-1]), dtype=np.uint32)
    start = 0
    for chunk in iter_chunks(sequences, len, _CHUNK_BASES):
        bases = np.frombuffer("".join(chunk).encode("ascii", "replace"), dtype=np.uint8)
        offsets = np.cumsum([0, *map(len, chunk)], dtype=np.int64)
        rows = counts[start : start + len(chunk)]
        _count(bases, offsets, lengths_of_kmers, max(ks), columns, starts[:-1], BASE_CODES, rows)
        start += len(chunk)
    return counts


def kmer_names(k: int | Sequence[int], *, canonical: bool = True) -> list[str]:
    """Return the k-mers in the order of the columns of `kmer_counts`.

    Parameters
    ----------
    k, canonical : int or sequence of int, and bool, default=True
        As there.

    Returns
    -------
    list of str
        Name of each column.

    Examples
    --------
    >>> from dnaembed.composition import kmer_names
    >>> kmer_names([1, 2])
    ['A', 'C', 'AA', 'AC', 'AG', 'AT', 'CA', 'CC', 'CG', 'GA', 'GC', 'TA']
    """
    complement = str.maketrans("ACGT", "TGCA")
    return [
        name
        for value in check_k(k)
        for name in map("".join, product("ACGT", repeat=value))
        if not canonical or name <= name.translate(complement)[::-1]
    ]


def check_k(k: int | Sequence[int]) -> list[int]:
    """Return the lengths of k-mers as a list, or say what is wrong with them."""
    if isinstance(k, str):
        raise TypeError(f"k must be an integer or a sequence of integers, got {k!r}.")
    ks = [index(value) for value in k] if isinstance(k, Sequence | np.ndarray) else [index(k)]
    if not ks:
        raise ValueError("At least one k is required.")
    for value in ks:
        if not 1 <= value <= MAX_K:
            raise ValueError(f"k must be from 1 to {MAX_K}, got {value}.")
    return ks


def n_kmers(k: int, canonical: bool = True) -> int:
    """Return the number of columns that k-mers of one length take."""
    if not canonical:
        return int(4**k)
    palindromes = 4 ** (k // 2) if k % 2 == 0 else 0
    return int((4**k + palindromes) // 2)


@lru_cache(maxsize=32)
def fold_columns(k: int, canonical: bool = True) -> NDArray[np.int32]:
    """Return the column of each of the ``4**k`` k-mers."""
    codes = np.arange(4**k, dtype=np.int64)
    if not canonical:
        return codes.astype(np.int32)
    reverse, rest = np.zeros_like(codes), codes.copy()
    for _ in range(k):
        reverse = (reverse << 2) | (3 - (rest & 3))
        rest >>= 2
    smaller = np.minimum(codes, reverse)
    rank = np.cumsum(smaller == codes) - 1
    return np.asarray(rank[smaller], dtype=np.int32)


@compiled
def _count(  # type: ignore[no-untyped-def]
    bases, offsets, ks, longest, columns, starts, base_codes, out
):
    """Count only the longest k-mers base by base; every shorter one is the end of one of them.

    Those near the start of a run are counted as they come, and all of a sequence with few bases for
    that many k-mers. In others that is one increment per base, however many the lengths.
    """
    mask = (1 << (2 * longest)) - 1
    histogram = np.zeros(1 << (2 * longest), dtype=np.uint32)
    for i in range(offsets.size - 1):
        is_long = (offsets[i + 1] - offsets[i]) * ks.size * 4 > histogram.size
        code = np.int64(0)  # not the byte that it meets, where this is not compiled
        run = 0
        for position in range(offsets[i], offsets[i + 1]):
            base = base_codes[bases[position]]
            if base > 3:
                run = 0
                continue
            code = ((code << 2) | base) & mask
            run += 1
            if is_long and run >= longest:
                histogram[code] += 1
                continue
            column = 0
            for j in range(ks.size):
                if ks[j] <= run:
                    kmer = code & ((1 << (2 * ks[j])) - 1)
                    out[i, starts[j] + columns[column + kmer]] += 1
                column += 1 << (2 * ks[j])
        size = histogram.size if is_long else 0
        for k in range(longest, 0, -1):
            column = 0
            for j in range(ks.size):
                if ks[j] == k:
                    own = out[i, starts[j] :]  # a view of one dimension, which is faster
                    for kmer in range(size):
                        own[columns[column + kmer]] += histogram[kmer]
                column += 1 << (2 * ks[j])
            size >>= 2
            for kmer in range(size):  # over its four first bases
                more = histogram[kmer + size] + histogram[kmer + 2 * size]
                histogram[kmer] += more + histogram[kmer + 3 * size]
            histogram[size : 4 * size] = 0
        histogram[:size] = 0
