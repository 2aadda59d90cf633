"""Cut what is too much to hold at a time into chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def iter_chunks(
    items: Iterable[T], size: Callable[[T], int], most: int, most_items: int | None = None
) -> Iterator[list[T]]:
    """Yield lists of consecutive items that together are not larger than a limit.

    Parameters
    ----------
    items : iterable
        Sequences, or what stands for them; taken as the chunks are asked for.
    size : callable
        Size of an item, for example its number of bases.
    most : int
        Greatest size of a chunk; a larger item is a chunk of its own.
    most_items : int, default=None
        Greatest number of items in a chunk.

    Yields
    ------
    list
        At least one item.
    """
    chunk: list[T] = []
    total = 0
    for item in items:
        n = size(item)
        if chunk and (total + n > most or len(chunk) == most_items):
            yield chunk
            chunk, total = [], 0
        chunk.append(item)
        total += n
    if chunk:
        yield chunk
