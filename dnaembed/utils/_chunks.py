"""Split a stream into chunks of bounded size."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def iter_chunks(
    items: Iterable[T], size: Callable[[T], int], most: int, most_items: int | None = None
) -> Iterator[list[T]]:
    """Yield consecutive items whose sizes add up to at most `most`; a larger item comes alone."""
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
