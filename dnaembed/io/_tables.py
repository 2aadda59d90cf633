"""Tab-separated tables: labels in; labels, calls and bins out."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TextIO, TypeVar

import numpy as np

from ..utils._atomic import open_output
from ..utils._messages import shorten
from ._errors import SequenceFileError
from ._streams import Source, name_of, open_decompressed

Value = TypeVar("Value")

# First column of a header line, as tools of the field write it.
_ID_COLUMNS = {
    "contig", "contig_id", "contig_name", "contigname", "id", "ids", "identifier", "name", "query",
    "read", "read_id", "readid", "record", "seq", "seq_id", "seqid", "sequence", "sequence_id",
    "sequenceid", "@@sequenceid",
}  # fmt: skip
_LONGEST_LINE = 1 << 24
# What would break a table, and what cannot be written as UTF-8.
_NOT_IN_FIELDS = re.compile("[\t\n\r\ud800-\udfff]")


def read_labels(path: Source, *, header: bool | str = "auto") -> dict[str, str]:
    r"""Read a table of two columns, separated by a tab: identifier and label.

    Parameters
    ----------
    path : path-like or binary file
        The table, plain or compressed. ``"-"`` is standard input.
    header : bool or "auto", default="auto"
        Whether the first line names the columns. "auto": it does when its first column is one of
        the usual names (id, read_id, sequence_id, contig, name, ...). Lines before it that start
        with ``#``, or as CAMI and AMBER files do with ``@``, are left out. If it names a column
        BINID, bin or else TAXID, as binnings do, the table may have more than two columns.

    Returns
    -------
    dict of str to str
        The label of each identifier, in the order of the file.

    Raises
    ------
    SequenceFileError
        If a line does not have two columns, a column is empty, an identifier is there twice, the
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
    column, n_columns, is_before = 1, 2, bool(header)
    for number, line in lines_of(path, name):
        fields = fields_of(line)
        if is_before:
            is_comment = line[0] == "#" or (line[0] == "@" and len(fields) == 1)
            is_before = header == "auto" and is_comment
            if is_before or header is True or is_id_column(fields[0]):
                names = [field.lower() for field in fields]
                for known in filter(names.__contains__, ("taxid", "bin", "binid")):
                    column, n_columns = names.index(known), len(fields)
                continue
        if len(fields) != n_columns:
            raise SequenceFileError(
                f"{name}, line {number}: expected {n_columns} columns separated by a tab"
                f"{' (identifier and label)' if n_columns == 2 else ''}, got {len(fields)}."
            )
        identifier, label = fields[0], fields[column]
        if not identifier or not label:
            missing = "label" if identifier else "identifier"
            raise SequenceFileError(f"{name}, line {number}: the {missing} is empty.")
        if identifier in labels:
            raise SequenceFileError(
                f"{name}, lines {lines[identifier]} and {number}: identifier "
                f"{shorten(identifier)!r} is there twice."
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
        From `read_labels`; may hold more identifiers than `ids`, and whole headers in their place.
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
    """Return what a table has for each identifier; raise, with `where`, if some have no `what`.

    A table may hold whole headers, of which the first word counts.
    """
    if not all(identifier in table for identifier in ids):
        words = {first_word(key): value for key, value in table.items()}
        if len(words) == len(table):
            table = words | dict(table)
    missing = [identifier for identifier in ids if identifier not in table]
    if missing:
        shown = ", ".join(map(repr, missing[:3])) + (", ..." if len(missing) > 3 else "")
        there = "".join(f"; the first that it has is {shorten(i)!r}" for i in list(table)[:1])
        raise SequenceFileError(
            f"{where}: no {what} for {len(missing)} of {len(ids)} sequences: {shown}{there}"
        )
    return [table[identifier] for identifier in ids]


def first_word(field: str) -> str:
    """Return the identifier in a field of a table, which may hold a whole header."""
    return "".join(field.strip("\"'").lstrip(">@").split()[:1])


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
        self._file, self._columns = file, columns
        self.write_rows([columns] if columns else [])

    def write_rows(self, rows: Iterable[Sequence[Any]]) -> None:
        """Append rows of one value per column, or of any number if there is no header."""
        for row in rows:
            fields = [str(value) for value in row]
            if self._columns and len(fields) != len(self._columns):
                raise ValueError(f"Expected {len(self._columns)} fields, got {fields!r}.")
            check_fields(fields)
            # What has quotes gets another pair, as readers take one away.
            self._file.write("\t".join(f'"{f}"' if _is_quoted(f) else f for f in fields) + "\n")


@contextmanager
def open_table(
    path: str | os.PathLike[str], columns: Sequence[str] | None = None
) -> Iterator[TableWriter]:
    """Open a table for writing row by row; it takes its name when the block ends well."""
    with open_output(path) as file:
        yield TableWriter(file, columns)


def check_fields(fields: Iterable[str]) -> None:
    """Raise if a text cannot stand in a table."""
    for field in fields:
        if _NOT_IN_FIELDS.search(field):
            raise ValueError(
                f"Expected text without tab and line break for a table, got {field!r}."
            )


def is_number(text: str | bytes) -> bool:
    """Tell whether a field of a table reads as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def is_id_column(field: str) -> bool:
    """Tell whether a field is a usual name of the column of identifiers."""
    return field.lower() in _ID_COLUMNS


def lines_of(path: Source, name: str) -> Iterator[tuple[int, str]]:
    """Yield number and text of each line that is not blank."""
    with open_decompressed(path) as stream:
        # Line ends are those of any system.
        text = io.TextIOWrapper(stream, "utf-8-sig", "surrogateescape")
        try:
            for number, line in enumerate(iter(lambda: text.readline(_LONGEST_LINE), ""), 1):
                problem = ""
                if not line.isascii() and any("\ud800" <= c <= "\udfff" for c in line):
                    problem = "not UTF-8 text."
                elif "\0" in line:
                    problem = "NUL byte; is this a text file?"
                elif len(line) == _LONGEST_LINE:
                    problem = f"longer than {_LONGEST_LINE} characters; is this a table?"
                if problem:
                    raise SequenceFileError(f"{name}, line {number}: {problem}")
                if line.strip():
                    yield number, line.rstrip("\n")
        finally:
            text.detach()  # the stream is closed by whoever opened it


def fields_of(line: str) -> list[str]:
    """Split a line at its tabs; blanks and quotes around a field are dropped."""
    fields = [field.strip() for field in line.split("\t")]
    return [f[1:-1].strip() if _is_quoted(f) else f for f in fields]


def _is_quoted(field: str) -> bool:
    return len(field) > 1 and field[0] == field[-1] == '"'
