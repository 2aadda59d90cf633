"""What every command passes through: options, outputs checked first, messages, one line on errors.

A command is a function. Its parameters become arguments and options, and a parameter whose type is
a `group` stands for the options that are its fields.
"""

import inspect
import logging
import os
import re
import shlex
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup

from ..utils._messages import escape

logger = logging.getLogger("dnaembed")

# What was typed, for what a command writes about itself.
COMMAND_LINE: ContextVar[str] = ContextVar("COMMAND_LINE", default="")

# Marks of options that are the place of a file, of which suffixes, or of a folder that is new or
# replaced as a whole. They are checked before the work; options without a mark are inputs, but for
# these metavars.
INPUT: tuple[str, tuple[str, ...]] = "inputs", ()
READS_FILES = "reads", ()  # also folders and patterns
OUTPUT_FILE, OUTPUT_FOLDER = ("outputs", ()), ("folders", ())
NO_FILES = {None, "NAME", "N", "X", "K", "BP", "I/N", "HEX", "DIR", "FOLDER", "RUN"}
REQUIRED = MISSING

T = TypeVar("T")

# Of click, which some versions of typer depend on and others carry within themselves.
UsageError: Any = typer.BadParameter.__base__

# What a file, an argument, a missing dependency, a device or a lack of memory can raise. Anything
# else is a defect of the program and shows its traceback.
_EXPECTED = (OSError, ValueError, ImportError, RuntimeError, MemoryError, FloatingPointError)

# What an error advises to set in Python is set by these options here.
_OPTIONS = {
    "skip_empty=True": "--skip-empty",
    'duplicate_ids="allow"': "--allow-duplicate-ids",
    "overwrite=True": "--force",
    "resume=False": "--restart",
    "prefix=True": "--prefix",
}


def option(
    text: str, metavar: str | None = None, *flags: str, default: Any = None, **settings: Any
) -> Any:
    """Declare an option as a field of a `group`: its help, metavar and names."""
    mark = settings.pop("mark", INPUT)
    info = typer.Option(..., *flags, metavar=metavar, help=text, **settings)
    return field(default=default, metadata={"info": info, "mark": mark})


def flag(text: str, *flags: str) -> Any:
    """Declare an option without a value."""
    return option(text, "", *flags, default=False)  # an empty metavar: no type in the help


def group(panel: str | None = None) -> Callable[[type[T]], type[T]]:
    """Make a class a dataclass whose fields are options, under one heading of the help."""

    def make(kind: type[T]) -> type[T]:
        made: Any = dataclass(frozen=True, kw_only=True)(kind)
        for one in fields(made):
            info = one.metadata["info"]
            info.rich_help_panel = info.rich_help_panel or panel
            info.param_decls = info.param_decls or (f"--{one.name.replace('_', '-')}",)
        return made

    return make


@group("Messages")
class Messages:
    """What is shown."""

    quiet: bool = flag("Show warnings only.", "--quiet", "-q")
    debug: bool = flag("Show the traceback of an error (or set DNAEMBED_DEBUG=1).")


class _Examples:
    """Help that ends with the examples as they are written (typer would join their lines)."""

    def __init__(self, *, epilog: str | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self._examples = epilog or ""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse; an error says whose arguments were wrong, also where click does not."""
        COMMAND_LINE.set(shlex.join([*ctx.command_path.split(), *args]))
        try:
            return super().parse_args(ctx, args)  # type: ignore[misc, no-any-return]
        except UsageError as error:
            error.ctx = error.ctx or ctx
            raise

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        super().format_help(ctx, formatter)  # type: ignore[misc]
        formatter.write(f"examples:\n{self._examples}")


class Command(_Examples, TyperCommand):
    """A sub-command."""


class Group(_Examples, TyperGroup):
    """The command ``dnaembed``."""


_settings = {"help_option_names": ["--help", "-h"]}
_how: Any = {"rich_markup_mode": "rich", "pretty_exceptions_enable": False}
app = typer.Typer(cls=Group, **_how, context_settings=_settings)


def command(examples: str) -> Callable[[Callable], Callable]:
    """Make a function a sub-command of its name; its docstring, then `examples`, are the help."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        name = function.__name__.strip("_")
        hints = get_type_hints(function, include_extras=True)
        options = []
        for key, parameter in inspect.signature(function).parameters.items():
            options += _options_of(parameter, hints[key])
        options += _options_of(None, Messages)

        def run(**values: Any) -> int:
            places = [(*_mark(option), values[option.name]) for option in options]
            messages = _take(Messages, values)
            for key, kind in hints.items():
                if is_dataclass(kind):
                    values[key] = _take(kind, values)
            return _run(name, lambda: function(**values), places, messages)

        run.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
        run.__annotations__ = {option.name: option.annotation for option in options}
        paragraphs = str(inspect.getdoc(function)).split("\n\n")
        text = "\n\n".join(paragraph.replace("\n", " ") for paragraph in paragraphs)
        app.command(name, cls=Command, help=text, epilog=examples)(run)
        return function

    return register


def _options_of(parameter: inspect.Parameter | None, kind: Any) -> list[inspect.Parameter]:
    """Return a parameter as an option, or the options of the group that it stands for."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    if parameter is not None and not is_dataclass(kind):
        return [parameter.replace(annotation=kind, kind=keyword)]
    hints = get_type_hints(kind)
    found = []
    for one in fields(kind):
        default = inspect.Parameter.empty if one.default is MISSING else one.default
        hint, info, mark = hints[one.name], one.metadata["info"], one.metadata["mark"]
        meant: Any = Annotated[hint, info, mark]
        found.append(inspect.Parameter(one.name, keyword, default=default, annotation=meant))
    return found


def _take(group: Any, values: dict[str, Any]) -> Any:
    return group(**{field.name: values.pop(field.name) for field in fields(group)})


def _mark(option: inspect.Parameter) -> tuple[str, tuple[str, ...]]:
    """Return what an option is the place of ("" for none) and, of an output, its suffixes."""
    info, *marks = option.annotation.__metadata__
    mark: tuple[str, tuple[str, ...]] = (marks or [INPUT])[0]
    return ("", ()) if mark == INPUT and info.metavar in NO_FILES else mark


def _check_places(places: list[tuple[str, tuple[str, ...], Any]]) -> None:
    """Raise if an output cannot be written, in the format that its suffix names, or harms."""
    from ..utils._atomic import check_outputs, format_of

    checked: dict[str, list[str]] = {"outputs": [], "inputs": [], "folders": []}
    for kind, suffixes, value in places:
        given = value if isinstance(value, list | tuple) else [value]
        texts = [text for text in given if isinstance(text, str)]
        if suffixes and texts and format_of(texts[0], suffixes) == ".parquet":
            from ..io._errors import import_optional

            import_optional("pyarrow", extra="parquet", purpose="The .parquet format")
        if kind == "reads":
            kind, texts = "inputs", [file for text in texts for file in _files_of(text)]
        if kind:
            checked[kind] += texts
    check_outputs(**checked)
    for text in checked["folders"]:
        if re.search(r"\.(tsv|csv|parquet|html|png|fa|fasta|fna)$", text, re.IGNORECASE):
            raise ValueError(f"{text} would be a folder: give a name without a suffix.")


def _files_of(place: str) -> list[str]:
    """Return the files that a folder or a pattern stands for, and say which they are."""
    from ..io._readers import sequence_files

    files = [str(file) for file in sequence_files(place)]
    if files != [place]:
        inside = list(Path(place).iterdir()) if Path(place).is_dir() else files
        names = [Path(file).name for file in files[:4]] + ["..."] * (len(files) > 4)
        said = f"Reading from {place}: {', '.join(names)} ({len(files)} of {len(inside)} files)."
        logger.info("%s", escape(said))
    return files


def _run(name: str, work: Callable[[], None], places: list, messages: Messages) -> int:
    """Do the work of a command; return the exit status."""
    debug = messages.debug or os.environ.get("DNAEMBED_DEBUG", "") not in ("", "0")
    with _logging(quiet=messages.quiet), _termination_as_exception():
        try:
            # A closed stream leaves its number to the next file that is opened: not to an output.
            while (descriptor := os.open(os.devnull, os.O_RDWR)) < 3:
                pass
            os.close(descriptor)
            _check_places(places)
            work()
            if sys.stdout is not None:
                sys.stdout.flush()
            return 0
        except KeyboardInterrupt:
            say(f"dnaembed {name}: interrupted")
            return 130
        except BrokenPipeError:
            # The reader of our output, such as head, has seen enough.
            if sys.stdout is not None:
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 141
        except _EXPECTED as error:
            if debug:
                raise
            say(f"dnaembed {name}: error: {_one_line(error)}")
            return 1


@contextmanager
def _logging(*, quiet: bool) -> Iterator[None]:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING if quiet else logging.INFO)
    try:
        with warnings.catch_warnings():  # a warning is a line, without the code that it comes from
            warnings.showwarning = lambda message, *_: logger.warning("%s", message)
            yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


@contextmanager
def _termination_as_exception() -> Iterator[None]:
    """Let signals of batch systems and lost terminals unwind the stack: no half output stays."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(signal_number: int, _: Any) -> NoReturn:
        raise SystemExit(128 + signal_number)

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    # What is ignored stays so: nohup ignores SIGHUP.
    before = {n: signal.signal(n, leave) for n in numbers if signal.getsignal(n) != signal.SIG_IGN}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _one_line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    advice = getattr(error, "advice", None)
    if advice is not None:
        problem, sentence, setting = advice
        return f"{problem} {sentence.format(_OPTIONS[setting])}"
    text = " ".join(str(error).split()) or type(error).__name__
    # Messages name a parameter and its option; here the option is enough.
    return re.sub(r"(--[\w-]+) \([a-z_]+\)|\b[a-z_]+ \((--[\w-]+)\)", r"\1\2", text)


def say(message: str) -> None:
    """Write a line to standard error; names in files may hold what a terminal would obey."""
    print(escape(message), file=sys.stderr)
