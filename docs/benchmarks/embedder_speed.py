"""How fast embedders are in memory: ``python docs/benchmarks/embedder_speed.py -o FILE.csv``.

The bundled model, the k-mer embedders and a transformer of the size of DNABERT-S beside the plain
Python loop over tetranucleotides that evaluation scripts use, on one thread, in one run. The
transformer's weights are random, which does not change its speed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
from _shared import arguments, random_reads, random_transformer, write_rows
from threadpoolctl import threadpool_limits

from dnaembed.embedding._embedder import DNABertSEmbedder
from dnaembed.embedding._engine import EmbedOptions, embed_sequences
from dnaembed.embedding._kmer_embedder import KmerEmbedder

_COLUMNS = ("embedder", "reads", "megabases", "seconds", "megabases per second", "times the loop")
_LENGTH = 5000


def python_loop_tnf(sequences: Sequence[str]) -> np.ndarray:
    """Count tetranucleotides by a loop over the bases: the peer of all others."""
    order = {"".join(kmer): i for i, kmer in enumerate(product("ATCG", repeat=4))}
    frequencies = np.zeros((len(sequences), 256))
    for row, sequence in zip(frequencies, sequences, strict=True):
        for start in range(len(sequence) - 3):
            column = order.get(sequence[start : start + 4])
            if column is not None:
                row[column] += 1
        row /= max(1, row.sum())
    return frequencies


def measure(n_reads: int = 2000, *, repeats: int = 3, seed: int = 0) -> list[dict[str, str]]:
    """Time each embedder on random reads of 5 kb; the slow ones on fewer of them."""
    rng = np.random.default_rng(seed)
    reads = random_reads(rng, [_LENGTH] * n_reads)
    bundled = DNABertSEmbedder(cache=None, device="cpu").fit(reads[:1])
    transformer = random_transformer(reads[:100])
    embedders: dict[str, tuple[Callable[[Sequence[str]], object], int]] = {
        "raw TNF, Python loop": (python_loop_tnf, max(1, n_reads // 50)),
        "raw TNF": (KmerEmbedder(method="raw").fit(reads[:1]).transform, n_reads),
        "canonical TNF": (KmerEmbedder().fit(reads[:1]).transform, n_reads),
        "bundled model": (bundled.transform, n_reads),
        "transformer of 117 M parameters": (
            lambda part: embed_sequences(transformer, part, EmbedOptions()),
            max(1, n_reads // 1000),
        ),
    }
    rows: list[dict[str, str]] = []
    loop = 0.0
    with threadpool_limits(1):
        for name, (embed, n) in embedders.items():
            seconds = _median_seconds(embed, reads[:n], repeats)
            rate = n * _LENGTH / 1e6 / seconds
            loop = loop or rate
            values = (name, n, n * _LENGTH / 1e6, seconds, rate, rate / loop)
            texts = [value if isinstance(value, str) else f"{value:.4g}" for value in values]
            rows.append(dict(zip(_COLUMNS, texts, strict=True)))
    return rows


def _median_seconds(
    embed: Callable[[Sequence[str]], object], reads: Sequence[str], repeats: int
) -> float:
    embed(reads)
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        embed(reads)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark from the command line."""
    parser = arguments(__doc__, output="CSV file")
    parser.add_argument("--reads", type=int, default=2000, help="of 5 kb (default: 2000)")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each (default: 3)")
    args = parser.parse_args(argv)
    write_rows(args.output, _COLUMNS, measure(args.reads, repeats=args.repeats))
    return 0


if __name__ == "__main__":
    sys.exit(main())
