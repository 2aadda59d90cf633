"""Speed of the transformer on a CPU: ``python docs/benchmarks/transformer_speed.py -o FILE``.

An encoder of the size of DNABERT-S (random weights) on reads of 0.5 to 10 kb: the authors'
evaluation loop, written anew, beside ours in float32, and in bfloat16 where the processor has it.
The loop takes 20 reads at a time in the order of the file. As in the published code, linear layers
leave padding out, and attention is computed in plain operations on padded tensors, with ALiBi and
mask as one tensor of (reads, heads, length, length). Beside it, what sentence-transformers does:
reads sorted by length, a few at a time, padded, with PyTorch's fused attention. Rates count two
operations a multiplication: `GFLOP/s` as if each token attended to all tokens of its read, `GFLOP/s
done` what was multiplied in fact. The rate of float32 matrix products is measured between the
others, on the shapes of the model's layers. Layers cost the same, so `--layers` 12 takes three
times as long as 4, at the same ratios.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from _shared import (
    MemoryWatch,
    agreement,
    arguments,
    flops,
    random_reads,
    random_transformer,
    write_rows,
)
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from dnaembed.backbones import DnaBertBackbone, DnaBertConfig, DnaBertModel
from dnaembed.backbones._device import cpu_multiplies_bfloat16
from dnaembed.backbones.dnabert import alibi_slopes
from dnaembed.backbones.dnabert._modeling import DnaBertLayer
from dnaembed.embedding._engine import EmbedOptions, embed_sequences
from dnaembed.utils._threads import limit_threads

_COLUMNS = (
    "threads", "reads", "path", "tokens", "seconds", "kilobases per second", "times the loop",
    "times float32", "GFLOP/s", "GFLOP/s done", "GFLOP/s of products", "share of products",
    "peak memory in MB", "largest difference", "least cosine",
)  # fmt: skip
_BATCH, _SORTED_BATCH = 20, 4
_LENGTHS = (500, 1000, 2000, 5000, 10_000)
_ROWS = 2048
_INPUTS = ("input_ids", "attention_mask")


def authors_loop(backbone: DnaBertBackbone, sequences: Sequence[str]) -> np.ndarray:
    """Embed as the authors' evaluation does: batches of 20 in order, padded, plain attention."""
    rows = []
    with torch.inference_mode():
        for start in range(0, len(sequences), _BATCH):
            batch = backbone.collate(backbone.featurize(sequences[start : start + _BATCH]))
            ids, mask = (batch[name].to(backbone.model.device) for name in _INPUTS)
            rows.append(_padded_pass(backbone.model, ids, mask))
    return torch.cat(rows).cpu().numpy()


def padded_batches(backbone: DnaBertBackbone, sequences: Sequence[str]) -> np.ndarray:
    """Embed as sentence-transformers does: padded batches of reads of about one length."""
    out = np.empty((len(sequences), backbone.embedding_size), dtype=np.float32)
    order = sorted(range(len(sequences)), key=lambda i: -len(sequences[i]))
    with torch.inference_mode():
        for start in range(0, len(order), _SORTED_BATCH):
            some = order[start : start + _SORTED_BATCH]
            batch = backbone.collate(backbone.featurize([sequences[i] for i in some]))
            mask = batch["attention_mask"][:, :, None]
            hidden = backbone.model(**batch).last_hidden_state
            out[some] = ((hidden * mask).sum(dim=1) / mask.sum(dim=1)).float().numpy()
    return out


def _padded_pass(model: DnaBertModel, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    n, length = ids.shape
    inside = mask.bool()
    place = torch.arange(length, device=ids.device)
    slopes = alibi_slopes(model.config.num_attention_heads).to(ids.device)
    alibi = -slopes[:, None, None] * (place[:, None] - place).abs()
    bias = (1.0 - mask[:, None, None, :].float()) * -10_000.0 + alibi[None]
    hidden = model.embed_tokens(ids)[inside]
    for layer in model.encoder.layer:
        assert isinstance(layer, DnaBertLayer)
        heads = layer.n_heads
        padded = hidden.new_zeros(n, length, 3 * hidden.shape[1])
        padded[inside] = layer.attention.self.Wqkv(hidden)
        query, key, value = padded.view(n, length, 3, heads, -1).permute(2, 0, 3, 1, 4)
        scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1]) + bias
        context = (functional.softmax(scores, dim=-1) @ value).transpose(1, 2)
        hidden = layer.add_context(hidden, context.reshape(n, length, -1)[inside])
        hidden = layer.feed_forward(hidden)
    padded = hidden.new_zeros(n, length, hidden.shape[1])
    padded[inside] = hidden
    return padded.sum(dim=1) / mask.sum(dim=1, keepdim=True)


class _CountDone(TorchDispatchMode):
    """Count the operations of matrix products and of fused attention."""

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if "scaled_dot_product" in name:
            query, key = args[:2]
            self.flops += 4.0 * query.numel() * key.shape[2]
        elif name in ("mm", "addmm", "linear"):
            left, right = args[1:3] if name == "addmm" else args[:2]
            columns = right.shape[0] if name == "linear" else right.shape[1]
            self.flops += 2.0 * left.numel() * columns
        return func(*args, **(kwargs or {}))


def product_rate(config: DnaBertConfig) -> float:
    """GFLOP/s of float32 matrix products with the shapes of a layer's weights."""
    hidden, inner = config.hidden_size, config.intermediate_size
    shapes = ((hidden, 3 * hidden), (hidden, hidden), (hidden, 2 * inner), (inner, hidden))
    seconds = 0.0
    with torch.inference_mode():
        for n_in, n_out in shapes:
            rows, weights = torch.ones(_ROWS, n_in), torch.ones(n_out, n_in)
            out = torch.empty(_ROWS, n_out)
            times = []
            for _ in range(4):
                start = time.perf_counter()
                torch.mm(rows, weights.t(), out=out)
                times.append(time.perf_counter() - start)
            seconds += min(times)
    return 2.0 * _ROWS * sum(a * b for a, b in shapes) / seconds / 1e9


def measure(
    n_reads: int = 20,
    *,
    threads: Sequence[int] = (1, 2),
    config: DnaBertConfig | None = None,
    lengths: Sequence[int] = _LENGTHS,
    seed: int = 0,
) -> list[dict[str, str]]:
    """Time the paths on reads of mixed lengths, and ours on reads of each length."""
    config = DnaBertConfig() if config is None else config
    rng = np.random.default_rng(seed)
    spread = np.linspace(min(lengths), max(lengths), n_reads).astype(int)
    mixed = random_reads(rng, rng.permutation(spread))
    exact = random_transformer(random_reads(rng, [5000] * 200), config, seed=seed)
    half = deepcopy(exact)
    half.model.to(torch.bfloat16)
    rows = []
    for n_threads in threads:
        with _threads(n_threads):
            rates = [product_rate(config)]
            results = {}
            for path, run in (
                ("authors' loop", lambda: authors_loop(exact, mixed)),
                ("padded batches", lambda: padded_batches(exact, mixed)),
                ("float32", lambda: _ours(exact, mixed)),
                ("bfloat16", lambda: _ours(half, mixed)),
            )[: 4 if cpu_multiplies_bfloat16() else 3]:
                if path in ("float32", "bfloat16"):
                    # The first pass is slower: its memory is not mapped yet.
                    _ours(exact if path == "float32" else half, mixed)
                results[path] = _timed(run)
                rates.append(product_rate(config))
            rate = max(rates)
            for path, (embeddings, seconds, memory) in results.items():
                row = _row(exact, mixed, seconds, rate, n_threads, "mixed lengths", path)
                reference, loop_seconds, _ = results["authors' loop"]
                difference, cosine = agreement(embeddings, reference)
                row |= {
                    "times the loop": f"{loop_seconds / seconds:.2f}",
                    "times float32": f"{results['float32'][1] / seconds:.2f}",
                    "peak memory in MB": f"{memory / 1e6:.0f}",
                    "largest difference": f"{difference:.1e}",
                    "least cosine": f"{cosine:.6f}",
                }
                rows.append(row)
            for length in lengths:
                reads = random_reads(rng, [length] * max(1, 20_000 // length))
                _ours(exact, reads)
                _, seconds, memory = _timed(lambda reads=reads: _ours(exact, reads))  # type: ignore[misc]
                name = f"{len(reads)} of {length} bp"
                row = _row(exact, reads, seconds, rate, n_threads, name, "float32")
                rows.append(row | {"peak memory in MB": f"{memory / 1e6:.0f}"})
    return rows


def _row(
    backbone: DnaBertBackbone,
    reads: Sequence[str],
    seconds: float,
    rate: float,
    n_threads: int,
    name: str,
    path: str,
) -> dict[str, str]:
    tokens = [len(ids) for ids in backbone.featurize(reads)]
    kilobases = sum(map(len, reads)) / 1e3
    row = {"threads": str(n_threads), "reads": name, "path": path, "tokens": str(sum(tokens))}
    row |= {"seconds": f"{seconds:.3f}", "kilobases per second": f"{kilobases / seconds:.2f}"}
    row["GFLOP/s"] = f"{flops(backbone.model.config, tokens) / seconds / 1e9:.1f}"
    row["GFLOP/s of products"] = f"{rate:.1f}"
    if path == "float32":
        with limit_threads(1), _CountDone() as count:  # which sees one thread
            _ours(backbone, reads)
        done = count.flops / seconds / 1e9
        row |= {"GFLOP/s done": f"{done:.1f}", "share of products": f"{done / rate:.3f}"}
    return row


def _ours(backbone: DnaBertBackbone, reads: Sequence[str]) -> np.ndarray:
    return embed_sequences(backbone, reads, EmbedOptions())


def _timed(run: Callable[[], np.ndarray]) -> tuple[np.ndarray, float, float]:
    """Result, seconds, and bytes of memory above those at the start."""
    with MemoryWatch() as memory:
        start = time.perf_counter()
        result = run()
        seconds = time.perf_counter() - start
    return result, seconds, float(memory.growth)


@contextmanager
def _threads(n_threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark from the command line."""
    parser = arguments(__doc__, output="CSV file")
    parser.add_argument("--reads", type=int, default=20, help="of 0.5 to 10 kb (default: 20)")
    parser.add_argument("--layers", type=int, default=4, help="of the encoder (default: 4 of 12)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="(default: 1 2)")
    args = parser.parse_args(argv)
    config = DnaBertConfig(num_hidden_layers=args.layers)
    rows = measure(args.reads, threads=args.threads, config=config)
    write_rows(args.output, _COLUMNS, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
