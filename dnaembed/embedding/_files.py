"""Embed files of any size: read a part, leave it out or embed it, write it; then join the parts."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joblib.parallel import ThreadingBackend
from sklearn.preprocessing import normalize

from ..backbones import Backbone
from ..io._parts import Part, PartedEmbeddings, Shard
from ..io._readers import Sources, as_sources, iter_records
from ..utils._ahead import ahead
from ..utils._progress import progress
from ..utils._threads import limit_threads
from ._engine import EmbedOptions, check_finite, embed_strands

logger = logging.getLogger("dnaembed")

# Of a part: enough for batches of like lengths, little to lose, and small for any memory.
PART_BASES = 1 << 21


def embed_file(
    backbone: Backbone,
    paths: Sources,
    output: str | os.PathLike[str],
    options: EmbedOptions,
    *,
    scale_rows: bool,
    dtype: str,
    shard: str | None,
    resume: bool,
    skip_empty: bool,
    duplicate_ids: str,
    n_jobs: int | None,
) -> None:
    """Embed the sequences of files into ``OUT.npy``; see `DNABertSEmbedder.embed_file`."""
    if dtype not in ("float32", "float16"):
        raise ValueError(f'dtype must be "float32" or "float16", got {dtype!r}.')
    if Path(output).suffix != ".npy":
        raise ValueError(f"The name of an output that ends in .npy is expected, got {output}.")
    ours = Shard() if shard is None else Shard.parse(shard)
    sources = as_sources(paths)
    settings = {
        "model": backbone.fingerprint(),
        "model_dtype": str(backbone.precision).removeprefix("torch."),
        "window_size": options.window_size,
        "both_strands": options.both_strands,
        "normalize": scale_rows,
        "skip_empty": skip_empty,
        "part_bases": PART_BASES,
        "shard": str(ours),
    }
    # Always threads of this machine, whatever joblib's backend: shards are for other machines.
    n_workers = ThreadingBackend().effective_n_jobs(1 if n_jobs is None else n_jobs)
    writer = PartedEmbeddings(
        output, settings, n_columns=backbone.embedding_size, dtype=np.dtype(dtype), resume=resume
    )

    def embed(chunk: _Chunk) -> tuple[_Chunk, Part | None, np.ndarray | None]:
        if not ours.has(chunk.number):
            return chunk, None, None
        part = writer.find(chunk.number, chunk.checksum)
        if part is not None:
            return chunk, part, None
        if n_workers == 1:
            rows = embed_strands(backbone, chunk.sequences, options)
        else:
            with limit_threads(max(1, torch.get_num_threads() // n_workers)):
                rows = embed_strands(backbone, chunk.sequences, options)
        check_finite(rows, chunk.ids, backbone.precision, options)
        return chunk, None, normalize(rows, copy=False) if scale_rows else rows

    parts: list[Part] = []
    digest = blake2b(digest_size=16)
    with writer, _Bar(sources) as bar:
        records = iter_records(sources, skip_empty, duplicate_ids, bar.read)
        chunks = _chunks(records, PART_BASES)
        if all(map(_is_file, sources)):  # a thread that waits for a pipe could not be stopped
            chunks = ahead(chunks, depth=0)
        with closing(_computed(embed, chunks, n_workers)) as done:
            for chunk, part, rows in done:
                digest.update(chunk.checksum.encode())
                if rows is not None:
                    part = writer.write(chunk.number, chunk.ids, rows, chunk.checksum)
                if part is not None:
                    parts.append(part)
                    bar.embedded(part.rows)
        writer.join(parts, digest.hexdigest())
    n_rows = sum(part.rows for part in parts)
    logger.info("Wrote %s: %d x %d.", output, n_rows, backbone.embedding_size)


def _computed(
    embed: Callable[[_Chunk], Any], chunks: Generator[_Chunk], n_workers: int
) -> Generator[Any]:
    if n_workers > 1:
        yield from ahead(chunks, embed, n_threads=n_workers, depth=1)
    else:
        with closing(chunks):
            yield from map(embed, chunks)


@dataclass(frozen=True)
class _Chunk:
    """Consecutive records of the input, which become one part."""

    number: int
    ids: list[str]
    sequences: list[str]
    checksum: str


def _chunks(records: Iterable[tuple[str, str]], most_bases: int) -> Generator[_Chunk]:
    """Cut the input where its records say, so that parts do not depend on how it is read."""
    ids: list[str] = []
    sequences: list[str] = []
    number = n_bases = 0
    for identifier, sequence in records:
        ids.append(identifier)
        sequences.append(sequence)
        n_bases += len(sequence)
        if n_bases >= most_bases:
            yield _Chunk(number, ids, sequences, _checksum(ids, sequences))
            ids, sequences, n_bases = [], [], 0
            number += 1
    if ids:
        yield _Chunk(number, ids, sequences, _checksum(ids, sequences))


def _checksum(*lists: list[str]) -> str:
    digest = blake2b(digest_size=16)
    for texts in lists:
        digest.update("\n".join(texts).encode())
        digest.update(b"\n\n")
    return digest.hexdigest()


def _is_file(source: Any) -> bool:
    return isinstance(source, str | os.PathLike) and source != "-" and Path(source).is_file()


class _Bar:
    """Progress by the bytes of the input, with sequences per second beside."""

    def __init__(self, sources: list[Any]) -> None:
        known = all(map(_is_file, sources))
        self._total = sum(Path(source).stat().st_size for source in sources) if known else None

    def __enter__(self) -> _Bar:
        self._bar = progress(total=self._total, description="embedding", unit="B")
        self._start = time.monotonic()
        self._n = 0
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def read(self, n_bytes: int) -> None:
        """Count bytes that were read."""
        self._bar.update(n_bytes)

    def embedded(self, n: int) -> None:
        """Count sequences that are done."""
        self._n += n
        rate = self._n / max(time.monotonic() - self._start, 1e-9)
        self._bar.set_postfix_str(f"{self._n:,} sequences, {rate:,.0f}/s", refresh=False)
