"""From arguments to an exit status."""

import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import Annotated, Any

import typer

from .. import __version__
from ._app import UsageError, app, say

_COMMANDS = (
    "embed", "report", "cluster", "bin", "classify", "benchmark", "train", "models", "demo",
)  # fmt: skip
for _name in _COMMANDS:
    import_module(f"._{_name}", __package__)

_EXAMPLES = """\
  dnaembed demo                             see what it does, on bundled reads
  dnaembed embed reads.fastq.gz -o reads.npy            one row per read
  dnaembed map reads.fastq.gz -o map.png
  dnaembed cluster reads.fasta -k 10 -o clusters.tsv
  dnaembed bin contigs.fasta -o bins/
  dnaembed classify --train known.fasta --labels known.tsv reads.fq -o calls.tsv

Options and examples of a command: dnaembed COMMAND --help
"""
_EXPECTED = {
    "int_parsing": "a whole number",
    "float_parsing": "a number",
    "greater_than_equal": "{ge} or more",
    "less_than_equal": "{le} or less",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the ``dnaembed`` command; those of the process stand for no arguments.

    Returns the exit status: 0, 1 after an error (one line on standard error), 2 after wrong
    arguments, 130 after an interruption.
    """
    try:
        status = parser()(argv, prog_name="dnaembed", standalone_mode=False)
    except UsageError as error:
        print(error.ctx.get_usage(), file=sys.stderr)
        say(f"{error.ctx.command_path}: error: {_explain(error)}")
        return int(error.exit_code)
    return int(status or 0)


def parser() -> Any:
    """Return the parser of the command line."""
    return typer.main.get_command(app)


@app.callback(invoke_without_command=True, epilog=_EXAMPLES)
def _dnaembed(
    context: typer.Context,
    show_version: Annotated[
        bool, typer.Option("--version", is_eager=True, metavar="", help="Show the version.")
    ] = False,
) -> None:
    """Species-aware embeddings of DNA reads and contigs."""
    if show_version:
        print(f"dnaembed {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(2)


def _explain(error: Any) -> str:
    """Say what is wrong with an argument: which, what was expected, what was given."""
    if hasattr(error, "possibilities") and (wrong := getattr(error, "option_name", "")):
        return f"No such option: {wrong}.{_hint(wrong, error.ctx.command)}"
    message = " ".join(error.format_message().split())
    # Typer checks values by pydantic, whose messages are about its types and leave out the value.
    for problem in getattr(error.__cause__, "errors", list)():
        if expected := _EXPECTED.get(problem["type"]):
            bounds = {key: f"{bound:.10g}" for key, bound in problem.get("ctx", {}).items()}
            expected = expected.format(**bounds)
            message = f"{message.partition(': ')[0]}: expected {expected}, got {problem['input']}."
    return message.replace("Value error, ", "")


def _hint(wrong: str, own: Any) -> str:
    """Name the option that is most like a misspelt one, of the command or else of another."""
    for commands in ([own], parser().commands.values() if len(wrong) > 2 else ()):
        options = [(name, c) for c in commands for p in c.params for name in p.opts]
        names = {name.lstrip("-").lower(): name for name, _ in options if name[0] == "-"}
        bare = wrong.lstrip("-").lower()
        begun = [name for name in names if len(bare) > 2 and name.startswith(bare)]
        if near := begun or get_close_matches(bare, names, n=1, cutoff=0.75):
            owners = [command for name, command in options if name == names[near[0]]]
            where = f" of dnaembed {', '.join(c.name for c in owners)}" * (own not in owners)
            return f" Did you mean {names[near[0]]}{where}?"
    return ""
