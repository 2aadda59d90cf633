"""Divide the sequences of a file among machines, and put the rows together again."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Self

import numpy as np

from ._embeddings import ids_path, manifest_path, open_embeddings
from ._errors import SequenceFileError

# Sequences in a row go to one shard in groups of so many: few enough to share a small file out
# evenly, enough for batches of like sequences.
_GROUP = 64


@dataclass(frozen=True)
class Shard:
    """Part `index`, counted from 1, of `count`.

    Examples
    --------
    >>> from dnaembed.io._shards import Shard
    >>> Shard.parse("3/64")
    Shard(index=3, count=64)
    """

    index: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``"3/64"``."""
        match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
        if not match or not 1 <= int(match[1]) <= int(match[2]):
            raise ValueError(f"shard must be I/N with I from 1 to N, as 3/64; got {text!r}.")
        return cls(int(match[1]), int(match[2]))

    def mask(self, start: int, n: int) -> np.ndarray:
        """Tell which of the `n` sequences from number `start` on are in the shard."""
        return np.arange(start, start + n) // _GROUP % self.count == self.index - 1

    def size(self, n: int) -> int:
        """Count the shard's sequences out of `n`."""
        groups, rest = divmod(n, _GROUP * self.count)
        return groups * _GROUP + int(np.clip(rest - (self.index - 1) * _GROUP, 0, _GROUP))

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


def merge_shards(paths: Iterable[str | os.PathLike[str]], output: str | os.PathLike[str]) -> int:
    r"""Put the parts that ``dnaembed embed --shard`` wrote together, in the order of the input.

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
    OSError
        If a file cannot be read.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
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
    parts = [_Part.read(Path(path)) for path in paths]
    if not parts:
        raise ValueError("At least one shard is required, got none.")
    _check_parts(parts)
    parts.sort(key=lambda part: part.shard.index)
    total = sum(part.rows for part in parts)
    for part in parts:
        if part.shard.size(total) != part.rows:
            raise SequenceFileError(
                f"{part.path}: {part.rows:,} rows, where shard {part.shard} of {total:,} sequences "
                f"has {part.shard.size(total):,}: the shards are not of the same input."
            )
    readers = [part.groups() for part in parts]
    with open_embeddings(output) as writer:
        done = 0
        while done < total:
            for reader in readers:
                if done < total:
                    ids, rows = next(reader)
                    writer.write(ids, rows)
                    done += len(ids)
    return total


@dataclass(frozen=True)
class _Part:
    path: Path
    shard: Shard
    rows: int
    manifest: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> Self:
        described = manifest_path(path)
        try:
            manifest = json.loads(described.read_text(encoding="utf-8"))
            shard = Shard.parse(manifest["settings"]["shard"])
            rows = int(manifest["rows"])
        except (ValueError, KeyError, TypeError) as error:
            raise SequenceFileError(
                f"{described} is not the manifest of a shard: {error}"
            ) from error
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if array.shape != (rows, manifest["n_columns"]):
            raise SequenceFileError(
                f"{path} has shape {array.shape}, where its manifest says "
                f"({rows}, {manifest['n_columns']})."
            )
        return cls(path, shard, rows, manifest)

    def groups(self) -> Any:
        array = np.load(self.path, mmap_mode="r", allow_pickle=False)
        with ids_path(self.path).open(encoding="utf-8", newline="\n") as lines:
            for start in range(0, self.rows, _GROUP):
                rows = array[start : start + _GROUP]
                ids = [line.rstrip("\n") for line in islice(lines, len(rows))]
                if len(ids) < len(rows):
                    raise SequenceFileError(
                        f"{ids_path(self.path)} has fewer lines than {self.path} has rows."
                    )
                yield ids, rows


def _check_parts(parts: list[_Part]) -> None:
    first = parts[0]
    for part in parts[1:]:
        for name in ("dtype", "n_columns", "settings"):
            a, b = first.manifest[name], part.manifest[name]
            if name == "settings":
                a, b = ({k: v for k, v in x.items() if k != "shard"} for x in (a, b))
            if a != b or part.shard.count != first.shard.count:
                raise SequenceFileError(
                    f"{first.path} and {part.path} do not belong together: they are of other "
                    "inputs, models or settings (see their .manifest.json)."
                )
        if part.manifest["input_checksum"] != first.manifest["input_checksum"]:
            raise SequenceFileError(
                f"{first.path} and {part.path} were made from different sequences."
            )
    found = [part.shard.index for part in parts]
    twice = sorted({i for i in found if found.count(i) > 1})
    missing = sorted(set(range(1, first.shard.count + 1)) - set(found))
    if twice or missing:
        problem = f"{twice[0]} is there twice" if twice else f"{missing[0]} is missing"
        raise SequenceFileError(
            f"Of {first.shard.count} shards, number {problem} ({len(found)} files given)."
        )
