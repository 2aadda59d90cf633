"""Tables of the benchmark's commands: CSV files that are whole, or as they were before."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dnaembed.utils._atomic import atomic_output


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read the rows of a table; none where there is no file yet."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_rows(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a table, cells that a row lacks left empty, and the folder where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_output(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
