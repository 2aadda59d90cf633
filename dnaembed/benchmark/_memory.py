"""How much memory a piece of work takes."""

from __future__ import annotations

import os
import sys
import threading


class MemoryWatch:
    """Looks at the memory of the process every few milliseconds.

    The system's own high-water mark knows only the largest of all that was done so far.
    """

    _INTERVAL = 0.01

    def __enter__(self) -> MemoryWatch:
        self._start = self._peak = _memory_in_use()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._peak = max(self._peak, _memory_in_use())

    @property
    def growth(self) -> int:
        """Bytes at the peak above those at the start."""
        return self._peak - self._start

    def _watch(self) -> None:
        while not self._stop.wait(self._INTERVAL):
            self._peak = max(self._peak, _memory_in_use())


def _memory_in_use() -> int:
    if sys.platform == "linux":
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    try:
        import resource
    except ModuleNotFoundError:  # not on Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
