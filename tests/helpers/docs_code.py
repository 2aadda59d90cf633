"""Code of the documentation, found and run as a reader would: down the page, in one folder."""

import ast
import math
import re
import shlex
import sys
import textwrap
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import numpy as np

from dnaembed.cli import main
from dnaembed.cli._main import parser

# A note that stands right before it, its depth, its language, options, and what is deeper.
_BLOCK = re.compile(
    r"(?:^ *\.\. not run: (\S.*)\n\s*\n)?^( *)\.\. code-block:: (python|console|sh|text) *\n"
    r"(?:\2 +:\w+:.*\n)*((?: *\n|\2 +\S.*\n)+)",
    re.MULTILINE,
)
_RESULT = re.compile(r"# -> (.*)$")
_WORD = re.compile(r"[^\s,()]+")
# Half a unit of the second decimal, and as much again between machines.
_TOLERANCE = 0.01


@dataclass(frozen=True)
class Block:
    """A code block: where it begins, and why it is not run, if it is not."""

    page: str
    line: int
    language: str
    text: str
    not_run: str | None
    output: str = ""  # what the page shows below it, as a block of "text"

    def shows(self):
        """Tell whether the page says what comes out: below a statement, a command or the block."""
        commands = commands_of(self) if self.language == "console" else []
        return self.output or "# ->" in self.text or any(shown for _, shown in commands)


def blocks_of_rst(path):
    """Return the blocks of Python and shell commands of a page."""
    text = path.read_text(encoding="utf-8") + "\n"
    found = []
    for match in _BLOCK.finditer(text):
        body = textwrap.dedent(match[4]).strip("\n") + "\n"
        if match[3] == "text":
            found[-1] = replace(found[-1], output=body)
        else:
            line = text[: match.start(3)].count("\n") + 1
            found.append(Block(path.name, line, match[3], body, match[1]))
    return found


def blocks_of_markdown(path):
    """Return the blocks of Python and shell commands of a Markdown page."""
    text = path.read_text(encoding="utf-8")
    pattern = re.compile(r"(?:<!-- not run: (.*?) -->\n+)?```(python|sh)\n(.*?)```", re.DOTALL)
    return [
        Block(path.name, text[: match.start(2)].count("\n") + 1, match[2], match[3], match[1])
        for match in pattern.finditer(text)
    ]


def run_python(block, namespace, capsys):
    """Run a block statement by statement; compare what ``# ->`` promises, and what is shown."""
    lines = block.text.splitlines()
    *_, last = body = ast.parse(block.text).body
    capsys.readouterr()
    for node in body:
        name = f"<{block.page}, line {block.line}>"
        promise = _RESULT.search(lines[node.end_lineno - 1])
        if promise is None:
            # The last statement is shown as by an interpreter.
            mode = "single" if node is last else "exec"
            tree = ast.Interactive([node]) if node is last else ast.Module([node], [])
            exec(compile(tree, name, mode), namespace)
            continue
        assert isinstance(node, ast.Expr), f"{name}: '# ->' belongs to an expression"
        shown = node.value
        if isinstance(shown, ast.Call) and getattr(shown.func, "id", "") == "print":
            shown = shown.args[0]
        value = eval(compile(ast.Expression(shown), name, "eval"), namespace)
        assert agrees(value, promise[1].strip()), f"{name}: {promise[1]} promised, got {value!r}"
    got, said = (_WORD.findall(text) for text in (capsys.readouterr().out, block.output))
    where = f"{block.page}, line {block.line}"
    assert not said or _all_alike(got, said), f"{where}: shown {said}, got {got}"


def agrees(value, promise):
    """Tell whether a value is as the page says: numbers nearly, all else to the letter."""
    try:
        said = ast.literal_eval(promise)
    except (SyntaxError, ValueError):
        return str(value) == promise
    if isinstance(said, float):
        is_float = isinstance(value, float | np.floating)
        return is_float and math.isclose(value, said, abs_tol=_TOLERANCE)
    return bool(value == said)


def commands_of(block):
    """Return the words of each command of a shell block, and the lines of output below it."""
    commands = []
    for line in block.text.replace("\\\n", " ").splitlines():
        if block.language == "console" and not line.startswith("$ "):
            if line.strip():
                commands[-1][1].append(line.rstrip())
        elif line.strip() and not line.startswith("#"):
            words = shlex.split(line.removeprefix("$ "), comments=True)
            while "&&" in words:
                end = words.index("&&")
                commands.append((words[:end], []))
                words = words[end + 1 :]
            commands.append((words, []))
    return commands


def check_command(words, extras):
    """Check a command that is not run as far as that goes: its options, or the extras it names."""
    root = Path(__file__).parents[2]
    if words[:2] == ["pip", "install"]:
        named = re.findall(r"\[([\w,-]+)\]", " ".join(words))
        unknown = {extra for group in named for extra in group.split(",")} - extras
        assert not unknown, f"no such extras: {unknown}"
    elif "dnaembed" in words:  # alone, behind python -m, or at the end of a pipe
        name, *rest = words[words.index("dnaembed") + 1 :]
        parser().commands[name].make_context(name, rest)  # a wrong argument raises typer's error
    elif words[0] == "python" and words[1] != "-m":
        assert (root / words[1]).is_file(), f"no file {words[1]}"


def run_command(words, shown, capsys):
    """Run a command in this process; look for the lines that the page shows."""
    if words[0] == "head":
        output = Path(words[-1]).read_text()
    else:
        capsys.readouterr()
        status = main(words[1:])
        out, err = capsys.readouterr()
        assert status == 0, f"{shlex.join(words)}: {err}"
        output = out + err
    lines = [line.split() for line in output.splitlines()]
    for line in shown:
        said = any(_all_alike(other, line.split()) for other in lines)
        assert said, f"{shlex.join(words)} says no {line!r}"


def _all_alike(words, promised):
    return len(words) == len(promised) and all(map(_alike, words, promised))


def _alike(word, promise):
    """Compare words of output: with a decimal point as numbers, else to the letter."""
    try:
        return word == promise or ("." in promise and agrees(float(word), promise))
    except ValueError:
        return False


def run_page(blocks, capsys, extras):
    """Run the blocks of a page in order, in the current folder; only look at other programs."""
    # A module, with a file, as transformers 5.0 looks up the classes of models in theirs.
    module = ModuleType("page")
    module.__file__ = __file__
    sys.modules["page"] = module
    try:
        for block in blocks:
            if block.language != "python":
                for words, shown in commands_of(block):
                    if block.not_run is None and words[0] in ("dnaembed", "head"):
                        run_command(words, shown, capsys)
                    else:
                        check_command(words, extras)
            elif block.not_run is None:
                run_python(block, vars(module), capsys)
            else:
                compile(block.text, block.page, "exec")
    except Exception as error:
        error.add_note(f"{block.page}, line {block.line}")
        raise
    finally:
        del sys.modules["page"]
