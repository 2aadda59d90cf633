"""Tables of abundances: one line a contig, one column a sequenced sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..utils._messages import shorten
from ._errors import SequenceFileError
from ._streams import Source, name_of
from ._tables import in_order_of, is_number, lines_of

# What jgi_summarize_bam_contig_depths writes before the samples.
_JGI_COLUMNS = ["contigname", "contiglen", "totalavgdepth"]


def read_abundance(path: Source) -> dict[str, np.ndarray]:
    r"""Read how abundant contigs are in a number of samples.

    Parameters
    ----------
    path : path-like or binary file
        Tab-separated table, plain or compressed: a header, then one line a contig with its
        identifier and one number a sample, such as its mean coverage. Of tables that
        jgi_summarize_bam_contig_depths wrote, the columns of lengths, totals and variances are
        left out. ``"-"`` is standard input.

    Returns
    -------
    dict of str to ndarray of shape (n_metagenomes,)
        Abundances of each identifier, in the order of the file.

    Raises
    ------
    SequenceFileError
        If a line has not as many columns as the header, a value is not a number of at least 0, an
        identifier is empty or comes twice, or there is no contig or no sample. The message gives
        the line.

    See Also
    --------
    abundance_of : Bring abundances into the order of the sequences.

    Examples
    --------
    >>> import io
    >>> from dnaembed.io import read_abundance
    >>> read_abundance(io.BytesIO(b"contig\tgut_1\tgut_2\nc1\t4.5\t0\n"))
    {'c1': array([4.5, 0. ])}
    """
    name = name_of(path)
    lines = lines_of(path, name)
    number, line = next(lines, (1, ""))
    header = [field.strip() for field in line.split("\t")]
    columns = list(range(1, len(header)))
    if [field.lower() for field in header[:3]] == _JGI_COLUMNS:
        columns = [i for i in columns[2:] if not header[i].endswith("-var")]
    if not columns:
        raise SequenceFileError(
            f"{name}, line {number}: expected a header with an identifier and one column a sample, "
            f"separated by tabs, got {line[:60]!r}."
        )
    if all(is_number(header[i]) for i in columns):
        raise SequenceFileError(
            f"{name}, line {number}: expected a header that names the samples, got numbers."
        )
    found: dict[str, np.ndarray] = {}
    for number, line in lines:
        fields = [field.strip() for field in line.split("\t")]
        where = f"{name}, line {number}"
        if len(fields) != len(header):
            raise SequenceFileError(
                f"{where}: expected {len(header)} columns as in the header, got {len(fields)}."
            )
        if not fields[0]:
            raise SequenceFileError(f"{where}: the identifier is empty.")
        if fields[0] in found:
            raise SequenceFileError(f"{where}: identifier {shorten(fields[0])!r} comes twice.")
        for i in columns:
            if not is_number(fields[i]) or not 0 <= float(fields[i]) < np.inf:
                raise SequenceFileError(
                    f"{where}, column {shorten(header[i])!r}: expected a number of at least 0, "
                    f"got {shorten(fields[i])!r}."
                )
        found[fields[0]] = np.array([float(fields[i]) for i in columns])
    if not found:
        raise SequenceFileError(f"{name} holds no contig.")
    return found


def abundance_of(
    ids: Sequence[str], table: Mapping[str, np.ndarray], *, where: str = "abundance"
) -> np.ndarray:
    """Return the abundances of each identifier.

    Parameters
    ----------
    ids : sequence of str
        Identifiers of the sequences.
    table : mapping of str to ndarray of shape (n_metagenomes,)
        From `read_abundance`; may hold more identifiers than `ids`.
    where : str, default="abundance"
        How an error names the table.

    Returns
    -------
    ndarray of shape (n, n_metagenomes)
        In the order of `ids`; for ``SpeciesClusterer().fit(X, abundance=...)``.

    Raises
    ------
    SequenceFileError
        If identifiers have no line: the message gives their number and the first of them.

    Examples
    --------
    >>> import numpy as np
    >>> from dnaembed.io import abundance_of
    >>> abundance_of(["c2", "c1"], {"c1": np.array([4.5]), "c2": np.array([0.0])})
    array([[0. ], [4.5]])
    """
    return np.stack(in_order_of(ids, table, where=where, what="line"))
