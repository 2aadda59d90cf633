"""How fast files become embeddings: ``python docs/benchmarks/file_speed.py -o FILE.csv``.

Reads in FASTA.gz go to float32 embeddings of the bundled model on disk, beside what only reads
them, what only reads and counts, and the loop over bases that evaluation scripts use. Each case
runs in a process of its own, bound to its cores, after a warm-up; the median of some runs is kept.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from _shared import arguments, write_rows
from embedder_speed import python_loop_tnf

from dnaembed.backbones._device import cpu_multiplies_bfloat16
from dnaembed.composition import kmer_counts
from dnaembed.io import iter_sequences

COLUMNS = (
    "case", "cores", "reads", "length", "megabases", "seconds", "megabases per second",
    "times the loop", "peak megabytes",
)  # fmt: skip
_LOOP = "TNF by a Python loop"
_READ = "reading alone (dnaio)"
_READ_AND_COUNT = "reading (dnaio) and counting"
_EMBED = "embed_file"
_EMBED_BFLOAT16 = "embed_file in bfloat16"
_STREAM = "embed_file of a stream"


def measure(
    *, n_reads: int = 20_000, stream_megabases: int = 10_000, repeats: int = 3, seed: int = 0
) -> list[dict[str, str]]:
    """Time all cases, the ones that compare at 5 kb."""
    n_cores = min(2, len(_cores()))
    cases = [(_LOOP, 1, max(1, n_reads // 100), 5000)]
    cases += [(name, 1, n_reads, 5000) for name in (_READ, _READ_AND_COUNT)]
    cases += [(_EMBED, cores, n_reads, 5000) for cores in range(1, n_cores + 1)]
    cases += [(_EMBED_BFLOAT16, 1, n_reads, 5000)] * cpu_multiplies_bfloat16()
    cases += [(_EMBED, 1, max(1, n_reads // part), 5000) for part in (4, 2)]
    cases += [
        (_EMBED, 1, max(1, n_reads * 5000 // length), length)
        for length in (500, 1000, 20_000, 100_000)
    ]
    if stream_megabases:
        cases.append((_STREAM, n_cores, stream_megabases * 200, 5000))
    rows: list[dict[str, str]] = []
    loop = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for name, cores, n, length in cases:
            path = Path(folder, f"{n}x{length}.fa.gz")
            if name != _STREAM and not path.exists():
                _write_reads(path, n, length, seed)
            case = (name, cores, n, length)
            found = _run(case, path, 1 if name == _STREAM else repeats)
            rate = n * length / 1e6 / found["seconds"]
            loop = loop or rate
            numbers = (n * length / 1e6, found["seconds"], rate, rate / loop, found["peak"])
            values = (*case, *(f"{number:.4g}" for number in numbers))
            rows.append(dict(zip(COLUMNS, map(str, values), strict=True)))
    return rows


def _cores() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _letters(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.frombuffer(b"ACGT", dtype=np.uint8)[rng.integers(0, 4, n)]


def _write_reads(path: Path, n_reads: int, length: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    with gzip.open(path, "wb", 6) as file:
        for i in range(n_reads):
            file.write(b">read_%d of many\n%s\n" % (i, _letters(rng, length).tobytes()))


class GeneratedReads(io.RawIOBase):
    """A FASTA stream of any size that takes no memory: the same bases under ever new names."""

    name = "generated reads"

    def __init__(self, n_reads: int, length: int) -> None:
        bases = _letters(np.random.default_rng(0), 64 * length).tobytes()
        self._bases = [bases[i * length : (i + 1) * length] for i in range(64)]
        self._records = iter(range(n_reads))
        self._rest = b""

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer with as much as is left, or as fits."""
        pieces = [self._rest]
        size = len(self._rest)
        while size < len(buffer) and (i := next(self._records, None)) is not None:
            pieces.append(b">read_%d\n%s\n" % (i, self._bases[i % 64]))
            size += len(pieces[-1])
        text = b"".join(pieces)
        n = min(len(buffer), size)
        buffer[:n], self._rest = text[:n], text[n:]
        return n


def _run(case: tuple[Any, ...], path: Path, repeats: int) -> dict[str, float]:
    command = [sys.executable, __file__, "-o", "-", "--case", *case, path, repeats]
    environment = os.environ | {"OMP_NUM_THREADS": str(case[1])}
    done = subprocess.run(
        list(map(str, command)), env=environment, stdout=subprocess.PIPE, check=True
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _case(
    name: str, cores: int, n_reads: int, length: int, path: str, repeats: int
) -> dict[str, float]:
    """Time one case in this process."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, _cores()[:cores])
    work: Callable[[Any], object] = _WORK[name]
    source: Any = path
    small = io.BytesIO(b">a\nACGTTGCA\n>b\nGGGATTACA\n")
    small.name = "warm-up"  # type: ignore[attr-defined]
    work(small)
    seconds = []
    for _ in range(repeats):
        if name == _STREAM:
            source = GeneratedReads(n_reads, length)
        start = time.perf_counter()
        work(source)
        seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": float(np.median(seconds)), "peak": peak}


def _chunks(source: Any) -> Iterator[list[str]]:
    chunk: list[str] = []
    for _, sequence in iter_sequences(source):
        chunk.append(sequence)
        if len(chunk) == 1000:
            yield chunk
            chunk = []
    yield chunk


def _loop(source: Any) -> None:
    for chunk in _chunks(source):
        python_loop_tnf(chunk)


def _read(source: Any) -> None:
    for _ in iter_sequences(source):
        pass


def _read_and_count(source: Any) -> None:
    for chunk in _chunks(source):
        kmer_counts(chunk, 4)


def _embed(source: Any, dtype: str = "float32") -> None:
    from dnaembed import DNABertSEmbedder

    n_jobs = len(_cores())
    with tempfile.TemporaryDirectory() as folder:
        embedder = DNABertSEmbedder(device="cpu", dtype=dtype, cache=None, n_jobs=n_jobs)
        embedder.embed_file(source, Path(folder, "rows.npy"))


_WORK: dict[str, Callable[[Any], object]] = {
    _LOOP: _loop,
    _READ: _read,
    _READ_AND_COUNT: _read_and_count,
    _EMBED: _embed,
    _EMBED_BFLOAT16: partial(_embed, dtype="bfloat16"),
    _STREAM: _embed,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark from the command line."""
    parser = arguments(__doc__, output="CSV file")
    parser.add_argument("--reads", type=int, default=20_000, help="of 5 kb (default: 20,000)")
    parser.add_argument(
        "--stream", type=int, default=10_000, metavar="MBP", help="size of the stream; 0: none"
    )
    parser.add_argument("--repeats", type=int, default=3, help="runs of each (default: 3)")
    parser.add_argument("--case", nargs=6, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.case:
        name, cores, n_reads, length, path, repeats = args.case
        found = _case(name, int(cores), int(n_reads), int(length), path, int(repeats))
        sys.stdout.write(json.dumps(found))
        return 0
    rows = measure(n_reads=args.reads, stream_megabases=args.stream, repeats=args.repeats)
    write_rows(args.output, COLUMNS, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
