"""Bars are for people who look: on a terminal, and when they asked for information."""

import io
import logging
import sys

import pytest

from dnaembed.utils._progress import progress


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("level", [logging.INFO, logging.WARNING])
def test_bars_are_shown_on_a_terminal_only(terminal, level, monkeypatch, caplog):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    with caplog.at_level(level, logger="dnaembed"), progress(range(3)) as bar:
        assert bool(bar.disable) == (not terminal or level > logging.INFO)
        assert list(bar) == [0, 1, 2]
