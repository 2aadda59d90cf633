"""The reference lists every public name; every public name is documented."""

import doctest
import importlib
import re
from pathlib import Path

import pytest
from numpydoc.validate import validate

from tests.helpers.benchmarks import load

DOCS = Path(__file__).parent.parent / "docs"
MODULES = [
    "dnaembed",
    "dnaembed.backbones",
    "dnaembed.benchmark",
    "dnaembed.composition",
    "dnaembed.datasets",
    "dnaembed.io",
    "dnaembed.metrics",
    "dnaembed.plotting",
    "dnaembed.species",
    "dnaembed.training",
    "dnaembed.utils.estimator_checks",
]


def listed(module):
    text = "".join(path.read_text() for path in sorted((DOCS / "api").glob("*.rst")))
    names = []
    for part in re.split(r"\.\. currentmodule:: ", text)[1:]:
        current, _, rest = part.partition("\n")
        if current == module:
            names += re.findall(r"^    (\w+)$", rest, flags=re.MULTILINE)
    return names


@pytest.mark.parametrize("module", MODULES)
def test_reference_lists_every_public_name(module):
    assert sorted(listed(module)) == sorted(importlib.import_module(module).__all__)


@pytest.mark.parametrize(
    "name", [f"{module}.{name}" for module in MODULES for name in listed(module)]
)
def test_docstrings_are_valid_numpydoc(name):
    module, _, attribute = name.rpartition(".")
    # Missing extended summaries, "See Also" and examples are a matter of judgement.
    ignored = {"ES01", "SA01", "EX01", "GL01", "GL03", "SA04", "RT03", "YD01", "GL08", "PR09"}
    value = getattr(importlib.import_module(module), attribute)
    if isinstance(value, dict):
        pytest.skip("a registry")
    if isinstance(value, type):
        ignored.add("PR01")  # dataclasses and protocols describe attributes
    errors = [(code, text) for code, text in validate(name)["errors"] if code not in ignored]
    assert not errors


def test_page_of_the_command_line_has_every_option():
    commands = load(DOCS / "_commands.py")
    page = commands.page()
    for name, command in commands.parser().commands.items():
        assert f"\ndnaembed {name}\n---" in page
        for parameter in command.params:
            assert all(option in page for option in parameter.opts if option.startswith("-"))


# Classes that say they live in their package, where pytest does not look for examples.
PUBLIC = [getattr(importlib.import_module(module), n) for module in MODULES for n in listed(module)]
CLASSES = [p for p in PUBLIC if isinstance(p, type) and p.__module__ in MODULES]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_examples_of_classes(cls):
    options = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    runner = doctest.DocTestRunner(optionflags=options)
    examples = doctest.DocTestFinder().find(cls, cls.__name__, module=False, globs={})
    for example in examples:
        runner.run(example)
    assert runner.summarize().attempted > 0
    assert runner.summarize().failed == 0
