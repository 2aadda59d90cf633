"""Divide the cores between threads that compute at the same time."""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from joblib import cpu_count
from threadpoolctl import ThreadpoolController

from ._fork import ForkedLock
from ._torch import torch


def available_cores() -> int:
    """Count the cores that the calling thread may use: affinity, cgroup, ``OMP_NUM_THREADS``."""
    if "torch" in sys.modules:
        return int(min(cpu_count(), torch.get_num_threads()))
    limit = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return min(int(cpu_count()), int(limit) if limit.isdigit() and int(limit) else 1 << 16)


@contextmanager
def limit_threads(n_threads: int | None) -> Iterator[None]:
    """Let torch use at most `n_threads` cores in the calling thread; others notice nothing.

    `torch.set_num_threads` would change the whole process; OpenMP and MKL have a limit for each
    thread. A smaller limit in force stays. With None there is no limit.
    """
    if n_threads is None or "torch" not in sys.modules:
        yield
        return
    # A thread's first call into torch sets its limits; later than here, it would undo ours.
    n_threads = min(n_threads, torch.get_num_threads())
    with _controller("openmp").limit(limits=n_threads):
        before = _limit_mkl(n_threads)
        try:
            yield
        finally:
            _limit_mkl(before)


class _OneBlasThread:
    """The libraries under numpy have one number of threads for a process: one while we multiply."""

    def __init__(self) -> None:
        self._lock, self._users = ForkedLock(), 0

    def __enter__(self) -> None:
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._limit: Any = _controller("blas").limit(limits=1)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                self._limit.restore_original_limits()


one_blas_thread = _OneBlasThread()


@cache
def _controller(kind: str) -> ThreadpoolController:
    # Kept: to look for the libraries takes milliseconds, as much as a small piece of work.
    return ThreadpoolController().select(user_api=kind)


def _limit_mkl(n_threads: int) -> int:
    """Set MKL's limit for this thread, 0 for none; return the one before."""
    # Linked into torch; absent from builds for other processors.
    set_local = getattr(ctypes.CDLL(torch._C.__file__), "MKL_Set_Num_Threads_Local", None)
    return 0 if set_local is None else int(set_local(n_threads))
