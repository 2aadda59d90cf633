"""The fuzzer's targets: what is in the corpus always, a bounded search in the slow tests."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnaembed.io import iter_sequences
from tests.fuzz import targets
from tests.helpers import strategies
from tests.helpers.processes import run

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", [n for n in targets.TARGETS if n != "command_line"])
def test_corpus(name):
    inputs = targets.corpus(name)
    assert inputs
    for content in inputs:
        targets.TARGETS[name].run(content)


@pytest.mark.slow
# What compiled libraries warn about on odd input is no concern here.
@pytest.mark.filterwarnings("default")
def test_corpus_of_the_command_line():
    for content in targets.corpus("command_line"):
        targets.command_line(content)


SLOW = {"checkpoints", "command_line", "containers", "tokenizer_files"}


@pytest.mark.parametrize("name", sorted(set(targets.TARGETS) - SLOW))
@given(content=st.binary(max_size=60))
def test_any_bytes(name, content):
    targets.TARGETS[name].run(content)


@given(strategies.sequence_files())
def test_what_is_well_formed_is_read(file):
    content, expected = file
    assert list(iter_sequences(targets._Named(content))) == expected


def test_the_targets_can_fail(monkeypatch):
    """A reader that loses a record, and an error that says nothing, are found out."""
    for text in ("two\nlines", "", "the file is not named"):
        with pytest.raises(AssertionError), targets.explained(ValueError, names="reads"):
            raise ValueError(text)
    with pytest.raises(KeyError), targets.explained(ValueError):
        raise KeyError("not documented")
    monkeypatch.setattr(targets, "read_sequences", lambda *_, **__: (["r1"], ["ACGTACGT"]))
    with pytest.raises(AssertionError):
        targets.readers(b"\0" + targets.FASTA)


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="the extra fuzz (atheris) is not installed"
)
@pytest.mark.parametrize("name", targets.TARGETS)
def test_search(name, tmp_path):
    """A search guided by coverage, of a fixed number of inputs and some seconds."""
    program = ["-m", "tests.fuzz", name, tmp_path, f"-artifact_prefix={tmp_path}/", "-seed=1"]
    limits = [f"-runs={targets.TARGETS[name].runs}", "-max_total_time=6"]
    done = run(sys.executable, *program, *limits, cwd=ROOT, PYTHONPATH=str(ROOT))
    said = done.stdout + done.stderr
    tried = int(re.search(r"number_of_executed_units: (\d+)", said)[1])
    assert tried >= 50
