"""Outputs are complete or absent: written beside their place, then renamed into it."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def atomic_output(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it into place when the block ends well.

    Parameters
    ----------
    path : path-like
        Where the file belongs. A link is followed; what is not a regular file (``/dev/stdout``, a
        named pipe) is written directly, because renaming would replace the device.

    Yields
    ------
    pathlib.Path
        Write here. After an exception it is removed and `path` is as it was.
    """
    target = check_output(path)
    if target.exists() and not target.is_file():
        yield target
        return
    with written_beside(target) as beside:
        yield beside


@contextmanager
def written_beside(target: Path, *, flush: bool = True) -> Iterator[Path]:
    """Do as `atomic_output`, but follow no link: one that has the name is replaced.

    `flush` makes sure that the content is on the disk before the file takes its name.
    """
    beside = target.with_name(_temporary(target.name))
    try:
        yield beside
        if flush:
            flush_to_disk(beside)
        beside.replace(target)
    except BaseException:
        with suppress(FileNotFoundError):
            beside.unlink()
        raise


def check_output(path: str | os.PathLike[str]) -> Path:
    """Return where `path` leads to; raise if no file can be there.

    To be called before long work as well, so that it is not done in vain.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(f"{path} is a directory; the name of a file is expected.")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"Cannot write {path}: there is no folder {target.parent}.")
    # Raises where the name is too long for the longest one that is made of it.
    target.with_name(_temporary(target.name)).is_symlink()
    return target


def _temporary(name: str) -> str:
    return f".{name}.{secrets.token_hex(4)}.tmp"


@contextmanager
def atomic_folder(path: str | os.PathLike[str], *, overwrite: bool = True) -> Iterator[Path]:
    """Give a new temporary folder beside `path`; rename it into place when the block ends well.

    A folder at `path` is replaced as a whole: the caller has made sure that it may be. With
    ``overwrite=False``, only an empty one is. After an exception it is as it was.
    """
    if not overwrite:
        check_vacant(path)
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_dir():
        raise NotADirectoryError(f"{path} is a file; the name of a folder is expected.")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"Cannot write {path}: there is no folder {target.parent}.")
    beside = target.with_name(_temporary(target.name))
    beside.mkdir()
    try:
        yield beside
        if not overwrite:
            check_vacant(path)
        if not target.exists():
            beside.rename(target)
            return
        old = beside.with_suffix(".old")
        target.rename(old)
        try:
            beside.rename(target)
        except OSError:
            old.rename(target)
            raise
        shutil.rmtree(old)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def check_vacant(path: str | os.PathLike[str]) -> None:
    """Raise unless `path` is free or an empty folder."""
    target = Path(path)
    if target.is_dir():
        if any(target.iterdir()):
            raise FileExistsError(f"{path}: the folder exists and is not empty.")
    elif target.exists() or target.is_symlink():
        raise FileExistsError(f"{path}: a file of this name exists.")


def flush_to_disk(path: Path) -> None:
    """Wait until the content of a file is on the disk."""
    # Without it a power cut after the rename can leave an empty file under the final name.
    with path.open("rb") as file:
        os.fsync(file.fileno())
