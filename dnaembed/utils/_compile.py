"""Compile loops with numba, and keep what was compiled on the disk where that is possible."""

import atexit
import hashlib
import logging
import pickle
import shutil
import tempfile
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

import numba
from numba.core.caching import CompileResultCacheImpl, FunctionCache
from numba.core.serialize import dumps

logger = logging.getLogger("dnaembed")


def compiled(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Compile as ``numba.njit(nogil=True, cache=True)``, also where the cache is of no use.

    One that is damaged, full or not writable is no error: the function is compiled in memory.
    """
    if function is None:
        return lambda later: compiled(later, **options)
    dispatcher = numba.njit(nogil=True, **options)(function)
    if dispatcher is not function:  # they are the same with NUMBA_DISABLE_JIT=1
        try:
            dispatcher._cache = _Cache(function)
        except (RuntimeError, OSError) as error:  # RuntimeError: numba finds no folder to write to
            _go_on_without(error)
    return dispatcher


def import_compiled(name: str) -> ModuleType:
    """Import a module of others that compiles with a cache, even if there is no place for one."""
    try:
        return import_module(name)
    except RuntimeError as error:
        if "cannot cache" not in str(error):
            raise
    folder = tempfile.mkdtemp(prefix="dnaembed-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    settings: Any = numba.config
    before, settings.CACHE_DIR = settings.CACHE_DIR, folder
    try:
        return import_module(name)
    finally:
        settings.CACHE_DIR = before


class _CheckedResult(CompileResultCacheImpl):
    """What numba writes, with a checksum: damaged machine code would crash the process."""

    def reduce(self, data: Any) -> Any:
        code = dumps(super().reduce(data))
        return hashlib.sha256(code).digest(), code

    def rebuild(self, target_context: Any, payload: Any) -> Any:
        digest, code = payload
        if hashlib.sha256(code).digest() != digest:
            raise ValueError("its checksum differs")
        return super().rebuild(target_context, pickle.loads(code))


class _Cache(FunctionCache):
    """The cache of one function, in which everything may fail."""

    _impl_class = _CheckedResult

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception as error:  # noqa: BLE001, unpickling damaged data may raise anything
            _go_on_without(error, self.cache_path)
        try:
            self.flush()  # so that the next process finds a good one
        except OSError:
            self.disable()
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except Exception as error:  # noqa: BLE001
            if "no compiled object" in str(error):  # a callback of LLVM lost a signal's exception
                raise SystemExit(143) from None
            _go_on_without(error, self.cache_path)


_is_known = False


def _go_on_without(error: Exception, folder: str = "") -> None:
    """Say once that the cache is of no use; to compile again takes a second or two."""
    global _is_known
    if not _is_known:
        _is_known = True
        what = str(error).split("\n")[0] or type(error).__name__
        logger.info("Compiling without numba's cache %s: %s", folder, what)
