"""Children that are forked from a process in which this package works: they can work, too.

A lock that another thread held would stay closed for ever, and OpenMP would wait for threads.
"""

import os
import sys
from threading import RLock
from typing import Any

_LONGEST_WAIT = 10.0  # seconds; compiling a loop takes one or two


class ForkedLock:
    """A reentrant lock that is open in a forked child, unless the forking thread held it."""

    def __init__(self) -> None:
        self._lock = RLock()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._renew)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def _renew(self) -> None:
        if not self._lock._is_owned():  # type: ignore[attr-defined]
            self._lock = RLock()


class _Fork:
    """What is done around a fork for numba's compiler, and for OpenMP in torch and scikit-learn."""

    held: Any = None
    openmp: Any = None

    def before(self) -> None:
        # LLVM has locks of its own, which nobody can open: wait until no thread compiles.
        compiler = _compiler_lock()
        is_held = compiler is not None and compiler._lock.acquire(timeout=_LONGEST_WAIT)
        self.held = compiler._lock if is_held else None
        if "torch" in sys.modules or "sklearn" in sys.modules:
            from threadpoolctl import ThreadpoolController

            self.openmp = ThreadpoolController().select(user_api="openmp")

    def in_parent(self) -> None:
        if self.held is not None:
            self.held.release()

    def in_child(self) -> None:
        self.in_parent()
        if self.held is None and _compiler_lock() is not None:
            _compiler_lock()._lock = RLock()
        # A region of one thread needs no pool. torch has a setting of its own beside OpenMP's.
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(1)
        # Bars share a lock, which a thread that is not there may hold.
        if "tqdm.std" in sys.modules:
            bar = sys.modules["tqdm.std"].tqdm
            for kind in (bar, *bar.__subclasses__()):
                kind.set_lock(RLock())
        if self.openmp is not None:
            self.openmp.limit(limits=1)


def _compiler_lock() -> Any:
    module = sys.modules.get("numba.core.compiler_lock")
    return getattr(module, "global_compiler_lock", None)


if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
    _fork = _Fork()
    os.register_at_fork(
        before=_fork.before, after_in_parent=_fork.in_parent, after_in_child=_fork.in_child
    )
