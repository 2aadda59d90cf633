"""Join the shards that several machines wrote."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from ..utils._atomic import check_outputs
from ._embeddings import open_described
from ._errors import SequenceFileError
from ._parts import Finished, Shard, described_by


def merge_shards(paths: Iterable[str | os.PathLike[str]], output: str | os.PathLike[str]) -> int:
    r"""Join what ``dnaembed embed --shard`` wrote, in the order of the input.

    Parameters
    ----------
    paths : iterable of path-like
        The ``.npy`` files of all shards, in any order; their ``.ids.txt`` and ``.manifest.json``
        lie beside them.
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
    OSError
        If a file cannot be read.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from dnaembed import DNABertSEmbedder
    >>> from dnaembed.io import merge_shards
    >>> with tempfile.TemporaryDirectory() as name:
    ...     folder = pathlib.Path(name)
    ...     text = "".join(f">r{i}\n{'ACGGT' * (i + 1)}\n" for i in range(200))
    ...     _ = (folder / "reads.fa").write_text(text)
    ...     for part in ("1/2", "2/2"):
    ...         output = folder / f"part{part[0]}.npy"
    ...         _ = DNABertSEmbedder().embed_file(folder / "reads.fa", output, shard=part)
    ...     merge_shards([folder / "part1.npy", folder / "part2.npy"], folder / "all.npy")
    200
    """
    places = [Path(path) for path in paths]
    check_outputs([output], places)
    shards = [Finished.read(path) for path in places]
    if not shards:
        raise ValueError("At least one shard is required, got none.")
    _check_shards(shards)
    owners = {part.number: (shard, part) for shard in shards for part in shard.parts}
    parts = [owners[number][1] for number in sorted(owners)]
    if (
        len(parts) != sum(len(shard.parts) for shard in shards)
        or len(parts) != max(owners, default=-1) + 1
    ):
        raise SequenceFileError(f"The shards of {shards[0].path} do not add up to one input.")
    with ExitStack() as stack:
        readers = {shard.path: stack.enter_context(closing(shard.pieces())) for shard in shards}
        pieces = (next(readers[owners[part.number][0].path]) for part in parts)
        first = shards[0].manifest
        described = {**first, "settings": {**first["settings"], "shard": str(Shard())}}
        manifest = described_by(described, parts, first["input_checksum"])
        with open_described(output, manifest) as writer:
            for rows, ids in pieces:
                writer.write(ids.decode().split("\n")[:-1], rows)
    return sum(part.rows for part in parts)


def _check_shards(shards: Sequence[Finished]) -> None:
    first = shards[0]
    for other in shards[1:]:
        for name in ("dtype", "n_columns", "settings"):
            a, b = first.manifest[name], other.manifest[name]
            if name == "settings":
                a, b = ({k: v for k, v in x.items() if k != "shard"} for x in (a, b))
            if a != b or other.shard.count != first.shard.count:
                raise SequenceFileError(
                    f"{first.path} and {other.path} do not belong together: they are of other "
                    "inputs, models or settings (see their .manifest.json)."
                )
        if other.manifest["input_checksum"] != first.manifest["input_checksum"]:
            raise SequenceFileError(
                f"{first.path} and {other.path} were made from different sequences."
            )
    found = [shard.shard.index for shard in shards]
    twice = sorted({i for i in found if found.count(i) > 1})
    missing = sorted(set(range(1, first.shard.count + 1)) - set(found))
    if twice or missing:
        problem = f"{twice[0]} is there twice" if twice else f"{missing[0]} is missing"
        raise SequenceFileError(
            f"Of {first.shard.count} shards, number {problem} ({len(found)} given, the first is "
            f"{first.path})."
        )
