"""Outputs are complete or absent, and overwrite neither an input nor what is not theirs."""

import errno
import os
import re
import secrets
import shutil
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

FilePath = str | os.PathLike[str]
_FULL = errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)
_MARK = b'"input_checksum"'  # what only a manifest of this package holds


def check_outputs(
    outputs: Iterable[FilePath], inputs: Iterable[Any] = (), folders: Iterable[FilePath] = ()
) -> None:
    """Raise if an output cannot be written or would overwrite an input or another output.

    Files are compared as files, through links; what lies beside a ``.npy`` file is part of it;
    `folders` are outputs that are replaced as a whole. Inputs that are not paths are passed over.
    """
    paths = (path for path in inputs if isinstance(path, str | os.PathLike) and path != "-")
    taken = [(place, path) for path in paths for place in _places(path)]
    for path in outputs:
        check_output(path)
        places = _places(path)
        for name in [name for other, name in taken if any(_is_same(p, other) for p in places)]:
            raise ValueError(f"The output {path} would overwrite {name}; choose another name.")
        taken += [(place, path) for place in places]
    for path in folders:
        target = check_folder(path)
        for place, name in taken:
            if Path(os.path.realpath(place)).is_relative_to(target):
                raise ValueError(f"{name} lies in the output {path}; choose another folder.")


def check_output(path: FilePath) -> Path:
    """Return where `path` leads to; raise if no file can be written there."""
    if (descriptor := descriptor_of(path)) is not None:
        opened = Path(f"/dev/fd/{descriptor}")
        if not opened.exists() or (descriptor == 1 and sys.stdout is None):
            raise OSError(f"Cannot write {path}: it is closed.")
        return opened
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(f"{path} is a directory; the name of a file is expected.")
    beside = companions(target)
    with alone_in(target.parent):  # while others name their files, some of these are not there
        if target.exists() and not target.is_file() and beside:
            raise ValueError(f"{path} is not a regular file: a .npy file cannot be written there.")
        _check_place(path, target, *beside)
        check_companions(target)
    return target


def check_companions(target: Path) -> None:
    """Raise if what lies beside a ``.npy`` file was not written together with it."""
    beside = companions(target)[:2]
    is_ours = beside and beside[1].is_file() and _MARK in beside[1].read_bytes()
    for name in filter(os.path.lexists, beside):
        # Without a manifest, identifiers are those of the array.
        if not is_ours and not (target.exists() and name == beside[0]):
            why = f"was not written together with {target.name}, and would be overwritten"
            raise FileExistsError(f"{name} {why}. Move it, or choose another output.")


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other writers of this package from giving names in a folder; a moment, never nested."""
    with ExitStack() as stack:
        with suppress(ImportError, OSError):  # Windows; file systems without locks
            import fcntl

            descriptor = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            stack.callback(fcntl.flock, descriptor, fcntl.LOCK_UN)  # also for forked children
        yield


def check_folder(path: FilePath, *, overwrite: bool = True) -> Path:
    """Return where the folder `path` leads to; raise if it cannot be written or replaced."""
    target = Path(os.path.realpath(path))
    if os.path.lexists(path) and not target.is_dir():
        kind = NotADirectoryError if overwrite else FileExistsError
        raise kind(f"{path} is a file; the name of a folder is expected.")
    if target.is_dir():
        if not overwrite and any(target.iterdir()):
            raise FileExistsError(f"{path}: the folder exists and is not empty.")
        if holds_mount(target) or Path.cwd().is_relative_to(target):
            why = "holds a mount point or the current folder, so it cannot be replaced"
            raise OSError(f"{path} {why}; choose a new folder in it.")
    _check_place(path, target)
    return target


def holds_mount(path: Path) -> bool:
    """Tell whether a file or folder, or something in it, is a mount point."""
    if os.path.ismount(path):
        return True
    text = ""
    with suppress(OSError):  # Linux alone has mounts of files, and of folders of one file system
        text = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape")
    places = (line.split(" ")[4] for line in text.splitlines())
    texts = (re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), place) for place in places)
    within = os.path.join(path, "")  # noqa: PTH118 - with one separator at the end
    return any(f"{text}/".startswith(within) for text in texts)


@contextmanager
def open_output(path: FilePath, mode: str = "w") -> Iterator[Any]:
    """Open an output; a file takes its name when the block ends well.

    ``"-"``, a pipe or a device is written straight down, as it was opened: ``>>`` appends.
    """
    settings: Any = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
    descriptor = descriptor_of(path)
    with atomic_output(path) as place:
        if descriptor is not None and sys.stdout is not None:
            sys.stdout.flush()  # what was printed before stands before
        where = place if descriptor is None else os.dup(descriptor)
        with open(where, mode, **settings) as file:  # noqa: PTH123 - a descriptor, too
            yield file


@contextmanager
def atomic_output(path: FilePath) -> Iterator[Path]:
    """Give a temporary path beside `path`, renamed into place when the block ends well.

    A link is followed, and a pipe or device is written directly.
    """
    target = check_output(path)
    is_straight = descriptor_of(path) is not None or (target.exists() and not target.is_file())
    with nullcontext(target) if is_straight else written_beside(target) as place:
        yield place


@contextmanager
def naming(target: Path, beside: Path | None = None) -> Iterator[None]:
    """Put the name of an output into an error that names a temporary file, or a full disk only."""
    try:
        yield
    except OSError as error:
        is_full = error.errno in _FULL and error.filename is None
        if is_full or (beside is not None and str(error.filename) == str(beside)):
            error.filename = str(target)
        raise


@contextmanager
def written_beside(target: Path, *, flush: bool = True) -> Iterator[Path]:
    """Do as `atomic_output`, but follow no link: one that has the name is replaced."""
    beside = _beside(target)
    try:
        with naming(target, beside):
            yield beside
        if flush:
            flush_to_disk(beside)
        keep_mode(beside, target)
        beside.replace(target)
    except BaseException:
        with suppress(FileNotFoundError):
            beside.unlink()
        raise


def keep_mode(new: Path, old: Path) -> None:
    """Give a file or folder the mode of the one that it will replace, if there is one."""
    if old.exists() and not old.is_symlink():
        new.chmod(stat.S_IMODE(old.stat().st_mode))


@contextmanager
def atomic_folder(
    path: FilePath, *, overwrite: bool = True, check: Callable[..., Path] = check_folder
) -> Iterator[Path]:
    """Give a temporary folder beside `path`; rename it into place when the block ends well.

    A folder at `path` is replaced as a whole; with ``overwrite=False``, only an empty one.
    `check` says before and after the work what may be replaced.
    """
    with alone_in(Path(os.path.realpath(path)).parent):  # while others rename, it is not all there
        target = check(path, overwrite=overwrite)
    beside = _beside(target)
    with naming(target, beside):
        beside.mkdir()
    try:
        with naming(target):
            yield beside
        old = beside.with_suffix(".old")
        with alone_in(target.parent), ExitStack() as stack:
            check(path, overwrite=overwrite)
            if target.exists():
                keep_mode(beside, target)
                target.rename(old)
                stack.callback(old.rename, target)
            beside.rename(target)
            stack.pop_all()
        if old.exists():
            shutil.rmtree(old)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def flush_to_disk(path: Path) -> None:
    """Wait until a file is on the disk: a power cut after its renaming would leave it empty."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def format_of(path: FilePath, suffixes: Sequence[str]) -> str:
    """Return the suffix of an output, in small letters; raise if it is none of `suffixes`.

    ``"-"``, a pipe or a device, and a name without a suffix unless ``.npy`` is possible, are taken
    for ``.tsv`` or else the first.
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"Expected the path of a file, got {type(path).__name__}.")
    suffix = Path(path).suffix.lower()
    if suffix in suffixes:
        return suffix
    is_file = Path(path).is_file() or not Path(path).exists()
    if descriptor_of(path) is not None or not is_file or (not suffix and ".npy" not in suffixes):
        return ".tsv" if ".tsv" in suffixes else suffixes[0]
    expected = " or ".join(", ".join(suffixes).rsplit(", ", 1))
    raise ValueError(f"Cannot tell the format of {path}: expected {expected}.")


def companions(path: FilePath) -> list[Path]:
    """Return what belongs to a ``.npy`` file: identifiers, manifest, folder of parts."""
    target = Path(os.path.realpath(path)) if Path(path).is_symlink() else Path(path)
    endings = (".ids.txt", ".manifest.json", f"{target.suffix}.parts")
    return [target.with_suffix(end) for end in endings] if target.suffix.lower() == ".npy" else []


def _places(path: FilePath) -> list[Path]:
    """Return a file and its companions, which lie beside the file that a link leads to."""
    descriptor = descriptor_of(path)
    own = [Path(path), *companions(path)]
    return own if descriptor is None else [Path(f"/dev/fd/{descriptor}")]


def _is_same(a: Path, b: Path) -> bool:
    if a.exists() or b.exists():  # terminals are read and written
        return a.exists() and b.exists() and a.samefile(b) and (a.is_file() or a.is_dir())
    # Neither is there yet, and the file system may not tell their cases apart.
    return os.path.realpath(a).casefold() == os.path.realpath(b).casefold()


def _check_place(path: FilePath, *targets: Path) -> None:
    parent = targets[0].parent
    if not parent.is_dir():
        raise FileNotFoundError(f"Cannot write {path}: there is no folder {parent}.")
    for target in targets:
        with suppress(FileNotFoundError):
            target.lstat()  # raises where the name is too long
        place = target if target.is_file() else parent
        if not os.access(place, os.W_OK):
            raise PermissionError(f"Cannot write {path}: no permission to write {place}.")
        if target.is_file() and holds_mount(target):
            raise OSError(f"Cannot write {path}: {target} is a mount point, and stays as it is.")


def descriptor_of(path: FilePath) -> int | None:
    """Return the open file that a name stands for: 1 for ``-`` and ``/dev/stdout``."""
    name = os.fspath(path)
    for _ in range(40):  # links on the way, as the system allows
        if name == "-":
            return 1
        if match := re.fullmatch(rf"/(?:dev|proc/(?:self|{os.getpid()}))/fd/(\d+)", name):
            return int(match[1])
        if not Path(name).is_symlink():
            break
        name = str(Path(name).parent / Path(name).readlink())
    return None


def _beside(target: Path) -> Path:
    # Short, whatever the name of the output, so that it is never too long.
    return target.with_name(f".dnaembed.{secrets.token_hex(4)}.tmp")
