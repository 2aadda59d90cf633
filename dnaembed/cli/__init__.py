"""The command line: ``dnaembed embed``, ``cluster``, ``bin``, ``classify``, ``demo`` and more.

One module per sub-command: a function whose parameters are its options. Options of several commands
are declared once, in ``_options.py``; ``_app.py`` is what every command passes through. Start-up
costs nothing here: each command imports what it needs when it runs.
"""

from ._main import main

__all__ = ["main"]
