"""From arguments to an exit status: logging, errors in one line, interruption."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from typing import Any, NoReturn

logger = logging.getLogger("dnaembed")

_COMMANDS = (
    "embed", "merge", "cluster", "bin", "classify", "benchmark", "train", "adapt", "convert",
    "info", "demo",
)  # fmt: skip

_EPILOG = """\
examples:
  dnaembed demo                                   see what it does, on reads that come with it
  dnaembed embed reads.fastq.gz -o reads.npy      one row of numbers a read
  dnaembed cluster reads.fasta -k 10 -o clusters.tsv
  dnaembed bin contigs.fasta -o bins/
  dnaembed classify --train known.fasta --labels known.tsv reads.fastq.gz -o calls.tsv

Each command explains itself: dnaembed COMMAND --help
"""

# What a file, an argument, a missing dependency, a device or a lack of memory can raise. Anything
# else is a defect of the program and shows its traceback.
_EXPECTED = (OSError, ValueError, ImportError, RuntimeError, MemoryError)

# The library's names for what the command line calls otherwise.
_OPTION_NAMES = {
    "skip_empty=True": "--skip-empty",
    'duplicate_ids="allow"': "--allow-duplicate-ids",
    "allow overwriting": "use --force",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the ``dnaembed`` command.

    Parameters
    ----------
    argv : sequence of str, default=None
        Arguments; those of the process if None.

    Returns
    -------
    int
        Exit status: 0, 1 after an error (one line on standard error), 2 after wrong arguments,
        130 after an interruption.
    """
    try:
        args = _parser().parse_args(argv)
    except SystemExit as leave:  # argparse has said what is wrong, or printed the help
        return int(leave.code or 0)
    debug = args.debug or os.environ.get("DNAEMBED_DEBUG", "") not in ("", "0")
    with _logging(quiet=args.quiet), _termination_as_exception():
        try:
            status = int(args.run(args))
            sys.stdout.flush()
            return status
        except KeyboardInterrupt:
            _say(f"dnaembed {args.command}: interrupted")
            return 130
        except BrokenPipeError:
            # The reader of our output, such as head, has seen enough.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 141
        except _EXPECTED as error:
            if debug:
                raise
            _say(f"dnaembed {args.command}: error: {_one_line(error)}")
            return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dnaembed",
        description="Species-aware embeddings of DNA reads and contigs.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"dnaembed {version('dnaembed')}")
    subparsers: Any = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in _COMMANDS:
        module = import_module(f"._{name}", __package__)
        module.add_parser(subparsers)
        command = subparsers.choices[name]
        command.set_defaults(run=module.run)
        output = command.add_argument_group("messages")
        output.add_argument("--quiet", "-q", action="store_true", help="show warnings only")
        output.add_argument(
            "--debug",
            action="store_true",
            help="show the traceback of an error (or set DNAEMBED_DEBUG=1)",
        )
    return parser


@contextmanager
def _logging(*, quiet: bool) -> Iterator[None]:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING if quiet else logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


@contextmanager
def _termination_as_exception() -> Iterator[None]:
    """Let SIGTERM, as batch systems send it, unwind the stack, so that no half output stays."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(signal_number: int, _: Any) -> NoReturn:
        raise SystemExit(128 + signal_number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _one_line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        message = f"{error.filename}: {error.strerror}"
    else:
        message = " ".join(str(error).split()) or type(error).__name__
    for name, option in _OPTION_NAMES.items():
        message = message.replace(name, option)
    # Names in a file may hold what a terminal would obey.
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in message)


def _say(message: str) -> None:
    print(message, file=sys.stderr)
