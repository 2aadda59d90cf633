"""Join the shards that several machines wrote."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from ..utils._atomic import check_outputs
from ._embeddings import open_described
from ._errors import SequenceFileError
from ._parts import Finished, Shard, described_by


def merge_shards(paths: Iterable[str | os.PathLike[str]], output: str | os.PathLike[str]) -> int:
    r"""Join what ``dnaembed embed --shard`` wrote, in the order of the input.

    Parameters
    ----------
    paths : iterable of path-like
        The ``.npy`` files of all shards, in any order, each with its ``.ids.txt`` and
        ``.manifest.json``.
    output : path-like
        A new file, as for `dnaembed.io.write_embeddings`.

    Returns
    -------
    int
        Rows.

    Raises
    ------
    SequenceFileError
        If a shard is missing, is there twice, or is of another input, model or setting; or if a
        file does not hold what its manifest says.
    ValueError
        If there is no shard, or the output is one of them.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from dnaembed import DNABertSEmbedder
    >>> from dnaembed.io import merge_shards
    >>> with tempfile.TemporaryDirectory() as name:
    ...     reads, one, two = (pathlib.Path(name, file) for file in ("reads.fa", "1.npy", "2.npy"))
    ...     _ = reads.write_text(">a\nACGTTAGC\n>b\nGGATTACA\n")
    ...     _ = DNABertSEmbedder().embed_file(reads, one, shard="1/2")
    ...     _ = DNABertSEmbedder().embed_file(reads, two, shard="2/2")
    ...     merge_shards([one, two], pathlib.Path(name, "all.npy"))
    2
    """
    places = [Path(path) for path in paths]
    check_outputs([output], places)
    shards = sorted(map(Finished.read, places), key=lambda shard: shard.shard.index)
    if not shards:
        raise ValueError("At least one shard is required, got none.")
    first, count = shards[0], shards[0].shard.count
    for other in shards:
        if _made_by(other) != _made_by(first):
            raise SequenceFileError(
                f"{first.path} and {other.path} do not belong together: they are of other "
                "sequences, models or settings (see their .manifest.json)."
            )
    found = [shard.shard.index for shard in shards]
    for index in range(1, count + 1):
        if found.count(index) != 1:
            problem = "is there twice" if index in found else "is missing"
            raise SequenceFileError(
                f"Of {count} shards, number {index} {problem} ({len(found)} given, the first is "
                f"{first.path})."
            )
    parts = sorted((part for s in shards for part in s.parts), key=lambda part: part.number)
    if [part.number for part in parts] != list(range(len(parts))):
        raise SequenceFileError(f"The shards of {first.path} do not add up to one input.")
    settings = {**first.manifest["settings"], "shard": str(Shard())}
    described = {**first.manifest, "settings": settings}
    manifest = described_by(described, parts, first.manifest["input_checksum"])
    with ExitStack() as stack:
        pieces = [stack.enter_context(closing(shard.pieces())) for shard in shards]
        writer = stack.enter_context(open_described(output, manifest))
        for part in parts:
            rows, ids = next(pieces[part.number % len(shards)])
            writer.write(ids.decode().split("\n")[:-1], rows)
    return sum(part.rows for part in parts)


def _made_by(shard: Finished) -> list[Any]:
    manifest = shard.manifest
    settings = {**manifest["settings"], "shard": shard.shard.count}
    return [settings, *(manifest[name] for name in ("input_checksum", "dtype", "n_columns"))]
