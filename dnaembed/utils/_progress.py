"""Progress bars that appear when the user asked the ``dnaembed`` logger for information."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from tqdm.auto import tqdm

logger = logging.getLogger("dnaembed")


def progress(
    iterable: Iterable[Any] | None = None,
    *,
    total: int | None = None,
    description: str | None = None,
    unit: str = "it",
    initial: int = 0,
) -> tqdm:
    """Wrap an iterable in a bar on standard error, if the logger shows INFO on a terminal.

    The bar waits two seconds before it appears, so that short work stays quiet.
    """
    return tqdm(
        iterable,
        total=total,
        desc=description,
        unit=unit,
        unit_scale=True,
        initial=initial,
        delay=2,
        # None: unless standard error is a terminal, so that logs of batch jobs have no bars.
        disable=None if logger.isEnabledFor(logging.INFO) else True,
    )
