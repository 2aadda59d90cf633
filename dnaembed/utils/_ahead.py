"""Work ahead in threads: read, prepare or compute what comes next while this is in use."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from itertools import islice
from typing import Any, TypeVar

import torch

T = TypeVar("T")

_END: Any = object()


def ahead(
    iterable: Iterable[Any],
    function: Callable[[Any], Any] | None = None,
    n_threads: int = 1,
    depth: int = 2,
) -> Generator[Any, None, None]:
    """Yield items in their order, made ahead in threads.

    Parameters
    ----------
    iterable : iterable
        The items. Without `function`, a single thread goes through them; with it, the caller does.
    function : callable, default=None
        Applied to each item, in threads.
    n_threads : int, default=1
        Threads of the function.
    depth : int, default=2
        Items that wait for the caller at most, besides those that the threads work on.

    Yields
    ------
    object
        The items, or what `function` makes of them. An error is raised where its item would be.
        No thread outlives the generator: close it where not all is taken.

    Examples
    --------
    >>> from dnaembed.utils._ahead import ahead
    >>> list(ahead(range(4), lambda x: x * x, n_threads=2))
    [0, 1, 4, 9]
    """
    items = iter(iterable)
    pool = ThreadPoolExecutor(n_threads if function else 1, thread_name_prefix="dnaembed-ahead")
    waiting: deque[Future[Any]] = deque()
    try:
        tasks = _tasks(pool, items, function)
        waiting.extend(islice(tasks, n_threads + depth))
        while waiting:
            item = waiting.popleft().result()
            if item is _END:
                return
            waiting.extend(islice(tasks, 1))
            yield item
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        if hasattr(items, "close"):
            items.close()


def _tasks(
    pool: ThreadPoolExecutor, items: Iterator[Any], function: Callable[[Any], Any] | None
) -> Iterator[Future[Any]]:
    while function is None:
        yield pool.submit(next, items, _END)
    for item in items:
        yield pool.submit(function, item)


def prefetch(
    items: Iterable[T], *, ahead: int = 2, device: torch.device | None = None
) -> Generator[T, None, None]:
    """Go through items in a thread, with a CUDA device made current there.

    What the thread asks of CUDA, pinned memory for example, then leaves the other devices alone.
    """
    return _ahead(_on_device(items, device), depth=ahead - 1)


_ahead = ahead  # the parameter of `prefetch` has this name


def _on_device(items: Iterable[T], device: torch.device | None) -> Iterator[T]:
    on_cuda = device is not None and device.type == "cuda"
    with torch.cuda.device(device) if on_cuda else nullcontext():
        yield from items


def pin(batch: Mapping[str, torch.Tensor], device: torch.device) -> dict[str, torch.Tensor]:
    """Put a batch where a CUDA device can fetch it by itself; elsewhere, leave it.

    Parameters
    ----------
    batch : mapping
        Tensors on the CPU.
    device : torch.device
        Where the batch will be needed.
    """
    if device.type != "cuda":
        return dict(batch)
    return {name: tensor.pin_memory() for name, tensor in batch.items()}


def to_device(batch: Mapping[str, torch.Tensor], device: torch.device) -> dict[str, torch.Tensor]:
    """Copy a batch to a device without waiting for it; ``lengths`` stay on the CPU.

    What is done follows from the lengths, so they are read on the CPU: to fetch them back from a
    device means to wait until it has done all that it was asked for before.

    Parameters
    ----------
    batch : mapping
        As `Backbone.pack` makes it.
    device : torch.device
        Where the model is.
    """
    return {
        name: tensor if name == "lengths" else tensor.to(device, non_blocking=True)
        for name, tensor in batch.items()
    }
