"""Join what the machines of a shared work wrote."""

from __future__ import annotations

import json
import os
from collections.abc import Generator, Iterable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import numpy as np

from ..utils._atomic import check_output
from ..utils._messages import printable
from ._embeddings import ids_path, manifest_path, open_embeddings, read_npy
from ._errors import SequenceFileError
from ._parts import DESCRIBED, Part, Shard, write_output


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
    shards = [_ShardFile.read(Path(path)) for path in paths]
    if not shards:
        raise ValueError("At least one shard is required, got none.")
    target = check_output(output)
    if any(target.exists() and target.samefile(shard.path) for shard in shards):
        raise ValueError(f"The output {output} is one of the shards; choose another name.")
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
        if target.suffix == ".npy":
            described = {k: v for k, v in shards[0].manifest.items() if k in DESCRIBED}
            described["settings"] = {**described["settings"], "shard": str(Shard())}
            folder = Path(stack.enter_context(TemporaryDirectory(".tmp", dir=target.parent)))
            write_output(
                folder, target, pieces, described, parts, shards[0].manifest["input_checksum"]
            )
        else:
            with open_embeddings(output) as writer:
                for rows, ids in pieces:
                    writer.write(ids.decode().split("\n")[:-1], rows)
    return sum(part.rows for part in parts)


@dataclass(frozen=True)
class _ShardFile:
    """A finished output with its manifest."""

    path: Path
    shard: Shard
    manifest: dict[str, Any]
    parts: list[Part]

    @classmethod
    def read(cls, path: Path) -> Self:
        place = manifest_path(path)
        try:
            manifest = json.loads(place.read_text(encoding="utf-8"))
            shard = Shard.parse(manifest["settings"]["shard"])
            parts = [Part(**part) for part in manifest["parts"]]
            expected = (sum(part.rows for part in parts), manifest["n_columns"])
            dtype = np.dtype(manifest["dtype"])
            if manifest["rows"] != expected[0] or not isinstance(manifest["input_checksum"], str):
                raise ValueError("its parts do not add up to its rows")
            if not all(shard.has(part.number) and part.rows > 0 for part in parts):
                raise ValueError(f"it lists parts that shard {shard} does not have")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise SequenceFileError(
                f"{place} is not the manifest of a shard: {printable(repr(error))}"
            ) from error
        array = read_npy(path, mmap_mode="r")
        if (array.shape, array.dtype) != (expected, dtype):
            raise SequenceFileError(
                f"{path} has shape {array.shape} of {array.dtype}, where its manifest says "
                f"{expected} of {dtype}."
            )
        return cls(path, shard, manifest, parts)

    def pieces(self) -> Generator[tuple[np.ndarray, bytes]]:
        """Yield rows and identifiers of each part, checked."""
        array = read_npy(self.path, mmap_mode="r")
        start = 0
        with ids_path(self.path).open("rb") as lines:
            for part in self.parts:
                rows = array[start : start + part.rows]
                start += part.rows
                ids = b"".join(islice(lines, part.rows))
                if start == len(array):
                    ids += lines.read()
                part.check(str(self.path), rows, ids)
                yield rows, ids


def _check_shards(shards: Sequence[_ShardFile]) -> None:
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
            f"Of {first.shard.count} shards, number {problem} ({len(found)} files given)."
        )
