"""The README's Python runs, and its shell commands exist."""

import re
from pathlib import Path

import pytest

from dnaembed.cli._main import _parser

README = Path(__file__).parent.parent / "README.md"


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(), flags=re.DOTALL)


def test_python_blocks_run_in_order():
    namespace = {}
    for block in blocks("python"):
        exec(compile(block, str(README), "exec"), namespace)
    assert namespace["search"].best_score_ > 0.8
    assert len(set(namespace["labels"])) == 10


@pytest.mark.parametrize(
    "command",
    [line for block in blocks("sh") for line in block.splitlines() if line.startswith("dnaembed ")],
)
def test_commands_are_known(command):
    _parser().parse_args(command.split()[1:])
