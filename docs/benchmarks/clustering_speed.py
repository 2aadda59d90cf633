"""Time and memory of clusters and bins: ``python docs/benchmarks/clustering_speed.py -o FILE``.

Rows that lie as embeddings of reads do are clustered by K-means and binned without a number of
bins, in one half and the whole of a number of rows, each in a process of its own that reads them
from disk; the graph of approximate neighbours also of ten times as many. Their bins are compared
with those of exact neighbours. Beside them stand scikit-learn's K-means, and the K-medoid of the
DNABERT-S paper with all similarities in memory, on fewer rows.
"""

from __future__ import annotations

import json
import logging
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from _shared import arguments, embedding_mixture, write_rows
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from dnaembed import SpeciesClusterer
from dnaembed.metrics import min_similarity_from_labels
from dnaembed.species._graph import neighbor_graph
from dnaembed.species._neighbors import find_neighbors

logger = logging.getLogger("dnaembed")

COLUMNS = (
    "task", "method", "rows", "columns", "seconds", "times half the rows", "seconds to assign all",
    "peak MB", "MB of the rows", "groups", "ari", "grouped", "recall of neighbours", "ari to exact",
)  # fmt: skip
# Columns, and most species, of the rows of each task; fewer species for runs on few rows.
_SIZES = {"clusters": (256, 500), "bins": (384, 400)}
_LEAST_ROWS_PER_SPECIES = 50
_ROWS_OF_THRESHOLD = 5000
_APPROXIMATE, _BESIDE = "graph, approximate neighbours", "approximate beside exact neighbours"
_GRAPH = "the graph alone, approximate neighbours"
_NEIGHBORS = 15


class Case(NamedTuple):
    """One measurement: a method on a number of rows."""

    task: str
    method: str
    rows: int

    @property
    def n_species(self) -> int:
        """Species that the rows are of."""
        return max(2, min(_SIZES[self.task][1], self.rows // _LEAST_ROWS_PER_SPECIES))


def dense_kmedoid(
    X: np.ndarray, min_similarity: float, *, min_bin_size: int = 10, max_iter: int = 1000
) -> np.ndarray:
    """Bin rows of unit length by the paper's modified K-medoid with all similarities in memory."""
    similarities = X @ X.T
    similarities[similarities < min_similarity] = 0
    density = similarities.sum(axis=1, dtype=np.float64)
    labels = np.full(len(X), -1)
    is_open = np.ones(len(X), dtype=bool)
    for number in range(max_iter):
        seed = int(density.argmax())
        if density[seed] == -np.inf:
            break
        density[seed] = -np.inf
        center = X[seed]
        members = np.empty(0, dtype=np.intp)
        for _ in range(3):
            members = np.flatnonzero(is_open & (X @ center >= min_similarity))
            if not len(members):
                break
            center = X[members].mean(axis=0)
        is_open[members] = False
        if len(members) >= min_bin_size:
            labels[members] = number
        density -= similarities[:, members].sum(axis=1)
        density[members] = -np.inf
    return labels


def _threshold() -> float:
    """Return the paper's threshold, from labelled rows of other species than those to be binned."""
    X, y = embedding_mixture(_ROWS_OF_THRESHOLD, _SIZES["bins"][0], 50, seed=1)
    return min_similarity_from_labels(X, y)


_METHODS: dict[tuple[str, str], Callable[[int], Any]] = {
    ("clusters", "K-means"): lambda k: SpeciesClusterer(k, random_state=0),
    ("clusters", "scikit-learn KMeans, one start"): lambda k: KMeans(
        k, n_init=1, max_iter=1000, random_state=0
    ),
    ("bins", "graph, exact neighbours"): lambda k: SpeciesClusterer(
        neighbors="exact", random_state=0
    ),
    ("bins", _APPROXIMATE): lambda k: SpeciesClusterer(neighbors="approximate", random_state=0),
    ("bins", "K-medoid"): lambda k: SpeciesClusterer(min_similarity=_threshold()),
}


def measure(case: Case, X: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Run a case in this process, on rows that may be memory-mapped, and their species."""
    start = perf_counter()
    if case.method == _BESIDE:
        return compare(np.asarray(X))
    if case.method == _GRAPH:
        how: Any = {"how": "approximate", "random_state": np.random.RandomState(0)}
        neighbor_graph(*find_neighbors(X, _NEIGHBORS, **how))
        return {"seconds": perf_counter() - start}
    if case.method == "K-medoid of the paper, dense":
        labels = dense_kmedoid(np.asarray(X), _threshold())
        result = {"seconds": perf_counter() - start}
    else:
        clusterer = _METHODS[case.task, case.method](case.n_species).fit(X)
        labels = clusterer.labels_
        result = {"seconds": perf_counter() - start}
        start = perf_counter()
        clusterer.predict(X)
        result["seconds to assign all"] = perf_counter() - start
    kept = labels >= 0
    result["groups"] = len(np.unique(labels[kept]))
    result["ari"] = float(adjusted_rand_score(y[kept], labels[kept])) if kept.any() else 0.0
    return result | {"grouped": float(kept.mean())}


def compare(X: np.ndarray) -> dict[str, float]:
    """Return which share of the nearest neighbours is found, and how alike the bins are."""
    ways = ("exact", "approximate")
    seed = np.random.RandomState(0)
    start = perf_counter()
    exact, found = (find_neighbors(X, _NEIGHBORS, how=w, random_state=seed)[0] for w in ways)
    recall = np.mean([len(np.intersect1d(a, b)) for a, b in zip(exact, found, strict=True)])
    bins = [SpeciesClusterer(neighbors=w, random_state=0).fit_predict(X) for w in ways]
    return {
        "seconds": perf_counter() - start,
        "recall of neighbours": float(recall) / _NEIGHBORS,
        "ari to exact": float(adjusted_rand_score(*bins)),
    }


def cases(kmeans_rows: int, bin_rows: int) -> list[Case]:
    """List what is measured; fewer rows for what is slow or large, none of what has 0 rows."""
    wanted = [
        ("clusters", "K-means", kmeans_rows // 2),
        ("clusters", "K-means", kmeans_rows),
        ("clusters", "K-means", kmeans_rows // 8),
        ("clusters", "scikit-learn KMeans, one start", kmeans_rows // 8),
        ("bins", "graph, exact neighbours", bin_rows // 2),
        ("bins", "graph, exact neighbours", bin_rows),
        ("bins", _APPROXIMATE, bin_rows),
        ("bins", _GRAPH, bin_rows * 10),
        ("bins", _BESIDE, bin_rows),
        ("bins", "K-medoid", bin_rows // 10),
        ("bins", "K-medoid of the paper, dense", bin_rows // 10),
    ]
    return [Case(*each) for each in wanted if each[2]]


def run(wanted: Sequence[Case], output: Path) -> None:
    """Measure cases, each in its own process, and write the table after each."""
    rows: list[dict[str, str]] = []
    seconds: dict[Case, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for case in wanted:
            n_columns = _SIZES[case.task][0]
            stem = f"{case.n_species}_{case.rows}_{n_columns}"
            files = [Path(folder, f"{stem}{end}.npy") for end in ("", ".species")]
            if not files[0].exists():
                for old in Path(folder).iterdir():  # of another size
                    old.unlink()
                for file, array in zip(
                    files, embedding_mixture(case.rows, n_columns, case.n_species), strict=True
                ):
                    np.save(file, array)
            command = [sys.executable, __file__, "-o", "-", "--case", json.dumps(case)]
            done = subprocess.run([*command, *map(str, files)], check=True, stdout=subprocess.PIPE)
            result: dict[str, float] = json.loads(done.stdout)
            seconds[case] = result["seconds"]
            half = seconds.get(case._replace(rows=case.rows // 2))
            if half is not None:
                result["times half the rows"] = result["seconds"] / half
            result["MB of the rows"] = case.rows * n_columns * 4 / 1e6
            row = {"task": case.task, "method": case.method}
            row |= {"rows": str(case.rows), "columns": str(n_columns)}
            rows.append(row | {name: f"{value:.4g}" for name, value in result.items()})
            logger.info("%s", rows[-1])
            write_rows(output, COLUMNS, rows)


def peak_mb() -> float:
    """Return the most memory, in 10^6 bytes, that this process has had, mapped files included."""
    status = Path("/proc/self/status")
    if status.exists():  # its own, where rusage starts with what the parent had
        lines = status.read_text(encoding="utf-8").splitlines()
        return int(next(x.split()[1] for x in lines if x.startswith("VmHWM"))) * 1024 / 1e6
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 1e6


def main(argv: Sequence[str] | None = None) -> int:
    """Measure from the command line."""
    parser = arguments(__doc__, output="CSV file")
    parser.add_argument("--kmeans-rows", type=int, default=1_000_000, help="default: 1,000,000")
    parser.add_argument("--bin-rows", type=int, default=100_000, help="default: 100,000")
    parser.add_argument("--only", default="", help="methods whose task or name has this in it")
    parser.add_argument("--case", nargs=3, metavar=("CASE", "ROWS", "SPECIES"), help="internal")
    args = parser.parse_args(argv)
    if args.case is not None:
        X, y = np.load(args.case[1], mmap_mode="r"), np.load(args.case[2])
        result = measure(Case(*json.loads(args.case[0])), X, y)
        sys.stdout.write(json.dumps(result | {"peak MB": peak_mb()}))
        return 0
    wanted = cases(args.kmeans_rows, args.bin_rows)
    run([case for case in wanted if args.only in f"{case.task}: {case.method}"], args.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
