"""Divide the cores between threads that compute at the same time."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch
from joblib import cpu_count
from threadpoolctl import ThreadpoolController


def available_cores() -> int:
    """Count the cores that the calling thread may use: affinity, cgroup, ``OMP_NUM_THREADS``."""
    return int(min(cpu_count(), torch.get_num_threads()))


@contextmanager
def limit_threads(n_threads: int | None) -> Iterator[None]:
    """Let torch use at most `n_threads` cores in the calling thread; others notice nothing.

    `torch.set_num_threads` would change the whole process. OpenMP has a limit for each thread, and
    so has MKL, whose wins once anybody called that. A smaller limit in force stays. With
    None there is no limit.
    """
    if n_threads is None:
        yield
        return
    # A thread's first call into torch sets its limits; later than here, it would undo ours.
    n_threads = min(n_threads, torch.get_num_threads())
    with _controller().limit(limits=n_threads):
        before = _limit_mkl(n_threads)
        try:
            yield
        finally:
            _limit_mkl(before)


@cache
def _controller() -> ThreadpoolController:
    # Kept: to look for the libraries takes milliseconds, as much as a small piece of work.
    return ThreadpoolController().select(user_api="openmp")


def _limit_mkl(n_threads: int) -> int:
    """Set MKL's limit for this thread, 0 for none; return the one before."""
    # Linked into torch; absent from builds for other processors.
    set_local = getattr(ctypes.CDLL(torch._C.__file__), "MKL_Set_Num_Threads_Local", None)
    return 0 if set_local is None else int(set_local(n_threads))
