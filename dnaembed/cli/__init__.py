"""The command line: ``dnaembed embed``, ``cluster``, ``bin``, ``classify``, ``demo`` and more.

Start-up costs nothing here: each sub-command imports what it needs when it runs.
"""

from ._main import main

__all__ = ["main"]
