"""Work ahead in threads: read, prepare or compute what comes next while this is in use."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from itertools import count, islice
from typing import Any, TypeVar

from ._torch import torch

T = TypeVar("T")

_END: Any = object()


def ahead(
    iterable: Iterable[Any],
    function: Callable[[Any], Any] | None = None,
    n_threads: int = 1,
    depth: int = 2,
) -> Generator[Any, None, None]:
    """Yield items, or what `function` makes of them, in their order and made ahead in threads.

    Without `function`, one thread iterates; with it, the caller does. At most `depth` items wait.
    An error is raised where its item would be. Close the generator if not all items are taken.
    """
    items = iter(iterable)
    pool = ThreadPoolExecutor(n_threads if function else 1, thread_name_prefix="dnaembed-ahead")
    waiting: deque[Future[Any]] = deque()
    if function is None:
        tasks = (pool.submit(next, items, _END) for _ in count())
    else:
        tasks = (pool.submit(function, item) for item in items)
    try:
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


def prefetch(items: Iterable[T], device: torch.device | None = None) -> Generator[T, None, None]:
    """Iterate in a thread in which a CUDA device is current, so that the others are left alone."""

    def on_device() -> Iterator[T]:
        on_cuda = device is not None and device.type == "cuda"
        with torch.cuda.device(device) if on_cuda else nullcontext():
            yield from items

    return ahead(on_device(), depth=1)


def pin(batch: Mapping[str, torch.Tensor], device: torch.device) -> dict[str, torch.Tensor]:
    """Put a batch into pinned memory if it will be needed on a CUDA device."""
    if device.type != "cuda":
        return dict(batch)
    return {name: tensor.pin_memory() for name, tensor in batch.items()}


def to_device(batch: Mapping[str, torch.Tensor], device: torch.device) -> dict[str, torch.Tensor]:
    """Copy a packed batch to a device without waiting for it; ``lengths`` stay on the CPU."""
    # They are read on the CPU, and fetching them back would wait for all that the device has to do.
    others = {name: tensor for name, tensor in batch.items() if name != "lengths"}
    return dict(batch) | {key: t.to(device, non_blocking=True) for key, t in others.items()}
