"""Tables by tabs, commas or semicolons: labels in; labels, calls and bins out."""

import csv
import io
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import numpy as np

from ..utils._atomic import FilePath, format_of, open_output
from ..utils._messages import listed, printable, shorten
from ._errors import SequenceFileError, import_optional
from ._readers import Sources, read_sequences
from ._streams import Source, name_of, open_decompressed

Value = TypeVar("Value")

ID_COLUMNS = {
    "contig", "contig_id", "contig_name", "contigname", "id", "ids", "identifier", "name", "query",
    "read", "read_id", "readid", "record", "seq", "seq_id", "seqid", "sequence", "sequence_id",
    "sequenceid", "@@sequenceid",
}  # fmt: skip
_LABEL_COLUMNS = ("label", "taxid", "species", "cluster", "bin", "binid")  # the last counts
TABLES = (".tsv", ".csv", ".parquet")
_LONGEST_LINE = 1 << 24
_MOST_EMPTY = 1_000_000  # lines without content, which take time and give nothing
# What would break a table, what a terminal would obey, and what cannot be written as UTF-8.
_NOT_IN_FIELDS = re.compile("[\0-\x1f\x7f-\x9f\ud800-\udfff]")


def read_labels(
    path: Source, *, id_column: str | None = None, label_column: str | None = None
) -> dict[str, str]:
    r"""Read a table of identifiers and labels, separated by tabs, commas or semicolons.

    Parameters
    ----------
    path : path-like or binary file
        The table, plain or compressed. ``"-"`` is standard input. Lines at its start with ``#``, or
        as CAMI and AMBER files have them with ``@``, are left out, and so is a header whose first
        column has a usual name (id, read_id, sequence_id, contig, name, ...). The labels are in the
        column BINID, bin, cluster, species, TAXID or label, or else in the second and last.
    id_column, label_column : str, default=None
        Columns by the names of the header, in a table of any columns; None: the first and, as said
        above, the second.

    Returns
    -------
    dict of str to str
        The label of each identifier, in the order of the file.

    Raises
    ------
    SequenceFileError
        As :doc:`/malformed_files` lists; the message gives the line.

    Examples
    --------
    >>> import io
    >>> from dnaembed.io import read_labels
    >>> read_labels(io.BytesIO(b"read_id\tspecies\nr1\tEscherichia coli\n"))
    {'r1': 'Escherichia coli'}
    """
    labels: dict[str, str] = {}
    id_at, label_at, n_columns, is_before = 0, 1, 2, True
    wanted = [column.lower() for column in (id_column, label_column) if column is not None]
    for n, (where, fields) in enumerate(rows_of(path, as_labels=True)):
        if is_before:
            names = [field.lower() for field in fields]
            is_before = names[0][:1] == "#" or (names[0][:1] == "@" and len(fields) == 1)
            if n >= _MOST_EMPTY:
                raise SequenceFileError(f"{where}: no label so far; is this a table?")
            if wanted and set(wanted) <= set(names):
                is_before, n_columns = False, len(fields)
                label_at = 1 if label_column is None else names.index(label_column.lower())
                id_at = int(label_at == 0) if id_column is None else names.index(wanted[0])
                label_at = int(id_at == 0) if label_column is None else label_at
                continue
            if wanted and not is_before:
                expected = f"a header with {' and '.join(wanted)}"
                got = shorten(", ".join(fields))
                raise SequenceFileError(f"{where}: expected {expected}, got {got!r}.")
            if is_before or names[0] in ID_COLUMNS:
                for known in filter(names.__contains__, _LABEL_COLUMNS):
                    label_at, n_columns = names.index(known), len(fields)
                continue
        hint = ""
        if len(fields) > 2 and not wanted:
            hint = "; --label-column (label_column) names the one to take"
        elif len(fields) == 1 and (fields[0][:1] == ">" or not fields[0].upper().strip("ACGTN")):
            hint = "; this looks like a file of sequences, not of labels"
        check_columns(where, fields, n_columns, hint)
        check_identifier(where, fields[id_at], labels, "; --id-column (id_column) names another")
        if not fields[label_at]:
            raise SequenceFileError(f"{where}: the label is empty.")
        labels[fields[id_at]] = fields[label_at]
    if not labels:
        raise SequenceFileError(f"{name_of(path)} holds no label.")
    return labels


def check_identifier(where: str, identifier: str, before: Container[str], hint: str = "") -> None:
    """Raise if the identifier of a line is empty or was there before."""
    if not identifier or identifier in before:
        problem = f"{shorten(identifier)!r} is there twice" if identifier else "is empty"
        raise SequenceFileError(f"{where}: the identifier {problem}{hint}.")


def labels_of(ids: Sequence[str], labels: Mapping[str, str], *, where: str = "labels") -> list[str]:
    """Return the label of each identifier.

    Parameters
    ----------
    ids, labels : sequence of str, and mapping of str to str
        Identifiers, and what `read_labels` returned: more of them, or whole headers, too.
    where : str, default="labels"
        How the `SequenceFileError` on identifiers without a label names the table.

    Returns
    -------
    list of str
        In the order of `ids`.

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
    """Return what a table, maybe of whole headers, has for each identifier; raise if some lack."""
    if not isinstance(table, Mapping):
        raise TypeError(f"Expected ids, then what the file holds, got {printable(repr(table))}.")
    table = by_first_word(ids, table)
    if missing := [identifier for identifier in ids if identifier not in table]:
        shown = listed(missing, 3)
        there = "".join(f"; the first that it has is {shorten(i)!r}" for i in list(table)[:1])
        count = f"{len(missing):,} of {len(ids):,} sequences"
        advice = f". Leave out those without one, or complete the {what}s."
        if len(missing) == len(ids):
            advice = ". Do the identifiers of both agree?"
        raise SequenceFileError(f"{where}: no {what} for {count}: {shown}{there}{advice}")
    return [table[identifier] for identifier in ids]


def by_first_word(ids: Sequence[str], table: Mapping[str, Value]) -> Mapping[str, Value]:
    """Let a table of whole headers answer for identifiers, where its first words all differ."""
    if all(identifier in table for identifier in ids):
        return table
    words = {first_word(key): value for key, value in table.items()}
    return words | dict(table) if len(words) == len(table) else table


def first_word(field: str) -> str:
    """Return the identifier in a field of a table, which may hold a whole header."""
    return "".join(field.strip("\"'").lstrip(">@").split()[:1])


def read_frame(
    paths: Sources, labels: Source | Mapping[str, str] | None = None,
    *, id_column: str | None = None, label_column: str | None = None,
) -> Any:  # fmt: skip
    r"""Read sequence files, and labels, into a DataFrame.

    Parameters
    ----------
    paths, labels : path-like, binary file or others, and the same or mapping, default=None
        As for `read_sequences`; and a table as for `read_labels`, or what that returns.
    id_column, label_column : str, default=None
        Columns of the table, as for `read_labels`.

    Returns
    -------
    pandas.DataFrame
        With the columns sequence and length and, with `labels`, label; the index is ``id``.

    Examples
    --------
    >>> import io
    >>> from dnaembed.io import read_frame
    >>> read_frame(io.BytesIO(b">r1\nacgt\n>r2\nGG\n"), {"r1": "E. coli", "r2": "V. cholerae"})
       sequence  length        label
    id
    r1     ACGT       4      E. coli
    r2       GG       2  V. cholerae
    """
    import pandas as pd

    where = "labels"
    if labels is not None and not isinstance(labels, Mapping):
        columns = {"id_column": id_column, "label_column": label_column}
        where, labels = name_of(labels), read_labels(labels, **columns)
    ids, sequences = read_sequences(paths)
    data: dict[str, Any] = {"sequence": sequences, "length": list(map(len, sequences))}
    if labels is not None:
        data["label"] = labels_of(ids, labels, where=where)
    return pd.DataFrame(data, index=pd.Index(ids, name="id"))


def write_labels(
    path: FilePath,
    ids: Sequence[str],
    labels: Sequence[Any] | np.ndarray,
    *,
    columns: tuple[str, str] = ("id", "label"),
) -> None:
    r"""Write identifiers and labels as a table with a header.

    Parameters
    ----------
    path : path-like
        Complete or absent. The suffix chooses the format: ``.tsv`` (also a name without a suffix),
        ``.csv`` or ``.parquet`` (needs the extra ``parquet``).
    ids, labels : sequence of str and array-like, length n
        Identifiers, and for each a label of any type; as text without control characters.
    columns : tuple of two str, default=("id", "label")
        Names of the columns.

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
    with open_table(path, columns) as write_rows:
        write_rows(zip(ids, labels, strict=True))


@contextmanager
def open_table(
    path: FilePath, columns: Sequence[str] | None = None
) -> Iterator[Callable[[Iterable[Sequence[Any]]], None]]:
    """Yield a function that appends rows; the table takes its name when the block ends well.

    A name that ends in ``.csv`` or ``.parquet`` says the format; anything else is separated by
    tabs, and so is what has no header.
    """
    form = format_of(path, TABLES) if columns else ".tsv"
    if form == ".parquet":
        import_optional("pyarrow", extra="parquet", purpose="The .parquet format")
    kept: list[list[str]] = []  # as a .parquet file has its columns one after the other
    with open_output(path, "wb" if form == ".parquet" else "w") as file:
        commas = csv.writer(file, lineterminator="\n")

        def write_rows(rows: Iterable[Sequence[Any]]) -> None:
            for row in rows:
                check_fields(fields := [str(value) for value in row])
                if form == ".parquet":
                    kept.append(fields)
                elif form == ".csv":
                    commas.writerow(fields)
                else:  # what has quotes gets another pair, as readers take one away
                    file.write("\t".join(f'"{f}"' if _is_quoted(f) else f for f in fields) + "\n")

        write_rows([columns] if columns else [])
        yield write_rows
        if form == ".parquet":
            import pandas as pd

            frame = pd.DataFrame(kept[1:], columns=kept[0])
            for column in kept[0][1:]:  # the first are identifiers, whatever they look like
                with suppress(ValueError):
                    frame[column] = pd.to_numeric(frame[column])
            frame.to_parquet(file, index=False)


def check_fields(fields: Iterable[str]) -> None:
    """Raise if a text cannot stand in a table."""
    for field in fields:
        if not field.isprintable() and _NOT_IN_FIELDS.search(field):
            expected = "Expected text without control characters for a table"
            raise ValueError(f"{expected}, got '{printable(field)}'.")


def is_number(text: str) -> bool:
    """Tell whether a field of a table reads as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def lines_of(path: Source) -> Iterator[tuple[int, str]]:
    """Yield number and text of each line that is not blank."""
    n_blank = 0
    with open_decompressed(path) as stream:
        text = io.TextIOWrapper(stream, "utf-8-sig", "surrogateescape")
        try:
            for number, line in enumerate(iter(lambda: text.readline(_LONGEST_LINE), ""), 1):
                problem, content = "", line.rstrip("\n").replace("\t", " ")
                if not content.isprintable() and (found := _NOT_IN_FIELDS.search(content)):
                    problem = f"control character {found[0]!r}; is this a table?"
                    problem = "not UTF-8 text." if found[0] >= "\ud800" else problem
                elif len(line) == _LONGEST_LINE:
                    problem = f"longer than {_LONGEST_LINE} characters; is this a table?"
                elif n_blank > _MOST_EMPTY:
                    problem = f"more than {_MOST_EMPTY:,} blank lines so far; is this a table?"
                if problem:
                    raise SequenceFileError(f"{name_of(path)}, line {number}: {problem}")
                if not content or content.isspace():
                    n_blank += 1
                else:
                    yield number, line.rstrip("\n")
        finally:
            text.detach()  # the stream is closed by whoever opened it


def rows_of(path: Source, *, as_labels: bool = False) -> Iterator[tuple[str, list[str]]]:
    """Yield place and fields of each line of a table, all of them as many as the first.

    As labels, of any number and without the quotes around them.
    """
    n_columns, separator, is_known = 0, "", False
    for number, line in lines_of(path):
        where = f"{name_of(path)}, line {number}"
        if not is_known:  # comments may have a comma that separates nothing
            separator = next((mark for mark in "\t,;" if mark in line), "\t")
            is_known = line[0] not in "#@"
        try:
            quoted = csv.reader([line], delimiter=separator)
            fields = line.split("\t") if separator == "\t" else next(quoted)
        except csv.Error as error:
            raise SequenceFileError(f"{where}: not valid CSV: {error}.") from None
        if not as_labels:
            n_columns = n_columns or len(fields)
            check_columns(where, fields, n_columns)
        elif separator == "\t":
            fields = [f[1:-1] if _is_quoted(f) else f for f in map(str.strip, fields)]
        yield where, [f.strip() for f in fields] if as_labels else fields


def check_columns(where: str, fields: Sequence[str], n_columns: int, hint: str = "") -> None:
    """Raise if a line has not as many columns as it should."""
    if len(fields) != n_columns:
        message = f"{where}: expected {n_columns} columns between tabs, commas or semicolons"
        raise SequenceFileError(f"{message}, got {len(fields)}{hint}.")


def named_rows(path: Source, needed: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield place and fields, by the names of the header, of each line of a table."""
    rows = rows_of(path)
    where, header = next(rows, (f"{name_of(path)}, line 1", [""]))
    columns = [column.strip().lower() for column in header]
    for column in needed:
        if column not in columns:
            why = f"no column {column!r}; expected a header with {' and '.join(needed)}"
            raise SequenceFileError(f"{where}: {why}, got {shorten(', '.join(header))!r}.")
    for where, fields in rows:
        yield where, dict(zip(columns, map(str.strip, fields), strict=True))


def _is_quoted(field: str) -> bool:
    return len(field) > 1 and field[0] == field[-1] == '"'
