"""Embed files of any size: a pipeline from compressed text to rows on disk."""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joblib.parallel import ThreadingBackend
from sklearn.preprocessing import normalize

from ..backbones import Backbone
from ..io._blocks import BLOCK_BYTES, SequenceBlock, iter_blocks
from ..io._errors import SequenceFileError
from ..io._readers import Sources, as_sources
from ..io._resumable import ResumableEmbeddings
from ..io._shards import Shard
from ..utils._progress import progress
from ..utils._threads import limit_threads
from ._engine import EmbedOptions, embed_strands

logger = logging.getLogger("dnaembed")


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
    part = Shard() if shard is None else Shard.parse(shard)
    sources = as_sources(paths)
    settings = {
        "model": backbone.fingerprint(),
        "model_dtype": str(backbone.precision).removeprefix("torch."),
        "window_size": options.window_size,
        "both_strands": options.both_strands,
        "normalize": scale_rows,
        "skip_empty": skip_empty,
        "block_bytes": BLOCK_BYTES,
        "shard": str(part),
    }

    def embed(block: SequenceBlock, kept: np.ndarray) -> tuple[np.ndarray, bytes]:
        kept_block = block.take(kept)
        rows = embed_block(backbone, kept_block, options)
        return (normalize(rows, copy=False) if scale_rows and len(rows) else rows), kept_block.ids

    writer = ResumableEmbeddings(
        output,
        settings,
        n_columns=backbone.embedding_size,
        dtype=np.dtype(dtype),
        resume=resume,
    )
    with writer, _Bar(sources) as bar:
        blocks = iter_blocks(
            sources,
            skip_empty=skip_empty,
            duplicate_ids=duplicate_ids,
            block_bytes=BLOCK_BYTES,
            on_read=bar.read,
        )
        tasks = _remaining(blocks, writer, part)
        # Always threads of this machine, whatever joblib's backend: shards are for other machines.
        n_workers = ThreadingBackend().effective_n_jobs(1 if n_jobs is None else n_jobs)
        for (rows, ids), checksum in _in_order(embed, tasks, n_workers):
            writer.append(rows, ids, input_checksum=checksum)
            bar.embedded(len(rows))
    logger.info("Wrote %s: %d x %d.", output, writer.progress.rows, backbone.embedding_size)


def embed_block(backbone: Backbone, block: SequenceBlock, options: EmbedOptions) -> np.ndarray:
    """Embed the records of a block.

    Returns
    -------
    ndarray of shape (len(block), embedding_size), float32
    """
    if not len(block):
        return np.empty((0, backbone.embedding_size), dtype=np.float32)
    return embed_strands(backbone, block.sequences(), options)


def _remaining(
    blocks: Iterable[SequenceBlock], writer: ResumableEmbeddings, shard: Shard
) -> Iterator[tuple[tuple[SequenceBlock, np.ndarray], int]]:
    """Yield what is still to be embedded, with the checksum of all blocks so far.

    Blocks that earlier work dealt with are read again, which costs little, to make sure that they
    are the same, and to find identifiers that come twice.
    """
    earlier = writer.progress
    state = n_sequences = 0
    is_same = not earlier.n_blocks
    for n_blocks, block in enumerate(blocks):
        if n_blocks >= earlier.n_blocks and (earlier.is_complete or not is_same):
            break
        state = block.checksum(state)
        if n_blocks >= earlier.n_blocks:
            yield (block, shard.mask(n_sequences, len(block))), state
        elif n_blocks == earlier.n_blocks - 1:
            is_same = state == earlier.input_checksum
        n_sequences += len(block)
    else:
        if is_same:
            return
    raise SequenceFileError(
        f"The sequences are not those that {writer.folder} was made from. Do not resume (or delete "
        "that folder) to start again."
    )


def _in_order(
    work: Callable[..., Any], tasks: Iterable[tuple[tuple[Any, ...], int]], n_workers: int
) -> Iterator[tuple[Any, int]]:
    """Do tasks in threads, a few ahead; yield results in the order of the tasks.

    The calling thread reads while the others compute: both let go of the interpreter's lock.
    """
    if n_workers == 1:
        for arguments, label in tasks:
            yield work(*arguments), label
        return
    n_threads = max(1, torch.get_num_threads() // n_workers)

    def limited(*arguments: Any) -> Any:
        with limit_threads(n_threads):
            return work(*arguments)

    pending: deque[tuple[Any, int]] = deque()
    with ThreadPoolExecutor(n_workers, thread_name_prefix="dnaembed") as pool:
        try:
            for arguments, label in tasks:
                pending.append((pool.submit(limited, *arguments), label))
                if len(pending) > n_workers + 1:
                    future, done = pending.popleft()
                    yield future.result(), done
            while pending:
                future, done = pending.popleft()
                yield future.result(), done
        finally:
            for future, _ in pending:
                future.cancel()


class _Bar:
    """Progress by the bytes of the input, with sequences a second beside."""

    def __init__(self, sources: Iterable[Any]) -> None:
        files = [s for s in sources if isinstance(s, str | os.PathLike) and s != "-"]
        sizes = [Path(file).stat().st_size for file in files if Path(file).is_file()]
        self._total = sum(sizes) if len(sizes) == len(list(sources)) else None

    def __enter__(self) -> _Bar:
        self._bar = progress(total=self._total, description="embedding", unit="B")
        self._start = time.monotonic()
        self._n = 0
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def read(self, n_bytes: int) -> None:
        self._bar.update(n_bytes)

    def embedded(self, n: int) -> None:
        self._n += n
        rate = self._n / max(time.monotonic() - self._start, 1e-9)
        self._bar.set_postfix_str(f"{self._n:,} sequences, {rate:,.0f}/s", refresh=False)
