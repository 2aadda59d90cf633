"""From normalised sequences to an array of embeddings: windows, strands, batches, memory."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import closing, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from joblib import Parallel, delayed
from joblib.parallel import get_active_backend

from .._sequences import reverse_complement
from ..backbones import Backbone
from ..backbones._device import is_out_of_memory
from ..utils._ahead import pin, prefetch, to_device
from ..utils._progress import progress
from ..utils._threads import limit_threads
from ._windows import pool_windows, split_windows
from ._workers import ModelReference, ModelSource, send_once

logger = logging.getLogger("dnaembed")

# Features of this many bases are held at a time: bounds memory whatever the number of sequences.
_CHUNK_BASES = 1 << 24
_CHUNK_SEQUENCES = 4096
# Tokenised at a time beside a device that computes: some batches.
_PART_BASES = 1 << 22
# Chunks that several workers share out: fewer, so that none waits long for the last; a message to
# another process stays well below what Dask calls large. At least so many, to be worth sending.
_SHARED_CHUNK_BASES = 1 << 22
_LEAST_CHUNK_BASES = 1 << 16
_CHUNKS_PER_WORKER = 4


@dataclass(frozen=True)
class EmbedOptions:
    """How sequences are read by a backbone; all but the budget change the embedding."""

    window_size: int | None = None
    both_strands: bool = False
    budget: int | None = None


def embed_sequences(
    backbone: Backbone,
    sequences: Sequence[str],
    options: EmbedOptions,
    *,
    n_jobs: int | None = None,
    source: ModelSource | None = None,
) -> np.ndarray:
    """Embed each sequence.

    Parameters
    ----------
    backbone : Backbone
        Its model in evaluation mode, on its device.
    sequences : sequence of str
        Normalised sequences, at least one.
    options : EmbedOptions
    n_jobs : int or None
        Chunks embedded at a time, as joblib counts jobs; threads, unless the user's
        `joblib.parallel_config` names another backend.
    source : ModelSource or None
        How other processes get the model; None sends them its weights.

    Returns
    -------
    ndarray of shape (len(sequences), embedding_size), float32
    """
    backend, active_n_jobs = get_active_backend(prefer="threads")
    n_workers = backend.effective_n_jobs(active_n_jobs if n_jobs is None else n_jobs)
    reference = ModelReference(backbone, source or ModelSource(str(backbone.model.device)))
    # Like lengths share chunks, and so batches; the longest first, to meet a lack of memory early.
    order = sorted(range(len(sequences)), key=lambda i: -len(sequences[i]))
    chunks = list(_chunks(sequences, order, _chunk_bases(sequences, n_workers)))
    n_threads = weights = None
    if not getattr(backend, "supports_sharedmem", False):
        weights = send_once(reference.pack(), backend)
    elif min(n_workers, len(chunks)) > 1:
        # Chunks in flight share the cores: each with all of them would be slower.
        n_threads = max(1, torch.get_num_threads() // min(n_workers, len(chunks)))
    ordered = "generator" if backend.supports_return_generator else "list"
    # A chunk is a task: joblib would put some together, into messages of unknown size.
    parallel = Parallel(n_jobs=n_jobs, prefer="threads", return_as=ordered, batch_size=1)
    results = parallel(
        delayed(_embed_chunk)(reference, weights, [sequences[i] for i in chunk], options, n_threads)
        for chunk in chunks
    )
    embeddings = np.empty((len(sequences), backbone.embedding_size), dtype=np.float32)
    with progress(total=len(sequences), description="embedding", unit="seq") as bar:
        try:
            for chunk, rows in zip(chunks, results, strict=True):
                embeddings[chunk] = rows
                bar.update(len(chunk))
        except CancelledError as error:
            # Dask makes lost results again, but not data that it was given.
            raise RuntimeError(
                "Dask gave up, most likely as all workers died that had the weights of this "
                "model. Write it to a folder that all workers see (save_model), and embed with "
                "model= that folder: each worker then loads it by itself."
            ) from error
    return embeddings


def _chunk_bases(sequences: Sequence[str], n_workers: int) -> int:
    if n_workers == 1:
        return _CHUNK_BASES
    share = sum(map(len, sequences)) // (_CHUNKS_PER_WORKER * n_workers)
    return min(_SHARED_CHUNK_BASES, max(_LEAST_CHUNK_BASES, share))


def _chunks(sequences: Sequence[str], order: Sequence[int], most_bases: int) -> Iterator[list[int]]:
    chunk: list[int] = []
    bases = 0
    for i in order:
        if chunk and (bases + len(sequences[i]) > most_bases or len(chunk) >= _CHUNK_SEQUENCES):
            yield chunk
            chunk, bases = [], 0
        chunk.append(i)
        bases += len(sequences[i])
    if chunk:
        yield chunk


def _embed_chunk(
    reference: ModelReference,
    weights: Any,
    sequences: list[str],
    options: EmbedOptions,
    n_threads: int | None,
) -> np.ndarray:
    backbone = reference.open(weights)
    with nullcontext() if n_threads is None else limit_threads(n_threads):
        return embed_strands(backbone, sequences, options)


def embed_strands(backbone: Backbone, sequences: list[str], options: EmbedOptions) -> np.ndarray:
    """Embed sequences, in one thread, in memory that grows with their number."""
    rows = _embed_one_strand(backbone, sequences, options)
    if options.both_strands and not backbone.strand_invariant:
        other = [reverse_complement(sequence) for sequence in sequences]
        rows = (rows + _embed_one_strand(backbone, other, options)) / 2
    return rows


def _embed_one_strand(
    backbone: Backbone, sequences: list[str], options: EmbedOptions
) -> np.ndarray:
    pieces: list[str] = []
    owners: list[int] = []
    for owner, sequence in enumerate(sequences):
        windows = split_windows(sequence, options.window_size)
        pieces += windows
        owners += [owner] * len(windows)
    rows = _embed_pieces(backbone, pieces, options.budget or backbone.default_budget)
    lengths = [len(piece) for piece in pieces]
    return pool_windows(rows, lengths, np.asarray(owners), len(sequences))


@dataclass(frozen=True)
class _Batch:
    """Some of the pieces, and what the backbone makes of them together."""

    positions: list[int]
    features: list[np.ndarray]
    tensors: dict[str, torch.Tensor]


def _embed_pieces(backbone: Backbone, pieces: list[str], budget: int) -> np.ndarray:
    device = backbone.model.device
    ready = _batches(backbone, pieces, budget)
    if _is_beside(device):
        ready = prefetch(ready, device=device)
    outputs: list[tuple[list[int], torch.Tensor]] = []
    most = len(pieces)  # in a batch; fewer once memory ran out
    with closing(ready):
        for prepared in ready:
            pending = _divide(backbone, prepared, most)
            while pending:
                batch = pending.pop()
                try:
                    outputs.append((batch.positions, _forward(backbone, batch.tensors)))
                except (RuntimeError, MemoryError) as error:
                    if not is_out_of_memory(error):
                        raise
                    n = len(batch.positions)
                    if n == 1:
                        raise MemoryError(
                            f"out of memory on a single piece of "
                            f"{len(pieces[batch.positions[0]]):,} bp; set a smaller window_size "
                            f"or device='cpu'."
                        ) from error
                    most = n // 2
                    logger.warning(
                        "Out of memory with %d pieces in a batch; going on with %d.", n, most
                    )
                    _release_memory(backbone)
                    pending = [
                        part for b in [*pending, batch] for part in _divide(backbone, b, most)
                    ]
    # Fetched when all were asked for, so that the device never waits for the next batch.
    rows = np.empty((len(pieces), backbone.embedding_size), dtype=np.float32)
    for positions, output in outputs:
        rows[positions] = output.cpu().numpy()
    _check_finite(backbone, rows, pieces)
    return rows


def _check_finite(backbone: Backbone, rows: np.ndarray, pieces: list[str]) -> None:
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(bad):
        piece = pieces[bad[0]]
        dtype = str(backbone.model.dtype).removeprefix("torch.")
        advice = "" if dtype == "float32" else "; set dtype='float32'"
        raise FloatingPointError(
            f"the model gives NaN or infinity in {dtype} on {len(bad)} of {len(pieces)} pieces, "
            f"the first of {len(piece):,} bp, {piece[:20]}...{advice}."
        )


def _is_beside(device: torch.device) -> bool:
    """Whether the device computes while the CPU does something else."""
    return device.type != "cpu"


def _batches(backbone: Backbone, pieces: list[str], budget: int) -> Generator[_Batch, None, None]:
    # Part by part, so that a device has something to do while the rest is tokenised.
    most_bases = _PART_BASES if _is_beside(backbone.model.device) else _CHUNK_BASES
    for part in _chunks(pieces, range(len(pieces)), most_bases):
        features = backbone.featurize([pieces[i] for i in part])
        for batch in backbone.batches([backbone.cost(f) for f in features], budget):
            yield _batch(backbone, [part[i] for i in batch], [features[i] for i in batch])


def _batch(backbone: Backbone, positions: list[int], features: list[np.ndarray]) -> _Batch:
    return _Batch(positions, features, pin(backbone.pack(features), backbone.model.device))


def _divide(backbone: Backbone, batch: _Batch, most: int) -> list[_Batch]:
    """Batches of at most so many pieces."""
    if len(batch.positions) <= most:
        return [batch]
    parts = [slice(start, start + most) for start in range(0, len(batch.positions), most)]
    return [_batch(backbone, batch.positions[part], batch.features[part]) for part in parts]


def _forward(backbone: Backbone, tensors: dict[str, torch.Tensor]) -> torch.Tensor:
    with torch.inference_mode():
        return backbone.embed(to_device(tensors, backbone.model.device)).float()


def _release_memory(backbone: Backbone) -> None:
    if backbone.model.device.type == "cuda":
        torch.cuda.empty_cache()
