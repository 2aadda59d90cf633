"""From normalised sequences to an array of embeddings: windows, strands, batches, memory."""

from __future__ import annotations

import logging
import math
import socket
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain, islice, pairwise
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from joblib.parallel import get_active_backend

from .._sequences import reverse_complement
from ..backbones import Backbone, shared_backbone
from ..backbones._device import is_out_of_memory
from ..backbones._load import bundled_models
from ..utils._ahead import ahead, pin, prefetch, to_device
from ..utils._chunks import iter_chunks
from ..utils._messages import printable
from ..utils._progress import progress
from ..utils._threads import available_cores, limit_threads
from ..utils._torch import torch

logger = logging.getLogger("dnaembed")

_CHUNK_BASES = 1 << 24
_CHUNK_SEQUENCES = 4096
# Tokenised at a time beside a device that computes: some batches.
_PART_BASES = 1 << 22
# Chunks that several workers share out: none waits long for the last, no message is large for Dask.
_SHARED_CHUNK_BASES = 1 << 22
_LEAST_CHUNK_BASES = 1 << 16
_CHUNKS_PER_WORKER = 4
# Of models that compute in one thread: the same chunks, and so the same bits, for any `n_jobs`.
_ONE_THREAD_BASES = 1 << 20

# Positions of windows, their features, and what the backbone made of these, unless yet to be made.
_Batch = tuple[list[int], list[np.ndarray], "dict[str, torch.Tensor] | None"]


@dataclass(frozen=True)
class EmbedOptions:
    """How a backbone reads sequences; `model` is its name in errors."""

    window_size: int | None = None
    both_strands: bool = False
    budget: int | None = None
    model: str = "(unnamed)"


@dataclass(frozen=True)
class ModelName:
    """Which model is meant, and where the hub's copy of it is kept; as in `load_backbone`."""

    name_or_path: str | PathLike[str]
    revision: str | None = None
    cache_dir: str | PathLike[str] | None = None
    local_files_only: bool = False

    def anywhere(self) -> ModelName:
        """Return a name that means the same model whatever the working directory."""
        folder = Path(self.name_or_path).expanduser()
        if str(self.name_or_path) not in ("default", *bundled_models()) and folder.is_dir():
            return replace(self, name_or_path=str(folder.resolve()))
        return self


@dataclass(frozen=True)
class ModelReference:
    """A few bytes that stand for a model in other processes; ``"auto"`` is their best device."""

    name: ModelName
    device: str
    dtype: str
    fingerprint: str

    def open(self) -> Backbone:
        """Return the model, loaded once in each process; raise if the name means another here."""
        backbone = shared_backbone(**vars(self.name), device=self.device, dtype=self.dtype)
        if backbone.fingerprint() != self.fingerprint:
            where = f"{str(self.name.name_or_path)!r} is another one on the worker"
            advice = "give all machines the same folder, or the same revision"
            raise ValueError(f"model {where} {socket.gethostname()}: {advice}.")
        return backbone


def refer(backbone: Backbone, name: ModelName | None, device: str) -> ModelReference:
    """Refer to a model; raise if it has no name, because its weights are in this process only."""
    if name is None:
        write = "Write it to a folder that all of them see (save_model), and give that"
        advice = f"{write} folder as model; or set n_jobs=1 to embed in this one."
        raise ValueError(f"Other processes cannot load a fine-tuned model. {advice}")
    return ModelReference(name.anywhere(), device, backbone.precision, backbone.fingerprint())


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
    places: Sequence[int] | None = None,
    *,
    n_jobs: int | None = None,
    name: ModelName | None = None,
    device: str = "auto",
) -> np.ndarray:
    """Embed normalised sequences, at least one: (len(sequences), embedding_size), float32.

    `places` are those of the sequences in the user's X, for errors. Other processes load the model
    by its `name`, None for one that they cannot get, onto `device`.
    """
    require = "sharedmem" if name is None and n_jobs == 1 else None
    backend, n_jobs = chunks_at_a_time(backbone, n_jobs, require)
    n_workers = backend.effective_n_jobs(n_jobs)
    # Like lengths share chunks, and so batches; the longest first, to meet a lack of memory early.
    order = sorted(range(len(sequences)), key=lambda i: -len(sequences[i]))
    alone = computes_in_one_thread(backbone)
    most_bases = _ONE_THREAD_BASES if alone else _chunk_bases(sequences, n_workers)
    chunks = list(_chunks(sequences, order, most_bases))
    model: Backbone | ModelReference = backbone
    n_here = min(n_workers, len(chunks))  # chunks at a time that share the cores of this machine
    if not getattr(backend, "supports_sharedmem", False):
        model, n_here = refer(backbone, name, device), 1
    n_threads = threads_of_a_chunk(backbone, n_here)
    ordered = "generator" if backend.supports_return_generator else "list"
    # A chunk is a task: joblib would put some together, into messages of unknown size.
    how: Any = {"prefer": "threads", "require": require, "return_as": ordered, "batch_size": 1}
    texts = ([sequences[i] for i in chunk] for chunk in chunks)
    tasks = (delayed(_embed_task)(model, some, options, n_threads) for some in texts)
    results = Parallel(n_jobs=n_jobs, **how)(tasks)
    embeddings = np.empty((len(sequences), backbone.embedding_size), dtype=np.float32)
    with progress(total=len(sequences), description="embedding", unit="seq") as bar:
        for chunk, rows in zip(chunks, results, strict=True):
            which = chunk if places is None else [places[i] for i in chunk]
            check_finite(rows, which, backbone.precision, options)
            embeddings[chunk] = rows
            bar.update(len(chunk))
    return embeddings


def chunks_at_a_time(
    backbone: Backbone, n_jobs: int | None, require: str | None = None
) -> tuple[Any, int]:
    """Return joblib's backend and jobs: None is as it was told, or one per core in one thread."""
    backend, told = get_active_backend(prefer="threads", require=require)
    if n_jobs == 0:
        raise ValueError("n_jobs (--jobs) is 0: expected 1 or more, or -1 for one per core.")
    if n_jobs is None and computes_in_one_thread(backbone) and told == 1:
        n_jobs = None if backend.nesting_level else available_cores()
    return backend, told if n_jobs is None else n_jobs


def computes_in_one_thread(backbone: Backbone) -> bool:
    """Whether chunks in threads of their own share the cores, not the operations of one chunk."""
    # Threads within small operations spin while they wait for each other.
    return not backbone.shares_operations and backbone.device_type == "cpu"


def threads_of_a_chunk(backbone: Backbone, n_chunks: int) -> int | None:
    """Share the cores between chunks at a time, as each with all of them would be slower."""
    if computes_in_one_thread(backbone):
        return 1
    return max(1, torch.get_num_threads() // n_chunks) if n_chunks > 1 else None


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
    backbone = model.open() if isinstance(model, ModelReference) else model
    with limit_threads(n_threads):
        return embed_strands(backbone, sequences, options)


def embed_strands(backbone: Backbone, sequences: list[str], options: EmbedOptions) -> np.ndarray:
    """Embed a chunk of sequences, in one thread, in memory that grows with their number."""
    both = options.both_strands and not backbone.strand_invariant
    strands = [*sequences, *map(reverse_complement, sequences)] if both else sequences
    parts = [split_windows(sequence, options.window_size) for sequence in strands]
    windows = list(chain.from_iterable(parts))
    owners = np.repeat(np.arange(len(parts)), list(map(len, parts)))
    rows = _embed_windows(backbone, windows, options.budget or backbone.default_budget)
    rows = pool_windows(rows, list(map(len, windows)), owners, len(strands))
    return (rows[: len(sequences)] + rows[len(sequences) :]) / 2 if both else rows


def split_windows(sequence: str, window_size: int | None) -> list[str]:
    """Cut a sequence into the fewest windows of at most `window_size` bases.

    They do not overlap, and their lengths differ by one base at most: none is a short, noisy rest.
    """
    length = len(sequence)
    if window_size is None or length <= window_size:
        return [sequence]
    n_windows = math.ceil(length / window_size)
    bounds = [i * length // n_windows for i in range(n_windows + 1)]
    return [sequence[a:b] for a, b in pairwise(bounds)]


def pool_windows(
    embeddings: np.ndarray,
    lengths: Sequence[int] | np.ndarray,
    owners: np.ndarray,
    n_sequences: int,
) -> np.ndarray:
    """Average the embeddings of windows, weighted by their lengths, into one row per sequence.

    `owners` are the sequences that the windows belong to, in ascending order, each at least once.
    The row of a sequence of one window is that window's, bit for bit.
    """
    if len(embeddings) == n_sequences:
        return embeddings
    weights = np.asarray(lengths, dtype=np.float64)
    starts = np.searchsorted(owners, np.arange(n_sequences))
    sums = np.add.reduceat(embeddings * weights[:, None], starts, axis=0)
    pooled = (sums / np.add.reduceat(weights, starts)[:, None]).astype(np.float32)
    single = np.diff(np.append(starts, len(embeddings))) == 1
    pooled[single] = embeddings[starts[single]]  # no rounding through weight and division
    return pooled


def _embed_windows(backbone: Backbone, windows: list[str], budget: int) -> np.ndarray:
    plain = backbone.embed_plainly(windows, budget)
    if plain is not None:
        return plain
    device = backbone.model.device
    ready = _batches(backbone, windows, budget)
    if _is_beside(device):
        ready = prefetch(ready, device=device)
    most = len(windows)  # in a batch; fewer once memory ran out

    def compute(batch: _Batch) -> list[tuple[list[int], torch.Tensor]]:
        nonlocal most
        outputs, pending = [], [batch]
        while pending:
            positions, features, tensors = pending.pop()
            n = len(positions)
            if n > most:
                parts = [slice(start, start + most) for start in range(0, n, most)]
                pending += [(positions[s], features[s], None) for s in parts]
                continue
            try:
                tensors = tensors or pin(backbone.pack(features), device)
                with torch.inference_mode():
                    rows = backbone.embed(to_device(tensors, device)).float()
                outputs.append((positions, rows))
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if n == 1:
                    what = f"a single window of {len(windows[positions[0]]):,} bp"
                    advice = "set a smaller window_size or device='cpu'"
                    raise MemoryError(f"out of memory on {what}; {advice}.") from error
                most = n // 2
                said = "Out of memory with %d windows in a batch; continuing with %d."
                logger.warning(said, n, most)
                if device.type == "cuda":
                    torch.cuda.empty_cache()
                pending.append((positions, features, None))
        return outputs

    with closing(_at_a_time(compute, ready, one=_is_beside(device) or backbone.pads)) as done:
        outputs = list(chain.from_iterable(done))
    # Fetched when all were asked for, so that the device never waits for the next batch.
    embeddings = np.empty((len(windows), backbone.embedding_size), dtype=np.float32)
    for positions, rows in outputs:
        embeddings[positions] = rows.cpu().numpy()
    return embeddings


def _at_a_time(
    compute: Callable[[_Batch], Any], batches: Generator[_Batch, None, None], *, one: bool
) -> Generator[Any, None, None]:
    """Compute batches one at a time, or as many as there are cores, which they share."""
    # A batch in one thread never waits for another thread, as it does within each operation.
    with closing(batches):
        some = list(islice(batches, 1 if one else torch.get_num_threads()))
        n_threads = torch.get_num_threads() // max(1, len(some))

        def limited(batch: _Batch) -> Any:
            with limit_threads(n_threads):
                return compute(batch)

        if len(some) > 1:
            yield from ahead(chain(some, batches), limited, n_threads=len(some), depth=0)
        else:
            yield from map(compute, chain(some, batches))


def check_finite(
    rows: np.ndarray, which: Sequence[int | str], precision: str, options: EmbedOptions
) -> None:
    """Raise if an embedding is not finite, and name its sequence and the model."""
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(bad):
        advice = "" if precision == "float32" else "; set dtype='float32'"
        what = f"gives NaN or infinity in {precision}{advice}"
        raise NotFiniteError(f"the model {printable(options.model)!r} {what}.", which[bad[0]])


def _is_beside(device: torch.device) -> bool:  # computes while the CPU does something else
    return device.type != "cpu"


def _batches(backbone: Backbone, windows: list[str], budget: int) -> Generator[_Batch, None, None]:
    # Part by part, so that a device has something to do while the rest is tokenised.
    device = backbone.model.device
    most_bases = _PART_BASES if _is_beside(device) else _CHUNK_BASES
    for part in _chunks(windows, range(len(windows)), most_bases):
        features = backbone.featurize([windows[i] for i in part])
        costs = [backbone.cost(f) for f in features]
        for batch in budget_batches(costs, budget, padded=backbone.pads):
            some = [features[i] for i in batch]
            yield [part[i] for i in batch], some, pin(backbone.pack(some), device)


def budget_batches(costs: Sequence[int], budget: int, *, padded: bool) -> list[list[int]]:
    """Group items so that each batch stays within a budget; an item over it is a batch alone.

    In a padded batch every item costs as much as the costliest. Returned are positions in `costs`,
    the costliest first, so that memory runs out, if it does, on the first batch.
    """
    batches: list[list[int]] = []
    left = price = 0
    for i in sorted(range(len(costs)), key=lambda i: -costs[i]):
        if not batches or (price if padded else costs[i]) > left:
            batches.append([])
            left, price = budget, max(1, costs[i])
        batches[-1].append(i)
        left -= price if padded else costs[i]
    return batches
