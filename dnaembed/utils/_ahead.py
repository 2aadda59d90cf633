"""Prepare what a device will compute next while it computes."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable, Mapping
from contextlib import nullcontext
from typing import TypeVar

import torch

T = TypeVar("T")

# Seconds after which a thread that waits for room looks whether it is still needed.
_PATIENCE = 0.1


class _End:
    """The last thing in the queue: with the error that ended the items, if one did."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def prefetch(
    items: Iterable[T], *, ahead: int = 2, device: torch.device | None = None
) -> Generator[T, None, None]:
    """Go through items in a thread of its own, some ahead of who takes them.

    Parameters
    ----------
    items : iterable
        What takes time to make; nothing else may go through it meanwhile.
    ahead : int, default=2
        Items that are ready at most, besides the one in use and the one in the making.
    device : torch.device, default=None
        A CUDA device to make current in the thread, so that what the thread asks of CUDA, pinned
        memory say, leaves the other devices alone.

    Yields
    ------
    object
        Each item, in order. An error of the items is raised where they are taken.

    Examples
    --------
    >>> from dnaembed.utils._ahead import prefetch
    >>> list(prefetch(x * x for x in range(4)))
    [0, 1, 4, 9]
    """
    ready: queue.Queue[T | _End] = queue.Queue(ahead)
    stop = threading.Event()
    thread = threading.Thread(
        target=_make, args=(items, ready, stop, device), name="dnaembed-prefetch", daemon=True
    )
    thread.start()
    try:
        while not isinstance(item := ready.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        # Also where the taker stops early: no thread outlives the generator.
        stop.set()
        thread.join()


def _make(
    items: Iterable[T],
    ready: queue.Queue[T | _End],
    stop: threading.Event,
    device: torch.device | None,
) -> None:
    end = _End()
    try:
        on_cuda = device is not None and device.type == "cuda"
        with torch.cuda.device(device) if on_cuda else nullcontext():
            for item in items:
                if not _put(ready, item, stop):
                    return
    except BaseException as error:  # noqa: BLE001 - raised in the thread that takes the items
        end = _End(error)
    _put(ready, end, stop)


def _put(ready: queue.Queue[T | _End], item: T | _End, stop: threading.Event) -> bool:
    while not stop.is_set():
        try:
            ready.put(item, timeout=_PATIENCE)
        except queue.Full:
            continue
        return True
    return False


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
