"""Time and memory of clusters and bins: ``python docs/benchmarks/clustering_speed.py -o FILE``.

Rows that lie as embeddings of reads do are clustered by K-means and binned without a number of
bins, in one half and the whole of a number of rows, each in a process of its own that reads them
from disk. Beside them stand scikit-learn's K-means, on fewer rows and by mini-batches, and the
K-medoid of the DNABERT-S paper with all similarities in memory, on fewer rows.
"""

from __future__ import annotations

import json
import logging
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from _shared import arguments, embedding_mixture, write_rows
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.metrics import adjusted_rand_score
from sklearn.preprocessing import normalize

from dnaembed import SpeciesClusterer
from dnaembed.metrics import min_similarity_from_labels
from dnaembed.species._neighbors import find_neighbors

logger = logging.getLogger("dnaembed")

COLUMNS = (
    "task",
    "method",
    "rows",
    "columns",
    "seconds",
    "times half the rows",
    "seconds to assign all",
    "peak MB",
    "MB of the rows",
    "groups",
    "ari",
    "grouped",
    "inertia a row",
    "recall of neighbours",
)
_KMEANS_COLUMNS = 256
_N_SPECIES = 500
_BIN_COLUMNS = 384
_N_BINNED_SPECIES = 400
_LEAST_ROWS_A_SPECIES = 50  # for runs on few rows
_N_NEIGHBORS = 15
_ROWS_OF_RECALL = 1000
_ROWS_OF_THRESHOLD = 5000

Result = dict[str, float]


@dataclass(frozen=True)
class Case:
    """One measurement: a method on a number of rows."""

    task: str
    method: str
    rows: int

    @property
    def columns(self) -> int:
        """Columns of the rows."""
        return _KMEANS_COLUMNS if self.task == "clusters" else _BIN_COLUMNS

    @property
    def n_species(self) -> int:
        """Species that the rows are of."""
        most = _N_SPECIES if self.task == "clusters" else _N_BINNED_SPECIES
        return max(2, min(most, self.rows // _LEAST_ROWS_A_SPECIES))


def dense_kmedoid(
    X: np.ndarray, min_similarity: float, *, min_bin_size: int = 10, max_iter: int = 1000
) -> np.ndarray:
    """Bin rows by the paper's modified K-medoid with all similarities in memory.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Rows of unit length.
    min_similarity : float
    min_bin_size : int, default=10
    max_iter : int, default=1000

    Returns
    -------
    ndarray of shape (n_samples,), int
        Bins, -1 for none.
    """
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


def threshold_of_labels() -> float:
    """Return the paper's threshold, from labelled rows of other species than those to be binned."""
    X, y = embedding_mixture(_ROWS_OF_THRESHOLD, _BIN_COLUMNS, 50, seed=1)
    return min_similarity_from_labels(X, y)


def measure(case: Case, X: np.ndarray, y: np.ndarray, *, seed: int = 0) -> Result:
    """Run a case in this process.

    Parameters
    ----------
    case : Case
    X : ndarray of shape (n_samples, n_features)
        Rows of unit length, perhaps memory-mapped.
    y : ndarray of shape (n_samples,)
        Their species.
    seed : int, default=0
        Of the method.

    Returns
    -------
    dict
        Values of some of `COLUMNS`.
    """
    method: Callable[[np.ndarray, int, int], Result] = _METHODS[case.task, case.method]
    start = perf_counter()
    found = method(X, case.n_species, seed)
    seconds = perf_counter() - start
    labels: Any = found.pop("labels", None)
    result = {"seconds": seconds} | found
    if "seconds to assign all" in found:
        result["seconds"] -= found["seconds to assign all"]
    if labels is not None:
        kept = labels >= 0
        result["groups"] = len(np.unique(labels[kept]))
        result["ari"] = float(adjusted_rand_score(y[kept], labels[kept])) if kept.any() else 0.0
        result["grouped"] = float(kept.mean())
        if case.task == "clusters":
            result["inertia a row"] = _inertia(X, labels)
    return result


def _inertia(X: np.ndarray, labels: np.ndarray) -> float:
    """Mean squared distance of the rows from the means of their clusters."""
    step = 1 << 16
    sums = np.zeros((labels.max() + 1, X.shape[1]))
    sizes = np.maximum(np.bincount(labels), 1)
    for start in range(0, len(X), step):
        np.add.at(sums, labels[start : start + step], X[start : start + step])
    lengths = np.einsum("ij,ij->i", sums, sums) / sizes
    return float(1 - lengths.sum() / len(X))  # of rows of unit length


def _species_clusterer(**parameters: Any) -> Callable[[np.ndarray, int, int], Result]:
    def run(X: np.ndarray, n_species: int, seed: int) -> Result:
        n_clusters = n_species if parameters.get("n_clusters") else None
        options = {k: v for k, v in parameters.items() if k != "n_clusters"}
        if options.get("min_similarity") == "labels":
            options["min_similarity"] = threshold_of_labels()
        clusterer = SpeciesClusterer(n_clusters, random_state=seed, **options).fit(X)
        start = perf_counter()
        clusterer.predict(X)
        return {"labels": clusterer.labels_, "seconds to assign all": perf_counter() - start}

    return run


def _peer(make: Callable[[int, int], Any]) -> Callable[[np.ndarray, int, int], Result]:
    def run(X: np.ndarray, n_species: int, seed: int) -> Result:
        return {"labels": make(n_species, seed).fit(X).labels_}

    return run


def _dense(X: np.ndarray, n_species: int, seed: int) -> Result:
    labels: Any = dense_kmedoid(np.asarray(X), threshold_of_labels())
    return {"labels": labels}


def _neighbors(how: str) -> Callable[[np.ndarray, int, int], Result]:
    def run(X: np.ndarray, n_species: int, seed: int) -> Result:
        rows = normalize(X)
        state = np.random.RandomState(seed)
        found, _ = find_neighbors(rows, _N_NEIGHBORS, how=how, random_state=state)
        drawn = np.sort(state.choice(len(rows), min(len(rows), _ROWS_OF_RECALL), replace=False))
        shared = 0
        for i in drawn:
            products = rows @ rows[i]
            products[i] = -np.inf
            exact = np.argpartition(products, -_N_NEIGHBORS)[-_N_NEIGHBORS:]
            shared += len(np.intersect1d(found[i], exact))
        return {"recall of neighbours": shared / (len(drawn) * _N_NEIGHBORS)}

    return run


_METHODS: dict[tuple[str, str], Callable[[np.ndarray, int, int], Any]] = {
    ("clusters", "K-means"): _species_clusterer(n_clusters=True),
    ("clusters", "scikit-learn KMeans, one start"): _peer(
        lambda k, seed: KMeans(k, n_init=1, max_iter=1000, random_state=seed)
    ),
    ("clusters", "scikit-learn MiniBatchKMeans"): _peer(
        lambda k, seed: MiniBatchKMeans(k, n_init=3, batch_size=8192, random_state=seed)
    ),
    ("bins", "graph, exact neighbours"): _species_clusterer(neighbors="exact"),
    ("bins", "graph, approximate neighbours"): _species_clusterer(neighbors="approximate"),
    ("bins", "K-medoid"): _species_clusterer(min_similarity="labels"),
    ("bins", "K-medoid of the paper, dense"): _dense,
    ("bins", "HDBSCAN"): _species_clusterer(method="hdbscan"),
    ("neighbours", "exact"): _neighbors("exact"),
    ("neighbours", "approximate"): _neighbors("approximate"),
}


def cases(kmeans_rows: int, bin_rows: int) -> list[Case]:
    """List what is measured; fewer rows for what is slow or large.

    Parameters
    ----------
    kmeans_rows, bin_rows : int
        Most rows for K-means and for bins; 0 leaves them out.
    """
    wanted = [
        ("clusters", "K-means", kmeans_rows // 2),
        ("clusters", "K-means", kmeans_rows),
        ("clusters", "scikit-learn MiniBatchKMeans", kmeans_rows),
        ("clusters", "K-means", kmeans_rows // 8),
        ("clusters", "scikit-learn KMeans, one start", kmeans_rows // 8),
        ("neighbours", "exact", bin_rows),
        ("neighbours", "approximate", bin_rows),
        ("bins", "graph, exact neighbours", bin_rows // 2),
        ("bins", "graph, exact neighbours", bin_rows),
        ("bins", "graph, approximate neighbours", bin_rows // 2),
        ("bins", "graph, approximate neighbours", bin_rows),
        ("bins", "K-medoid", bin_rows // 10),
        ("bins", "K-medoid of the paper, dense", bin_rows // 10),
        ("bins", "K-medoid", bin_rows // 2),
        ("bins", "K-medoid", bin_rows),
        ("bins", "HDBSCAN", bin_rows // 10),
        ("bins", "HDBSCAN", bin_rows // 5),
    ]
    return [Case(*each) for each in wanted if each[2]]


def run(wanted: Sequence[Case], output: Path) -> list[dict[str, str]]:
    """Measure cases, each in its own process, and write the table after each.

    Parameters
    ----------
    wanted : sequence of Case
    output : Path
        The table.

    Returns
    -------
    list of dict
        Its rows.
    """
    rows: list[dict[str, str]] = []
    seconds: dict[Case, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for case in wanted:
            files = _files(Path(folder), case)
            command = [sys.executable, __file__, "--case"]
            argument = json.dumps([case.task, case.method, case.rows])
            paths = list(map(str, files))
            if not files[0].exists():
                for old in Path(folder).iterdir():  # of another size
                    old.unlink()
                _draw(case, *paths)
            done = subprocess.run([*command, argument, *paths], check=True, stdout=subprocess.PIPE)
            result: Result = json.loads(done.stdout)
            seconds[case] = result["seconds"]
            half = seconds.get(Case(case.task, case.method, case.rows // 2))
            if half is not None:
                result["times half the rows"] = result["seconds"] / half
            result["MB of the rows"] = case.rows * case.columns * 4 / 1e6
            row = {"task": case.task, "method": case.method}
            row |= {"rows": str(case.rows), "columns": str(case.columns)}
            row |= {name: f"{value:.4g}" for name, value in result.items()}
            rows.append(row)
            logger.info("%s", ", ".join(f"{k}: {v}" for k, v in row.items()))
            write_rows(output, COLUMNS, rows)
    return rows


def _files(folder: Path, case: Case) -> tuple[Path, Path]:
    stem = f"{case.n_species}_{case.rows}_{case.columns}"
    return folder / f"{stem}.npy", folder / f"{stem}.species.npy"


def _draw(case: Case, rows_file: str, species_file: str) -> None:
    X, y = embedding_mixture(case.rows, case.columns, case.n_species)
    np.save(species_file, y)
    np.save(rows_file, X)


def peak_mb() -> float:
    """Return the most memory, in 10^6 bytes, that this process has had, mapped files included."""
    status = Path("/proc/self/status")
    if status.exists():  # its own, where rusage starts with what the parent had
        lines = status.read_text(encoding="utf-8").splitlines()
        kilobytes = next(line.split()[1] for line in lines if line.startswith("VmHWM"))
        return int(kilobytes) * 1024 / 1e6
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 1e6


def main(argv: Sequence[str] | None = None) -> int:
    """Measure from the command line."""
    parser = arguments(__doc__)
    parser.add_argument("-o", "--output", default="clustering_speed.csv", help="CSV file")
    parser.add_argument(
        "--kmeans-rows", type=int, default=1_000_000, help="for K-means (default: 1,000,000)"
    )
    parser.add_argument("--bin-rows", type=int, default=100_000, help="for bins (default: 100,000)")
    parser.add_argument(
        "--only", metavar="TEXT", help="only methods whose task or name has this in it"
    )
    parser.add_argument("--case", nargs=3, metavar=("CASE", "ROWS", "SPECIES"), help="internal")
    args = parser.parse_args(argv)
    if args.case is not None:
        case = Case(*json.loads(args.case[0]))
        X, y = np.load(args.case[1], mmap_mode="r"), np.load(args.case[2])
        result = measure(case, X, y)
        sys.stdout.write(json.dumps(result | {"peak MB": peak_mb()}))
        return 0
    wanted = cases(args.kmeans_rows, args.bin_rows)
    if args.only:
        wanted = [c for c in wanted if args.only in f"{c.task}: {c.method}"]
    run(wanted, Path(args.output))
    return 0


if __name__ == "__main__":
    sys.exit(main())
