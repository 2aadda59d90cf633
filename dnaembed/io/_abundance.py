"""Tables of abundances: one line per contig, one column per sequenced sample."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from ..utils._messages import listed, shorten
from . import _tables
from ._errors import SequenceFileError, import_optional
from ._readers import as_sources
from ._streams import Source, name_of

# The mean depth in tables of one sample: samtools coverage, BBMap, Flye, mosdepth.
_DEPTHS = {"meandepth", "avg_fold", "cov.", "mean", "mean_depth", "mean_coverage"}
_OTHERS = {
    "alt_group", "bases", "bp", "circ.", "contiglen", "contig_length", "covbases", "covered_bases",
    "covered_fraction", "covered_percent", "end", "endpos", "fpkm", "frags", "gc", "gc_content",
    "graph_path", "len", "length", "max", "meanbaseq", "meanmapq", "median", "median_fold", "min",
    "minus_reads", "mult.", "numreads", "plus_reads", "read_count", "read_gc", "reads", "ref_gc",
    "repeat", "rpkm", "size", "start", "startpos", "std", "std_dev", "totalavgdepth", "tpm", "var",
    "variance",
}  # fmt: skip
_COVERM = re.compile(
    r"(.+?) (Mean|Trimmed Mean|Relative Abundance \(%\)|Covered Fraction|Covered Bases|Variance"
    r"|Length|Read Count|Reads per base|RPKM|TPM|ANIr)"
)
_NOT_COUNTED = 0x704  # unmapped, secondary, of bad quality, duplicate


class Abundances(dict[str, np.ndarray]):
    """What `read_abundance` returns: a dictionary that also names the samples."""

    def __init__(self, samples: Iterable[str]) -> None:
        self.samples = list(samples)
        _tables.check_fields(self.samples)


def read_abundance(path: Source | Iterable[Source]) -> Abundances:
    r"""Read how abundant contigs are in a number of samples.

    In tables by jgi_summarize_bam_contig_depths (MetaBAT, fairy), CoverM (``Mean``, else ``Trimmed
    Mean``), samtools coverage, pileup.sh of BBMap, mosdepth, Flye (``assembly_info.txt``) and
    strobealign ``--aemb``, the columns of mean coverage are found, and others are ignored.

    Parameters
    ----------
    path : path-like or binary file, or iterable of these
        Tab-separated table, plain or compressed: a header, then one line per contig with its
        identifier and one number per sample, such as its mean coverage. ``"-"`` is standard input.
        Several tables are joined by identifier; a contig that one of them lacks has 0 there. Of a
        mapping, ``.bam`` or ``.cram`` (needs pysam), the mean coverage is aligned bases per base.

    Returns
    -------
    dict of str to ndarray of shape (n_profiles,)
        By the first word of the first column, in the order of the file. Its attribute ``samples``
        holds the names of the samples, or of the file if it is of one.

    Raises
    ------
    SequenceFileError
        As :doc:`/malformed_files` lists; the message gives the line.

    Examples
    --------
    >>> import io
    >>> from dnaembed.io import read_abundance
    >>> table = read_abundance(io.BytesIO(b"contig\tgut_1\tgut_2\nc1\t4.5\t0\n"))
    >>> table, table.samples
    ({'c1': array([4.5, 0. ])}, ['gut_1', 'gut_2'])
    """
    sources = as_sources(path)
    are_bam = [str(source).endswith((".bam", ".cram")) for source in sources]
    tables = [(_read_bam if b else _read_table)(s) for s, b in zip(sources, are_bam, strict=True)]
    if len(tables) == 1:
        return tables[0]
    joined = Abundances(sample for table in tables for sample in table.samples)
    if twice := _twice(joined.samples):
        raise SequenceFileError(f"Two tables of coverage have a sample {twice}.")
    for source, table in zip(sources, tables, strict=True):
        if not table.keys() & tables[0].keys():
            lacks = f"{name_of(source)} has no contig of {name_of(sources[0])}"
            raise SequenceFileError(f"{lacks}: its first is {shorten(next(iter(table)))!r}.")
    for identifier in dict.fromkeys(chain.from_iterable(tables)):
        parts = [table.get(identifier, np.zeros(len(table.samples))) for table in tables]
        joined[identifier] = np.concatenate(parts)
    return joined


def _read_table(path: Source) -> Abundances:
    rows: Iterator[tuple[str, list[str]]] = _tables.rows_of(path)
    where, fields = next(rows, (f"{name_of(path)}, line 1", [""]))
    header = [field.strip() for field in fields]
    is_header = header[0].lower() in _tables.ID_COLUMNS or not _tables.is_number(header[-1])
    if len(header) == 2 and not is_header:
        columns = {1: _stem(path)}  # strobealign --aemb
        rows = chain([(where, fields)], rows)
    else:
        columns = _sample_columns(header, path, where)
    if twice := _twice(columns.values()):
        raise SequenceFileError(f"{where}: two columns are of a sample {twice}.")
    found = Abundances(columns.values())
    for where, fields in rows:
        identifier = _tables.first_word(fields[0].strip())
        _tables.check_identifier(where, identifier, found)
        for i in columns:
            if not _tables.is_number(fields[i]) or not 0 <= float(fields[i]) < np.inf:
                where, got = f"{where}, column {shorten(header[i])!r}", shorten(fields[i].strip())
                raise SequenceFileError(f"{where}: expected a number of at least 0, got {got!r}.")
        found[identifier] = np.array([float(fields[i]) for i in columns])
    if not found:
        raise SequenceFileError(f"{name_of(path)} holds no contig.")
    return found


def _sample_columns(header: Sequence[str], path: Source, where: str) -> dict[int, str]:
    """Return the columns of mean coverage and the names of their samples."""
    names = dict(enumerate(header[1:], 1))
    if all(map(_tables.is_number, names.values())):
        expected = "a header with an identifier and one column per sample, separated by tabs"
        got = shorten(" ".join(header))
        raise SequenceFileError(f"{where}: expected {expected}, got {got!r}.")
    if [field.lower() for field in header[:3]] == ["contigname", "contiglen", "totalavgdepth"]:
        return {i: sample for i, sample in names.items() if i > 2 and not sample.endswith("-var")}
    coverm = {i: found for i, text in names.items() if (found := _COVERM.fullmatch(text))}
    for method in ("Mean", "Trimmed Mean"):
        chosen = {i: found[1] for i, found in coverm.items() if found[2] == method}
        if chosen and len(coverm) == len(names):
            return chosen
    depths = [i for i, text in names.items() if text.lower() in _DEPTHS]
    others = [i for i, text in names.items() if text.lower() in _OTHERS or i in coverm]
    # "coverage" is a percentage where samtools writes it, and may be a sample elsewhere.
    known = len(depths) + len(others) + ("coverage" in names.values())
    if len(depths) == 1 and known == len(names):
        return {depths[0]: _stem(path)}
    if others:
        why = f"not all columns are mean coverages of samples: {listed(names.values())}"
        advice = "Keep the identifiers and the mean coverages only"
        raise SequenceFileError(f"{where}: {why}. {advice}.")
    return names


def _read_bam(path: Any) -> Abundances:
    pysam = import_optional("pysam", extra="bam", purpose="Reading BAM or CRAM")
    found = Abundances([_stem(path)])
    with pysam.AlignmentFile(os.fspath(path)) as file:
        bases = np.zeros(file.nreferences)
        for read in file.fetch(until_eof=True):
            if not read.flag & _NOT_COUNTED:
                bases[read.reference_id] += read.reference_length
        for i, identifier in enumerate(file.references):
            found[_tables.first_word(identifier)] = bases[i : i + 1] / file.lengths[i]
    return found


def _twice(samples: Iterable[str]) -> str:
    return next((repr(shorten(sample)) for sample, n in Counter(samples).items() if n > 1), "")


def _stem(path: Source) -> str:
    return Path(name_of(path)).name.split(".")[0]


def abundance_of(
    ids: Sequence[str], table: Mapping[str, np.ndarray], *, where: str = "abundance"
) -> np.ndarray:
    """Return the abundances of each identifier.

    Parameters
    ----------
    ids, table : sequence of str, and mapping of str to ndarray of shape (n_profiles,)
        Identifiers, and what `read_abundance` returned; it may hold more of them.
    where : str, default="abundance"
        How the `SequenceFileError` on identifiers without a line names the table.

    Returns
    -------
    ndarray of shape (n, n_profiles)
        In the order of `ids`; for ``SpeciesClusterer().fit(X, abundance=...)``.
    """
    return np.stack(_tables.in_order_of(ids, table, where=where, what="line"))
