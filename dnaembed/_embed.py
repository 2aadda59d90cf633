"""From normalised sequences to an array of embeddings: windows, strands, batches, memory."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from joblib import Parallel, delayed
from joblib.parallel import get_active_backend

from ._device import is_out_of_memory
from ._model_reference import ModelReference, ModelSource
from ._progress import progress
from ._sequences import reverse_complement
from ._threads import limit_threads
from ._windows import pool_windows, split_windows
from .backbones import Backbone

logger = logging.getLogger("dnaembed")

# Features of this many bases are held at a time: bounds memory whatever the number of sequences.
_CHUNK_BASES = 1 << 24
_CHUNK_SEQUENCES = 4096
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
        weights = reference.pack()
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
        for chunk, rows in zip(chunks, results, strict=True):
            embeddings[chunk] = rows
            bar.update(len(chunk))
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
    weights: np.ndarray | None,
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


def _embed_pieces(backbone: Backbone, pieces: list[str], budget: int) -> np.ndarray:
    features = backbone.featurize(pieces)
    rows = np.empty((len(pieces), backbone.embedding_size), dtype=np.float32)
    pending = backbone.batches([backbone.cost(f) for f in features], budget)[::-1]
    while pending:
        batch = pending.pop()
        try:
            rows[batch] = _forward(backbone, [features[i] for i in batch])
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            half = len(batch) // 2
            if half == 0:
                raise MemoryError(
                    f"out of memory on a single piece of {len(pieces[batch[0]]):,} bp; set a "
                    f"smaller window_size or device='cpu'."
                ) from error
            logger.warning(
                "Out of memory with %d pieces in a batch; going on with %d.", len(batch), half
            )
            _release_memory(backbone)
            pending = [
                part[start : start + half]
                for part in [*pending, batch]
                for start in range(0, len(part), half)
            ]
    return rows


def _forward(backbone: Backbone, features: list[np.ndarray]) -> np.ndarray:
    device = backbone.model.device
    batch = {
        name: tensor.to(device, non_blocking=True)
        for name, tensor in backbone.pack(features).items()
    }
    with torch.inference_mode():
        return backbone.embed(batch).float().cpu().numpy()


def _release_memory(backbone: Backbone) -> None:
    if backbone.model.device.type == "cuda":
        torch.cuda.empty_cache()
