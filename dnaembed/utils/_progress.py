"""Progress bars that appear when the user asked the ``dnaembed`` logger for information."""

import logging
import sys
from collections.abc import Iterable
from typing import Any

from tqdm.auto import tqdm

logger = logging.getLogger("dnaembed")


def progress(
    iterable: Iterable[Any] | None = None, *, description: str | None = None, **settings: Any
) -> tqdm:
    """Return a bar on standard error, which appears after two seconds if the logger shows INFO."""
    # None: unless standard error is a terminal, so that logs of batch jobs have no bars.
    shown = logger.isEnabledFor(logging.INFO) and sys.stderr is not None  # which may be closed
    disable = None if shown else True
    settings = {"unit_scale": True, "delay": 2, "disable": disable, **settings}
    return tqdm(iterable, desc=description, **settings)
