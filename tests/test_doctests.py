"""Examples of classes that say they live in their package: pytest looks in their module only."""

import doctest

import pytest

import dnaembed
from dnaembed import backbones, training

CLASSES = [
    getattr(package, name)
    for package in (dnaembed, backbones, training)
    for name in package.__all__
    if getattr(getattr(package, name), "__module__", "") == package.__name__
]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_examples_of_classes(cls):
    options = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    runner = doctest.DocTestRunner(optionflags=options)
    examples = doctest.DocTestFinder().find(cls, cls.__name__, module=False, globs={})
    for example in examples:
        runner.run(example)
    assert runner.summarize().attempted > 0
    assert runner.summarize().failed == 0
