"""Embed files of any size: read a part, skip or embed it, write it; then join the parts."""

import logging
import os
import time
from contextlib import ExitStack, closing
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from joblib.parallel import ThreadingBackend

from ..backbones import Backbone
from ..io._parts import Part, PartedEmbeddings, Shard
from ..io._readers import Sources, iter_records, sequence_files
from ..utils._ahead import ahead
from ..utils._atomic import check_outputs
from ..utils._chunks import iter_chunks
from ..utils._progress import progress
from ..utils._threads import limit_threads
from ._engine import EmbedOptions, check_finite, chunks_at_a_time, embed_strands, threads_of_a_chunk

logger = logging.getLogger("dnaembed")

# Of a part: enough for batches of similar lengths, little to lose, and small for any memory.
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
    if Path(output).suffix.lower() != ".npy":
        raise ValueError(f"The name of an output that ends in .npy is expected, got {output}.")
    ours = Shard() if shard is None else Shard.parse(shard)
    sources = sequence_files(paths)
    check_outputs([output], sources)
    settings = {
        "model": backbone.fingerprint(),
        "model_dtype": backbone.precision,
        "window_size": options.window_size,
        "both_strands": options.both_strands,
        "normalize": scale_rows,
        "skip_empty": skip_empty,
        "part_bases": PART_BASES,
        "shard": str(ours),
    }
    # Always threads of this machine, whatever joblib's backend: shards are for other machines.
    n_workers = ThreadingBackend().effective_n_jobs(chunks_at_a_time(backbone, n_jobs)[1])
    n_threads = threads_of_a_chunk(backbone, n_workers)
    writer = PartedEmbeddings(
        output,
        settings,
        n_columns=backbone.embedding_size,
        dtype=np.dtype(dtype),
        resume=resume,
    )

    def embed(chunk: tuple[int, list[tuple[str, str]]]) -> tuple[Any, ...]:
        number, records = chunk
        ids, sequences = zip(*records, strict=True)
        checksum = blake2b("\n".join([*ids, "", *sequences]).encode(), digest_size=16).hexdigest()
        if not ours.has(number):
            return number, checksum, None, None, None
        part = writer.find(number, checksum)
        if part is not None:
            return number, checksum, part, None, None
        with limit_threads(n_threads):
            rows = embed_strands(backbone, list(sequences), options)
        check_finite(rows, ids, backbone.precision, options)
        if scale_rows:
            from sklearn.preprocessing import normalize  # takes a second to import

            normalize(rows, copy=False)
        return number, checksum, None, ids, rows

    places = [Path(s) for s in sources if isinstance(s, str | os.PathLike)]
    are_files = len(places) == len(sources) and all(place.is_file() for place in places)
    total = sum(place.stat().st_size for place in places) if are_files else None
    start, n_rows = time.monotonic(), 0
    parts: list[Part] = []
    digest = blake2b(digest_size=16)
    with ExitStack() as stack:
        stack.enter_context(writer)
        bar = stack.enter_context(progress(total=total, description="embedding", unit="B"))
        records = iter_records(sources, skip_empty, duplicate_ids, bar.update)
        chunks: Any = enumerate(iter_chunks(records, lambda record: len(record[1]), PART_BASES))
        if n_workers > 1:
            done: Any = ahead(chunks, embed, n_threads=n_workers, depth=1)
            stack.enter_context(closing(done))
        else:  # a thread that waits for a pipe could not be stopped
            ready = stack.enter_context(closing(ahead(chunks, depth=0))) if are_files else chunks
            done = map(embed, ready)
        for number, checksum, part, ids, rows in done:
            digest.update(checksum.encode())
            if rows is not None:
                part = writer.write(number, ids, rows, checksum)
            if part is not None:
                parts.append(part)
                n_rows += part.rows
                rate = n_rows / max(time.monotonic() - start, 1e-9)
                bar.set_postfix_str(f"{n_rows:,} sequences, {rate:,.0f}/s", refresh=False)
        writer.join(parts, digest.hexdigest())
    logger.info("Wrote %s: %s x %d.", output, f"{n_rows:,}", backbone.embedding_size)
