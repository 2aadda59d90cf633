"""Other processes of this Python."""

import os
import subprocess
import sys


def run_python(*arguments, **environment):
    """Run Python with these arguments, and more in the environment; return what it prints."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout
