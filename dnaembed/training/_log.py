"""Logs of a run: a CSV file that survives interruptions, and TensorBoard for those who have it."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from ..utils._atomic import atomic_output


class CsvLog:
    """A table with one row a logged step, appended line by line.

    Parameters
    ----------
    path : path-like
        The file; its first row names the columns, which are those of the first row written.
    after : int, default=-1
        A run that goes on from this step: rows of later steps, written between the checkpoint and
        the interruption, are dropped. -1 starts afresh.
    """

    def __init__(self, path: str | os.PathLike[str], *, after: int = -1) -> None:
        self.path = Path(path)
        self._columns: list[str] | None = None
        rows: list[dict[str, str]] = []
        if after >= 0 and self.path.is_file():
            with self.path.open(newline="", encoding="utf-8") as file:
                reader = csv.DictReader(file)
                # The last line may have been cut off in the middle.
                rows = [
                    row
                    for row in reader
                    if None not in row.values() and None not in row and int(row["step"]) <= after
                ]
                self._columns = list(reader.fieldnames or []) or None
        with atomic_output(self.path) as beside, beside.open("w", newline="") as file:
            if self._columns is not None:
                writer = csv.DictWriter(file, self._columns)
                writer.writeheader()
                writer.writerows(rows)

    def write(self, row: Mapping[str, Any]) -> None:
        """Append a row; ``row["step"]`` is required, later rows have the columns of the first."""
        with self.path.open("a", newline="", encoding="utf-8") as file:
            new = self._columns is None
            columns = self._columns = list(row) if self._columns is None else self._columns
            writer = csv.DictWriter(file, columns, restval="", extrasaction="ignore")
            if new:
                writer.writeheader()
            writer.writerow({name: _plain(value) for name, value in row.items()})


class TensorBoardLog:
    """The same numbers for TensorBoard.

    Parameters
    ----------
    folder : path-like
        Where TensorBoard looks for events.

    Raises
    ------
    ImportError
        If the package ``tensorboard`` is not installed.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        try:
            writer = import_module("torch.utils.tensorboard").SummaryWriter
        except ImportError as error:
            raise ImportError(
                "A TensorBoard log needs tensorboard: pip install tensorboard."
            ) from error
        self._writer = writer(os.fspath(folder))

    def write(self, row: Mapping[str, Any]) -> None:
        """Write the numbers of a row."""
        for name, value in row.items():
            if name != "step" and isinstance(value, int | float):
                self._writer.add_scalar(name, value, row["step"])

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()


def _plain(value: Any) -> Any:
    return f"{value:.7g}" if isinstance(value, float) else value
