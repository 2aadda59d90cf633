"""What a GPU makes of it: ``python docs/benchmarks/gpu.py -o docs/results/gpu.csv``.

An encoder of the size of DNABERT-S on reads of 2 kb and 10 kb: the loop of the authors' evaluation
script (padded batches of 20 in the order of the file, attention and its bias in plain operations,
float32) beside ours in each precision and with other batches. Every case says
how much it computes a second beside plain matrix products in bfloat16, and how far its embeddings
are from those of the authors' loop. A case that fails is a row that says why; cases for which the
time is up are rows that say so.

Weights are random unless ``--model`` names a folder. Speed is the same, but for what attention
skips: random weights attend to nothing in particular, which lets it skip the most.
"""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from _shared import agreement, arguments, flops, random_reads, random_transformer, write_rows
from transformer_speed import authors_loop

from dnaembed.backbones import DnaBertBackbone
from dnaembed.backbones._device import resolve_device
from dnaembed.embedding._engine import EmbedOptions, embed_sequences

_COLUMNS = (
    "case", "read length", "reads", "dtype", "tokens in a batch", "seconds", "megabases per second",
    "times the authors' loop", "TFLOP/s", "share of matrix products", "largest difference",
    "least cosine", "peak memory in GB", "note",
)  # fmt: skip
# Seconds after which a case is not run again.
_LONG = 15.0


@dataclass(frozen=True)
class Case:
    """One way to embed."""

    name: str
    dtype: str = "bfloat16"
    budget: int | None = None


CASES = (
    Case("ours", "float32"),
    Case("ours"),
    Case("ours", "float16"),
    *(Case("ours, other batches", budget=1 << power) for power in (13, 14, 16, 17)),
)


def matmul_rate(device: torch.device, size: int) -> float:
    """Floating-point operations a second of square matrix products in bfloat16."""
    a, b = (torch.ones(size, size, dtype=torch.bfloat16, device=device) for _ in range(2))
    n = 20 if device.type == "cuda" else 2

    def multiply() -> None:
        for _ in range(n):
            a @ b

    return 2 * n * size**3 / min(_seconds(multiply, device) for _ in range(3))


def measure(
    backbone: DnaBertBackbone,
    *,
    megabases: float = 8.0,
    lengths: Sequence[int] = (2_000, 10_000),
    cases: Sequence[Case] = CASES,
    repeats: int = 3,
    limit: float = 420.0,
    matmul_size: int = 8192,
    seed: int = 0,
) -> list[dict[str, str]]:
    """Time the cases on random reads of each length, on the device where the model is."""
    deadline = time.perf_counter() + limit
    device = backbone.model.device
    peak = matmul_rate(device, matmul_size)
    machine = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    note = f"{machine}, torch {torch.__version__}: {peak / 1e12:.4g} TFLOP/s in bfloat16"
    rows = [{"case": "matrix products", "dtype": "bfloat16", "note": note}]
    rng = np.random.default_rng(seed)
    for length in lengths:
        n_reads = max(4, round(megabases * 1e6 / length))
        reads = random_reads(rng, rng.integers(length * 4 // 5, length * 6 // 5 + 1, n_reads))
        few = reads[: max(2, len(reads) // 4)]
        tokens = [len(ids) for ids in backbone.featurize(reads)]
        operations = flops(backbone.model.config, tokens)
        reference: np.ndarray | None = None
        loop: float | None = None
        for case in (Case("authors' loop", "float32"), *cases):
            authors = case.name == "authors' loop"
            row = {"case": case.name, "read length": str(length), "dtype": case.dtype}
            rows.append(row)
            if time.perf_counter() > deadline:
                row["note"] = "not run: the time was up"
                continue
            used = few if authors else reads
            try:
                with _precision(backbone, case.dtype):
                    if authors:
                        embed = partial(authors_loop, backbone, used)
                    else:
                        options = EmbedOptions(budget=case.budget)
                        embed = partial(embed_sequences, backbone, used, options)
                    embeddings, seconds, memory = _fastest(embed, device, repeats)
            except (RuntimeError, MemoryError) as error:
                row["note"] = f"failed: {str(error).strip().splitlines()[0]}"
                continue
            finally:
                if device.type == "cuda":
                    torch.cuda.empty_cache()
            bases = sum(map(len, used))
            rate = bases / 1e6 / seconds
            done = operations * bases / sum(map(len, reads)) / seconds
            budget = case.budget or backbone.default_budget
            row |= {
                "reads": str(len(used)),
                "tokens in a batch": "20 reads" if authors else str(budget),
                "seconds": f"{seconds:.4g}",
                "megabases per second": f"{rate:.4g}",
                "TFLOP/s": f"{done / 1e12:.4g}",
                "share of matrix products": f"{done / peak:.3f}",
                "peak memory in GB": f"{memory / 1e9:.3g}" if memory else "",
            }
            if authors:
                reference, loop = embeddings, rate
            if loop is not None and reference is not None:
                row["times the authors' loop"] = f"{rate / loop:.4g}"
                difference, cosine = agreement(embeddings[: len(reference)], reference)
                row |= {"largest difference": f"{difference:.3g}", "least cosine": f"{cosine:.6f}"}
    return rows


@contextmanager
def _precision(backbone: DnaBertBackbone, dtype: str) -> Iterator[None]:
    """Set the precision for one case; put it back."""
    # Float32 is kept beside: what another precision has rounded off does not come back.
    weights = {name: tensor.clone() for name, tensor in backbone.model.state_dict().items()}
    try:
        backbone.model.to(getattr(torch, dtype))
        yield
    finally:
        backbone.model.to(torch.float32)
        backbone.model.load_state_dict(weights)


def _fastest(
    embed: Callable[[], np.ndarray], device: torch.device, repeats: int
) -> tuple[np.ndarray, float, int]:
    """Embeddings, seconds of the fastest run, and bytes of the device's memory at most."""
    embeddings = embed()  # compiles, too
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    seconds: list[float] = []
    while len(seconds) < repeats and sum(seconds) < _LONG:
        seconds.append(_seconds(embed, device))
    memory = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
    return embeddings, min(seconds), memory


def _seconds(run: Callable[[], object], device: torch.device) -> float:
    _synchronize(device)
    start = time.perf_counter()
    run()
    _synchronize(device)
    return time.perf_counter() - start


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark from the command line."""
    parser = arguments(__doc__, output="CSV file")
    parser.add_argument("--device", default="cuda", help="where to compute (default: cuda)")
    parser.add_argument("--model", help="folder of a transformer (default: random weights)")
    parser.add_argument(
        "--megabases", type=float, default=8.0, help="of reads of each length (default: 8)"
    )
    parser.add_argument(
        "--lengths",
        type=int,
        nargs="+",
        default=[2_000, 10_000],
        help="of the reads, in bp (default: 2000 10000)",
    )
    parser.add_argument("--repeats", type=int, default=3, help="runs of each case (default: 3)")
    parser.add_argument(
        "--limit", type=float, default=420.0, help="seconds to begin cases in (default: 420)"
    )
    args = parser.parse_args(argv)
    try:
        device = resolve_device(args.device)
    except ValueError as error:
        parser.error(str(error))
    if args.model is None:
        backbone = random_transformer(random_reads(np.random.default_rng(1), [5_000] * 100))
    else:
        backbone = DnaBertBackbone.from_folder(args.model)
    backbone.model.to(device)
    matmul_size = 8192 if device.type == "cuda" else 512
    rows = measure(
        backbone,
        megabases=args.megabases,
        lengths=args.lengths,
        repeats=args.repeats,
        limit=args.limit,
        matmul_size=matmul_size,
    )
    write_rows(args.output, _COLUMNS, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
