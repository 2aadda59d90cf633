"""CPU time beside peers and a version before: ``python docs/benchmarks/peer_speed.py -o FILE``.

Each case runs in a process of its own, bound to its cores, after a warm-up. The peers read the same
FASTA file, plain, as not all of them take gzip. seqkit, SemiBin 2 and VAMB are left out where they
are not installed; ``--before FOLDER`` is a checkout of an earlier version, which takes turns with
this one. Parts that `--only` leaves out keep the rows that they have in the table.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from _shared import arguments, random_reads, read_rows, write_rows

from dnaembed.backbones._device import cpu_multiplies_bfloat16

COLUMNS = (
    "ratio", "part", "case", "version", "reads", "length", "cores", "machine", "least CPU seconds",
    "median CPU seconds", "least seconds", "reads per CPU second", "Mbp per CPU second",
)  # fmt: skip
_BASES = 10_000_000
_TURNS = 2  # of the versions, each of some runs
_LENGTHS = (150, 500, 5000, 50_000)
_HERE = Path(__file__).resolve().parents[2]
# What is timed, with `path` a file of reads.
_SETUP = {
    "reading (dnaio)": "import dnaio\ndef work(path): return sum(len(r) for r in dnaio.open(path))",
    "seqkit stats": (
        "import subprocess\n"
        "def work(path): subprocess.run(['seqkit', 'stats', '-j1', path], check=True, stdout=-3)"
    ),
    "TNF by a Python loop": (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import dnaio\nfrom embedder_speed import python_loop_tnf\n"
        "def work(path): python_loop_tnf([r.sequence for r in dnaio.open(path)])"
    ),
    "composition of SemiBin 2": (
        "from SemiBin.generate_kmer import generate_kmer_features_from_fasta as f\n"
        "def work(path): f(path, 0, 4)"
    ),
    "composition of VAMB": (
        "from loguru import logger; logger.remove()\nfrom vamb.parsecontigs import Composition\n"
        "def work(path):\n    with open(path, 'rb') as file: Composition.from_file(file, path, 100)"
    ),
    "reading and counting (dnaembed)": (
        "from dnaembed.io import iter_sequences\nfrom dnaembed.composition import kmer_counts\n"
        "def work(path): kmer_counts([s for _, s in iter_sequences(path)], 4)"
    ),
    "embed": (
        "from dnaembed import DNABertSEmbedder\nimport os, tempfile\n"
        "def work(path):\n    with tempfile.TemporaryDirectory() as to:\n"
        "        e = DNABertSEmbedder({model!r}, device='cpu', dtype={dtype!r}, cache=None)\n"
        "        e.embed_file(path, os.path.join(to, 'rows.npy'))"
    ),
}
_TIMING = """
import json, os, resource, sys, time
def cpu():
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)
path, warm, repeats, cores = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
exec(os.environ["SETUP"])
work(warm)
found = []
for _ in range(repeats):
    start = cpu(), time.perf_counter()
    work(path)
    found.append((cpu() - start[0], time.perf_counter() - start[1]))
print(json.dumps(found))
"""


def _time(
    setup: str, path: Path, warm: Path, repeats: int, cores: int, package: Path
) -> np.ndarray:
    """Return CPU and wall seconds of each run, (repeats, 2); none where a peer is not there."""
    environment = os.environ | {"SETUP": setup}
    environment["PYTHONPATH"] = os.pathsep.join([str(package), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", _TIMING, str(path), str(warm), str(repeats), str(cores)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stderr.strip().split("\n")[-1], file=sys.stderr)
        return np.empty((0, 2))
    return np.array(json.loads(done.stdout.strip().split("\n")[-1]))


@contextmanager
def _busy(n: int):  # type: ignore[no-untyped-def]
    """Let as many other processes as there are cores want them all."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(n)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def _start(package: Path, repeats: int, model: str) -> np.ndarray:
    """Time ``dnaembed embed`` of the demo reads, as a command."""
    reads = package / "dnaembed/datasets/data/demo_reads.fasta.gz"
    found = []
    environment = os.environ | {"PYTHONPATH": str(package)}
    with tempfile.TemporaryDirectory() as folder:
        for i in range(repeats + 1):  # the first compiles
            to = str(Path(folder, f"{i}.npy"))
            command = ["-m", "dnaembed", "embed", str(reads), "-o", to, "-q", "--model", model]
            start, wall = os.times(), time.perf_counter()
            subprocess.run([sys.executable, *command], env=environment, check=True, cwd=folder)
            end = os.times()
            cpu = end[2] + end[3] - start[2] - start[3]
            found.append((cpu, time.perf_counter() - wall))
    return np.array(found[1:])


def measure(
    parts: Sequence[str], before: Path | None, repeats: int, bases: int, seed: int = 0
) -> list[dict[str, str]]:
    """Time all cases of some parts."""
    rows: list[dict[str, str]] = []
    versions = {"before": before, "now": _HERE} if before else {"now": _HERE}
    models = _HERE / "dnaembed/models"

    def add(part: str, case: str, version: str, n: int, length: int, cores: int, machine: str,
            found: np.ndarray) -> None:  # fmt: skip
        if not len(found):
            return
        least, median = found[:, 0].min(), np.median(found[:, 0])
        numbers = (least, median, found[:, 1].min(), n / median, n * length / median / 1e6)
        cells = (part, case, version, n, length, cores, machine, *(f"{x:.4g}" for x in numbers))
        rows.append(dict(zip(COLUMNS[1:], map(str, cells), strict=True)))
        print(*cells, flush=True)

    def embed(model: str, dtype: str = "float32") -> str:
        return _SETUP["embed"].format(model=str(models / model), dtype=dtype)

    def together(setup: str, path: Path, cores: int) -> dict[str, np.ndarray]:
        turns = [
            {v: _time(setup, path, warm, repeats, cores, at) for v, at in versions.items() if at}
            for _ in range(_TURNS)
        ]
        return {v: np.concatenate([turn[v] for turn in turns]) for v in versions}

    with tempfile.TemporaryDirectory() as folder:
        rng = np.random.default_rng(seed)
        files = {}
        for name, n, length in [
            ("warm", 3, 500), ("slow", bases // 100_000, 5000),
            *((str(length), bases // length // (1 if length > 1000 else 8), length)
              for length in _LENGTHS),
        ]:  # fmt: skip
            files[name] = path = Path(folder, f"{name}.fa"), n
            reads = random_reads(rng, [length] * n)
            path[0].write_text("".join(f">r{i}\n{read}\n" for i, read in enumerate(reads)))
        warm = files["warm"][0]
        if "peers" in parts:
            for case, setup in _SETUP.items():
                path, n = files["slow" if "loop" in case or "SemiBin" in case else "5000"]
                setups = {case: setup}
                if case == "embed":
                    setups = {
                        f"{case}, {model}, {dtype}": embed(model, dtype)
                        for model in ("kmer-profile-1", "kmer-profile-2")
                        for dtype in ("float32", "bfloat16")[: 1 + cpu_multiplies_bfloat16()]
                    }
                for name, text in setups.items():
                    found = _time(text, path, warm, repeats, 1, _HERE)
                    add("peers", name, "now", n, 5000, 1, "as found", found)
        if "lengths" in parts:
            for model in ("kmer-profile-1", "kmer-profile-2"):
                for length in _LENGTHS:
                    path, n = files[str(length)]
                    for version, found in together(embed(model), path, 1).items():
                        add("lengths", f"embed, {model}", version, n, length, 1, "as found", found)
        if "threads" in parts:
            path, n = files["5000"]
            for cores in range(1, len(os.sched_getaffinity(0)) + 1):
                found = _time(embed("kmer-profile-2"), path, warm, repeats, cores, _HERE)
                case = "embed, kmer-profile-2"
                add("threads", case, "now", n, 5000, cores, "as found", found)
        if "busy" in parts:
            n_cores = len(os.sched_getaffinity(0))
            path, n = files["5000"]
            for model in ("kmer-profile-2",):
                for machine, n_others in (("as found", 0), ("and a busy loop per core", n_cores)):
                    with _busy(n_others):
                        for version, found in together(embed(model), path, n_cores).items():
                            add(
                                "busy", f"embed, {model}", version, n, 5000, n_cores, machine, found
                            )
        if "start" in parts:
            for model in ("kmer-profile-1", "kmer-profile-2"):
                for version, package in versions.items():
                    if package:
                        found = _start(package, repeats, str(models / model))
                        add("start", f"embed, {model}", version, 350, 0, 0, "as found", found)
    return rows


def ratios(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Add how many times faster a row is than the loop, the version before, or the first row.

    By CPU time; of several threads by the clock.
    """

    def rate(row: dict[str, str]) -> float:
        if row["part"] == "threads":
            return 1 / float(row["least seconds"])
        return float(row["reads per CPU second"]) * max(1, int(row["length"]))

    for row in rows:
        same = [r for r in rows if (r["part"], r["case"], r["length"]) ==
                (row["part"], row["case"], row["length"])]  # fmt: skip
        if row["part"] == "peers":
            base = [r for r in rows if r["part"] == "peers" and "loop" in r["case"]]
        elif row["part"] in ("busy", "threads"):
            base = [r for r in same if r["version"] == row["version"]][:1]
        else:
            base = [r for r in same if r["version"] == "before"]
        row["ratio"] = f"{rate(row) / rate(base[0]):.3g}" if base else ""
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark from the command line."""
    parser = arguments(__doc__, output="CSV file")
    parts = ("peers", "lengths", "threads", "busy", "start")
    parser.add_argument("--only", nargs="+", choices=parts, default=list(parts))
    parser.add_argument("--before", type=Path, help="checkout of an earlier version")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each (default: 3)")
    parser.add_argument("--bases", type=int, default=_BASES, help="of a file (default: 10 million)")
    args = parser.parse_args(argv)
    before = args.before.resolve() if args.before else None
    kept = [row for row in read_rows(args.output) if row["part"] not in args.only]
    rows = kept + measure(args.only, before, args.repeats, args.bases)
    write_rows(args.output, COLUMNS, ratios(sorted(rows, key=lambda r: parts.index(r["part"]))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
