"""Other processes."""

import os
import subprocess
import sys


def run(*command, cwd=None, timeout=600, **environment):
    """Run a command that must not fail, with more in the environment."""
    how = {"cwd": cwd, "env": os.environ | environment, "timeout": timeout}
    words = [*map(str, command)]
    done = subprocess.run(words, **how, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done


def run_python(*arguments, **environment):
    """Run this Python; return what it prints."""
    return run(sys.executable, *arguments, **environment).stdout
