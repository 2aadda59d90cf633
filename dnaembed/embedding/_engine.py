"""From normalised sequences to an array of embeddings: windows, strands, batches, memory."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from joblib import Parallel, delayed
from joblib.parallel import get_active_backend

from .._sequences import reverse_complement
from ..backbones import Backbone
from ..backbones._device import is_out_of_memory
from ..utils._ahead import pin, prefetch, to_device
from ..utils._chunks import iter_chunks
from ..utils._messages import printable
from ..utils._progress import progress
from ..utils._threads import limit_threads
from ._windows import pool_windows, split_windows
from ._workers import ModelName, ModelReference, open_model

logger = logging.getLogger("dnaembed")

# Features of this many bases are held at a time: bounds memory whatever the number of sequences.
_CHUNK_BASES = 1 << 24
_CHUNK_SEQUENCES = 4096
# Tokenised at a time beside a device that computes: some batches.
_PART_BASES = 1 << 22
# Chunks that several workers share out: fewer, so that none waits long for the last; a message to
# another process stays well below what Dask calls large. Enough of them to be worth sending.
_SHARED_CHUNK_BASES = 1 << 22
_LEAST_CHUNK_BASES = 1 << 16
_CHUNKS_PER_WORKER = 4


@dataclass(frozen=True)
class EmbedOptions:
    """How sequences are read by a backbone; windows and strands change the embedding.

    `model` is the name of the backbone in errors.
    """

    window_size: int | None = None
    both_strands: bool = False
    budget: int | None = None
    model: str = "(unnamed)"


class NotFiniteError(FloatingPointError):
    """A model gave NaN or infinity; for which sequence: a position in X, or an identifier."""

    def __init__(self, reason: str, which: int | str) -> None:
        super().__init__(reason, which)
        self.reason, self.which = reason, which

    def __str__(self) -> str:
        which = self.which
        name = f"record {printable(which)!r}" if isinstance(which, str) else f"sequence {which}"
        return f"{name}: {self.reason}"


def embed_sequences(
    backbone: Backbone,
    sequences: Sequence[str],
    options: EmbedOptions,
    *,
    places: Sequence[int] | None = None,
    n_jobs: int | None = None,
    name: ModelName | None = None,
    device: str = "auto",
) -> np.ndarray:
    """Embed each sequence.

    Parameters
    ----------
    backbone : Backbone
        Its model in evaluation mode, on its device.
    sequences : sequence of str
        Normalised sequences, at least one.
    options : EmbedOptions
    places : sequence of int, default=None
        Where the sequences stand in the user's X, for errors; in their order if None.
    n_jobs : int or None
        Chunks embedded at a time, as joblib counts jobs; threads, unless the user's
        `joblib.parallel_config` names another backend.
    name : ModelName or None
        How other processes get the model; None for a model that they cannot get.
    device : str, default="auto"
        Where other processes compute.

    Returns
    -------
    ndarray of shape (len(sequences), embedding_size), float32
    """
    require = "sharedmem" if name is None and n_jobs == 1 else None
    backend, active_n_jobs = get_active_backend(prefer="threads", require=require)
    n_workers = backend.effective_n_jobs(active_n_jobs if n_jobs is None else n_jobs)
    # Like lengths share chunks, and so batches; the longest first, to meet a lack of memory early.
    order = sorted(range(len(sequences)), key=lambda i: -len(sequences[i]))
    chunks = list(_chunks(sequences, order, _chunk_bases(sequences, n_workers)))
    model: Backbone | ModelReference = backbone
    n_threads = None
    if not getattr(backend, "supports_sharedmem", False):
        model = ModelReference.to(backbone, name, device)
    elif min(n_workers, len(chunks)) > 1:
        # Chunks in flight share the cores: each with all of them would be slower.
        n_threads = max(1, torch.get_num_threads() // min(n_workers, len(chunks)))
    ordered = "generator" if backend.supports_return_generator else "list"
    # A chunk is a task: joblib would put some together, into messages of unknown size.
    parallel = Parallel(
        n_jobs=n_jobs, prefer="threads", require=require, return_as=ordered, batch_size=1
    )
    results = parallel(
        delayed(_embed_task)(model, [sequences[i] for i in chunk], options, n_threads)
        for chunk in chunks
    )
    embeddings = np.empty((len(sequences), backbone.embedding_size), dtype=np.float32)
    with progress(total=len(sequences), description="embedding", unit="seq") as bar:
        for chunk, rows in zip(chunks, results, strict=True):
            check_finite(
                rows,
                chunk if places is None else [places[i] for i in chunk],
                backbone.precision,
                options,
            )
            embeddings[chunk] = rows
            bar.update(len(chunk))
    return embeddings


def _chunk_bases(sequences: Sequence[str], n_workers: int) -> int:
    if n_workers == 1:
        return _CHUNK_BASES
    share = sum(map(len, sequences)) // (_CHUNKS_PER_WORKER * n_workers)
    return min(_SHARED_CHUNK_BASES, max(_LEAST_CHUNK_BASES, share))


def _chunks(sequences: Sequence[str], order: Iterable[int], most_bases: int) -> Iterator[list[int]]:
    return iter_chunks(order, lambda i: len(sequences[i]), most_bases, _CHUNK_SEQUENCES)


def _embed_task(
    model: Backbone | ModelReference,
    sequences: list[str],
    options: EmbedOptions,
    n_threads: int | None,
) -> np.ndarray:
    with nullcontext() if n_threads is None else limit_threads(n_threads):
        return embed_strands(open_model(model), sequences, options)


def embed_strands(backbone: Backbone, sequences: list[str], options: EmbedOptions) -> np.ndarray:
    """Embed a chunk of sequences, in one thread, in memory that grows with their number."""
    both = options.both_strands and not backbone.strand_invariant
    strands = [*sequences, *map(reverse_complement, sequences)] if both else sequences
    windows: list[str] = []
    owners: list[int] = []
    for owner, sequence in enumerate(strands):
        of_one = split_windows(sequence, options.window_size)
        windows += of_one
        owners += [owner] * len(of_one)
    rows = _embed_windows(backbone, windows, options.budget or backbone.default_budget)
    rows = pool_windows(rows, list(map(len, windows)), np.asarray(owners), len(strands))
    return (rows[: len(sequences)] + rows[len(sequences) :]) / 2 if both else rows


@dataclass(frozen=True)
class _Batch:
    """Some of the windows, and what the backbone makes of them together."""

    positions: list[int]
    features: list[np.ndarray]
    tensors: dict[str, torch.Tensor]


def _embed_windows(backbone: Backbone, windows: list[str], budget: int) -> np.ndarray:
    device = backbone.model.device
    ready = _batches(backbone, windows, budget)
    if _is_beside(device):
        ready = prefetch(ready, device=device)
    outputs: list[tuple[list[int], torch.Tensor]] = []
    most = len(windows)  # in a batch; fewer once memory ran out
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
                            f"out of memory on a single window of "
                            f"{len(windows[batch.positions[0]]):,} bp; set a smaller window_size "
                            f"or device='cpu'."
                        ) from error
                    most = n // 2
                    logger.warning(
                        "Out of memory with %d windows in a batch; continuing with %d.", n, most
                    )
                    _release_memory(backbone)
                    pending = [
                        part for b in [*pending, batch] for part in _divide(backbone, b, most)
                    ]
    # Fetched when all were asked for, so that the device never waits for the next batch.
    rows = np.empty((len(windows), backbone.embedding_size), dtype=np.float32)
    for positions, output in outputs:
        rows[positions] = output.cpu().numpy()
    return rows


def check_finite(
    rows: np.ndarray, which: Sequence[int | str], dtype: torch.dtype, options: EmbedOptions
) -> None:
    """Raise if an embedding is not finite, and name its sequence and the model."""
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(bad):
        precision = str(dtype).removeprefix("torch.")
        advice = "" if precision == "float32" else "; set dtype='float32'"
        raise NotFiniteError(
            f"the model {printable(options.model)!r} gives NaN or infinity in {precision}{advice}.",
            which[bad[0]],
        )


def _is_beside(device: torch.device) -> bool:
    """Whether the device computes while the CPU does something else."""
    return device.type != "cpu"


def _batches(backbone: Backbone, windows: list[str], budget: int) -> Generator[_Batch, None, None]:
    # Part by part, so that a device has something to do while the rest is tokenised.
    most_bases = _PART_BASES if _is_beside(backbone.model.device) else _CHUNK_BASES
    for part in _chunks(windows, range(len(windows)), most_bases):
        features = backbone.featurize([windows[i] for i in part])
        for batch in backbone.batches([backbone.cost(f) for f in features], budget):
            yield _batch(backbone, [part[i] for i in batch], [features[i] for i in batch])


def _batch(backbone: Backbone, positions: list[int], features: list[np.ndarray]) -> _Batch:
    return _Batch(positions, features, pin(backbone.pack(features), backbone.model.device))


def _divide(backbone: Backbone, batch: _Batch, most: int) -> list[_Batch]:
    """Split a batch into batches of at most `most` windows."""
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
