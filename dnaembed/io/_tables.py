"""Tab-separated tables: labels in; labels, calls and bins out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TextIO, TypeVar

import numpy as np

from ..utils._atomic import atomic_output
from ..utils._messages import shorten
from ._errors import SequenceFileError
from ._streams import Source, name_of, open_decompressed

Value = TypeVar("Value")

# First column of a header line, as tools of the field write it.
_ID_COLUMNS = {
    "contig", "contig_id", "contig_name", "contigname", "id", "ids", "identifier", "name", "query",
    "read", "read_id", "readid", "record", "seq", "seq_id", "seqid", "sequence", "sequence_id",
    "sequenceid", "@@sequenceid", "#id",
}  # fmt: skip
# Second column of tables of bins, which may have more than two.
_BIN_COLUMNS = {"bin", "binid"}


def read_labels(path: Source, *, header: bool | str = "auto") -> dict[str, str]:
    r"""Read a table of two columns, separated by a tab: identifier and label.

    Tables of bins may have more columns: those of `write_bins`, and CAMI (AMBER) binning files.

    Parameters
    ----------
    path : path-like or binary file
        The table, plain or compressed. ``"-"`` is standard input.
    header : bool or "auto", default="auto"
        Whether the first line names the columns. "auto": it does when its first column is one of
        the usual names (id, read_id, sequence_id, contig, name, ...). Lines before it that start
        with ``#``, and those that CAMI files start with, are left out as well.

    Returns
    -------
    dict of str to str
        The label of each identifier, in the order of the file.

    Raises
    ------
    SequenceFileError
        If a line has not exactly two columns, a column is empty, an identifier comes twice, the
        text is not UTF-8, or there is no line at all. The message gives the line.
    OSError
        If the file is missing, is a directory or may not be read.

    See Also
    --------
    labels_of : Bring labels into the order of the sequences.
    write_labels : Write such a table.

    Examples
    --------
    >>> import io
    >>> from dnaembed.io import read_labels
    >>> read_labels(io.BytesIO(b"read_id\tspecies\nr1\tEscherichia coli\n"))
    {'r1': 'Escherichia coli'}
    """
    name = name_of(path)
    labels: dict[str, str] = {}
    lines: dict[str, int] = {}
    n_columns, before = 2, bool(header)
    for number, line in lines_of(path, name):
        fields = [field.strip() for field in line.split("\t")]
        if before:
            before = header == "auto" and (line[0] == "#" or (line[0] == "@" and "\t" not in line))
            if before or header is True or is_id_column(fields[0]):
                if fields[1:] and fields[1].lower() in _BIN_COLUMNS:
                    n_columns = len(fields)
                continue
        if len(fields) != n_columns:
            raise SequenceFileError(
                f"{name}, line {number}: expected {n_columns} columns separated by a tab "
                f"(identifier and label), got {len(fields)}."
            )
        identifier, label = fields[:2]
        if not identifier or not label:
            missing = "label" if identifier else "identifier"
            raise SequenceFileError(f"{name}, line {number}: the {missing} is empty.")
        if identifier in labels:
            raise SequenceFileError(
                f"{name}, lines {lines[identifier]} and {number}: identifier "
                f"{shorten(identifier)!r} comes twice."
            )
        labels[identifier] = label
        lines[identifier] = number
    if not labels:
        raise SequenceFileError(f"{name} holds no label.")
    return labels


def labels_of(ids: Sequence[str], labels: Mapping[str, str], *, where: str = "labels") -> list[str]:
    """Return the label of each identifier.

    Parameters
    ----------
    ids : sequence of str
        Identifiers of the sequences.
    labels : mapping of str to str
        From `read_labels`; may hold more identifiers than `ids`.
    where : str, default="labels"
        How an error names the table.

    Returns
    -------
    list of str
        In the order of `ids`.

    Raises
    ------
    SequenceFileError
        If identifiers have no label: the message gives their number and the first of them.

    Examples
    --------
    >>> from dnaembed.io import labels_of
    >>> labels_of(["r2", "r1"], {"r1": "E. coli", "r2": "V. cholerae"})
    ['V. cholerae', 'E. coli']
    """
    return in_order_of(ids, labels, where=where, what="label")


def in_order_of(
    ids: Sequence[str], table: Mapping[str, Value], *, where: str, what: str
) -> list[Value]:
    """Return what a table has for each identifier, in the order of the identifiers.

    Raises
    ------
    SequenceFileError
        If the table has no `what` for some of them: `where` and the first three are named.
    """
    missing = [identifier for identifier in ids if identifier not in table]
    if missing:
        # Some tools write whole headers, with ">" or in quotes.
        words = {first_word(name): value for name, value in table.items()}
        if len(words) == len(table):
            table = words | dict(table)
            missing = [identifier for identifier in missing if identifier not in table]
    if missing:
        shown = ", ".join(map(repr, missing[:3])) + (", ..." if len(missing) > 3 else "")
        has = f" (it has {shorten(next(iter(table)))!r})" if table else ""
        raise SequenceFileError(
            f"{where}: no {what} for {len(missing)} of {len(ids)} sequences: {shown}{has}"
        )
    return [table[identifier] for identifier in ids]


def first_word(field: str) -> str:
    """Return the identifier in a field of a table, which may hold a whole header."""
    return field.strip("\"'").removeprefix(">").split(None, 1)[0] if field.strip("\"' >") else ""


def write_labels(
    path: str | os.PathLike[str],
    ids: Sequence[str],
    labels: Sequence[Any] | np.ndarray,
    *,
    columns: tuple[str, str] = ("id", "label"),
) -> None:
    r"""Write identifiers and labels as a tab-separated table with a header.

    Parameters
    ----------
    path : path-like
        Written beside and renamed into place, so that it is complete or absent.
    ids : sequence of str, length n
        Identifiers.
    labels : array-like of length n
        One label, of any type, for each.
    columns : tuple of two str, default=("id", "label")
        Names of the columns.

    Raises
    ------
    ValueError
        If the lengths differ or a field has a tab or line break.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from dnaembed.io import write_labels
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "clusters.tsv")
    ...     write_labels(path, ["r1", "r2"], [0, -1], columns=("id", "cluster"))
    ...     path.read_text()
    'id\tcluster\nr1\t0\nr2\t-1\n'
    """
    if len(ids) != len(labels):
        raise ValueError(f"Expected one label per identifier, got {len(labels)} for {len(ids)}.")
    with open_table(path, columns) as table:
        table.write_rows(zip(ids, labels, strict=True))


class TableWriter:
    """Rows into an open table; see `open_table`."""

    def __init__(self, file: TextIO, columns: Sequence[str] | None) -> None:
        self._file = file
        self._n_columns = len(columns or ())
        self.write_rows([columns] if columns else [])

    def write_rows(self, rows: Iterable[Sequence[Any]]) -> None:
        """Append rows of one value a column."""
        for row in rows:
            fields = [str(value) for value in row]
            if len(fields) != (self._n_columns or len(fields)) or any(
                c in f for f in fields for c in "\t\n\r"
            ):
                raise ValueError(
                    f"A row of the table needs {self._n_columns} fields without tab and line "
                    f"break, got {fields!r}."
                )
            self._file.write("\t".join(fields) + "\n")


@contextmanager
def open_table(
    path: str | os.PathLike[str], columns: Sequence[str] | None = None
) -> Iterator[TableWriter]:
    """Open a table for writing row by row; it takes its name when the block ends well.

    Without `columns` it has no header, and rows of any number of fields.
    """
    with atomic_output(path) as beside, beside.open("w", encoding="utf-8", newline="\n") as file:
        yield TableWriter(file, columns)


def is_number(text: str | bytes) -> bool:
    """Tell whether a field of a table reads as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def is_id_column(field: str) -> bool:
    """Tell whether a field is the usual name of a column of identifiers."""
    return field.lower() in _ID_COLUMNS


def lines_of(path: Source, name: str) -> Iterator[tuple[int, str]]:
    """Yield number and text of each line that is not blank."""
    with open_decompressed(path) as stream:
        for number, raw in enumerate(stream, 1):
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise SequenceFileError(f"{name}, line {number}: not UTF-8 text.") from error
            if "\0" in line:
                raise SequenceFileError(f"{name}, line {number}: NUL byte; is this a text file?")
            if line.strip():
                yield number, line.rstrip("\r\n")
