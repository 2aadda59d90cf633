"""FASTA and FASTQ records out of a buffer of bytes: compiled, without an object a record.

Only what is regular is taken: one look at a byte decides. Anything else (a character that is no
base, a space in a sequence, a record without a base, a broken quality line, ...) ends the parse in
front of its record, and the careful reader of `_readers` says what it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np

from .._sequences import clean_byte_table

# What a byte of a sequence line is: a letter of ACGTN to keep, a gap to drop, or something else.
_GAP, _OTHER = 0, 1
_CLEAN = clean_byte_table(gap=_GAP, other=_OTHER)

_MORE, _IRREGULAR = 0, 1
# FNV-1a, 64 bits.
_HASH_START = np.uint64(0xCBF29CE484222325)
_HASH_PRIME = np.uint64(0x100000001B3)


@dataclass(frozen=True)
class Parsed:
    """The whole records at the start of a buffer.

    Attributes
    ----------
    bases : ndarray, uint8
        The sequences one after the other, in upper case ``ACGTN``.
    lengths : ndarray, int64
        Bases of each record.
    ids : bytes
        Each identifier and a line feed.
    digests : ndarray, uint64
        One of each identifier.
    consumed : int
        Bytes of the buffer that the records took.
    lines : int
        Their line feeds.
    is_regular : bool
        False if the next record is one for the careful reader.
    """

    bases: np.ndarray
    lengths: np.ndarray
    ids: bytes
    digests: np.ndarray
    consumed: int
    lines: int
    is_regular: bool


def parse_records(text: np.ndarray, form: str, *, at_end: bool) -> Parsed:
    """Parse a buffer.

    Parameters
    ----------
    text : ndarray of uint8
        Starts with a record.
    form : {"fasta", "fastq"}
    at_end : bool
        Whether the file ends with the buffer; otherwise the last record may go on after it.

    Returns
    -------
    Parsed
    """
    bases = np.empty(len(text), dtype=np.uint8)
    ids = np.empty(len(text), dtype=np.uint8)
    # A record has at least a mark, an identifier, a line feed and a base.
    lengths = np.empty(len(text) // 4 + 1, dtype=np.int64)
    digests = np.empty(len(lengths), dtype=np.uint64)
    parse: Any = _parse_fasta if form == "fasta" else _parse_fastq
    status, n, consumed, n_bases, n_ids, lines = parse(
        text, at_end, _CLEAN, bases, ids, lengths, digests
    )
    return Parsed(
        bases[:n_bases],
        lengths[:n].copy(),
        ids[:n_ids].tobytes(),
        digests[:n].copy(),
        consumed,
        lines,
        status == _MORE,
    )


def digest_ids(ids: bytes, n: int) -> np.ndarray:
    """Return the digests that `parse_records` gives to identifiers."""
    digests = np.empty(n, dtype=np.uint64)
    _digest_lines(np.frombuffer(ids, dtype=np.uint8), digests)
    return digests


def checksum(values: np.ndarray, start: int = 0) -> int:
    """Return a checksum of bytes after what came before them: 64 bits, at the speed of memory."""
    whole = len(values) // 8 * 8
    words = np.ascontiguousarray(values[:whole]).view(np.uint64)
    tail = int.from_bytes(values[whole:].tobytes() + bytes([len(values) % 256]), "little")
    return int(_mix_words(words, np.uint64(start), np.uint64(tail % 2**64)))


@numba.njit(nogil=True, cache=True)
def _mix_words(words, start, tail):  # type: ignore[no-untyped-def]
    state = (start ^ _HASH_START) * _HASH_PRIME
    for word in words:
        state = (state ^ word) * np.uint64(0x9E3779B97F4A7C15)
        state ^= state >> np.uint64(29)
    state = (state ^ tail) * np.uint64(0x9E3779B97F4A7C15)
    return state ^ (state >> np.uint64(32))


@numba.njit(nogil=True, cache=True)
def _digest_lines(ids, digests):  # type: ignore[no-untyped-def]
    digest = _HASH_START
    n = 0
    for byte in ids:
        if byte == 10:
            digests[n] = digest
            digest = _HASH_START
            n += 1
        else:
            digest = (digest ^ np.uint64(byte)) * _HASH_PRIME


@numba.njit(nogil=True, cache=True)
def _header(text, place, ids, n_ids):  # type: ignore[no-untyped-def]
    """Copy the identifier and find the end of the line.

    Returns where the line feed is (-1: not in the buffer; -2: irregular), the end of the
    identifiers, and the digest.
    """
    digest = _HASH_START
    start = n_ids
    while place < text.size and 33 <= text[place] <= 126:
        ids[n_ids] = text[place]
        digest = (digest ^ np.uint64(text[place])) * _HASH_PRIME
        n_ids += 1
        place += 1
    if place == text.size:
        return -1, start, digest
    byte = text[place]
    if n_ids == start or not (byte == 32 or byte == 9 or byte == 10 or byte == 13):
        return -2, start, digest
    while place < text.size and text[place] != 10:
        if text[place] == 13 and place + 1 < text.size and text[place + 1] != 10:
            return -2, start, digest
        place += 1
    if place == text.size:
        return -1, start, digest
    ids[n_ids] = 10
    return place, n_ids + 1, digest


@numba.njit(nogil=True, cache=True)
def _parse_fasta(  # type: ignore[no-untyped-def]
    text, at_end, clean, bases, ids, lengths, digests
):
    consumed = 0
    n = n_bases = n_ids = lines = 0
    while consumed < text.size:
        if text[consumed] != 62:  # ">"
            return _IRREGULAR, n, consumed, n_bases, n_ids, lines
        place, ids_end, digest = _header(text, consumed + 1, ids, n_ids)
        if place < 0:
            irregular = place == -2 or at_end
            return (_IRREGULAR if irregular else _MORE), n, consumed, n_bases, n_ids, lines
        end = n_bases
        feeds = 1
        place += 1
        status = -1
        while status < 0:
            if place == text.size:
                status = 2 if at_end else _MORE
                break
            byte = text[place]
            value = clean[byte]
            if value > _OTHER:
                bases[end] = value
                end += 1
                place += 1
            elif byte == 10:
                feeds += 1
                place += 1
            elif value == _GAP:
                place += 1
            elif byte == 62 and text[place - 1] == 10:
                status = 2
            elif byte == 13:
                if place + 1 < text.size:
                    if text[place + 1] == 10:
                        place += 1
                    else:
                        status = _IRREGULAR
                else:
                    status = _IRREGULAR if at_end else _MORE
            else:
                status = _IRREGULAR
        if status == 2 and end == n_bases:
            status = _IRREGULAR
        if status != 2:
            return status, n, consumed, n_bases, n_ids, lines
        lengths[n] = end - n_bases
        digests[n] = digest
        n += 1
        consumed, n_bases, n_ids = place, end, ids_end
        lines += feeds
    return _MORE, n, consumed, n_bases, n_ids, lines


@numba.njit(nogil=True, cache=True)
def _parse_fastq(  # type: ignore[no-untyped-def]
    text, at_end, clean, bases, ids, lengths, digests
):
    consumed = 0
    n = n_bases = n_ids = lines = 0
    size = text.size
    while consumed < size:
        # What ends the loop before its last line is a record that the buffer does not hold whole.
        status = _IRREGULAR if at_end else _MORE
        if text[consumed] != 64:  # "@"
            status = _IRREGULAR
            break
        place, ids_end, digest = _header(text, consumed + 1, ids, n_ids)
        if place < 0:
            if place == -2:
                status = _IRREGULAR
            break
        header_end = place - 1 if text[place - 1] == 13 else place
        place += 1
        end = n_bases
        start = place
        while place < size:
            value = clean[text[place]]
            if value > _OTHER:
                bases[end] = value
                end += 1
            elif value != _GAP:
                break
            place += 1
        raw_length = place - start
        if place < size and text[place] == 13:
            place += 1
        if place == size:
            break
        if text[place] != 10 or end == n_bases:
            status = _IRREGULAR
            break
        place += 1
        if place == size:
            break
        if text[place] != 43:  # "+"
            status = _IRREGULAR
            break
        place += 1
        plus = place
        while place < size and text[place] != 10:
            place += 1
        if place == size:
            break
        plus_end = place - 1 if text[place - 1] == 13 else place
        repeated = plus_end - plus
        if repeated:
            if repeated != header_end - consumed - 1:
                status = _IRREGULAR
                break
            same = True
            for i in range(repeated):
                same = same and text[plus + i] == text[consumed + 1 + i]
            if not same:
                status = _IRREGULAR
                break
        place += 1
        quality_end = place + raw_length
        while place < min(quality_end, size) and 32 <= text[place] <= 126:
            place += 1
        if place < quality_end:
            if place < size:
                status = _IRREGULAR
            break
        feeds = 3
        if place < size:
            if text[place] == 13:
                place += 1
                if place == size:
                    break
            if text[place] != 10:
                status = _IRREGULAR
                break
            place += 1
            feeds = 4
        elif not at_end:
            break
        lengths[n] = end - n_bases
        digests[n] = digest
        n += 1
        consumed, n_bases, n_ids = place, end, ids_end
        lines += feeds
    else:
        status = _MORE
    return status, n, consumed, n_bases, n_ids, lines
