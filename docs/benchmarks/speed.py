"""How fast everything is: ``python docs/benchmarks/speed.py -o docs/results``.

One run, one machine: files to embeddings, embedders in memory, a transformer on the CPU, clusters
and bins, each beside its peers. Nothing else should be running. `--only` chooses parts; the GPU has
a benchmark of its own, ``python docs/benchmarks/gpu.py``.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from _shared import arguments

from dnaembed.utils._atomic import atomic_output

#: Module and table of each part.
PARTS = {
    "peers": "peer_speed",
    "files": "file_speed",
    "embedders": "embedder_speed",
    "transformer": "transformer_speed",
    "clusters": "clustering_speed",
}
_PACKAGES = ("numpy", "numba", "torch", "scikit-learn", "dnaio", "transformers")


def machine() -> str:
    """Describe the machine and the versions of what does the work, in one line."""
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in _PACKAGES)
    return (
        f"{_processor()}, {os.cpu_count()} cores, {platform.system()}, "
        f"Python {platform.python_version()}, {versions}"
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the parts one after the other, each in a process of its own."""
    parser = arguments(__doc__, output="folder for the CSV files")
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, default=list(PARTS), help="parts (default: all)"
    )
    args = parser.parse_args(argv)
    folder = args.output
    folder.mkdir(parents=True, exist_ok=True)
    for part in args.only:
        script = Path(__file__).with_name(f"{PARTS[part]}.py")
        command = [str(script), "-o", str(folder / f"speed_{part}.csv")]
        subprocess.run([sys.executable, *command], check=True)
    with atomic_output(folder / "speed_machine.txt") as beside:
        beside.write_text(machine() + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
