"""``python -m dnaembed`` is the same as ``dnaembed``."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
