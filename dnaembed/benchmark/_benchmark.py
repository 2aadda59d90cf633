"""`benchmark`: embedders x sets x protocols, kept on disk as they are done."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.utils import Bunch, check_consistent_length

from .._sequences import check_sequences
from ..utils._atomic import atomic_output
from ..utils._progress import progress
from ._embedders import (
    Embedder,
    check_embedders,
    embedder_digest,
    sequences_digest,
    timed_transform,
)
from ._results import BenchmarkResult, versions
from ._suite import PROTOCOLS, SuiteOptions, check_protocols

logger = logging.getLogger("dnaembed")

# Of what is cached: raised when a protocol, or how costs are measured, changes.
_FORMAT = 1
_COST_FORMAT = 2


def benchmark(
    sets: Mapping[str, Any],
    embedders: Mapping[str, Embedder] | Iterable[Any] | None = None,
    *,
    protocols: Sequence[str] | None = None,
    training: tuple[Sequence[str], Any] | None = None,
    n_repeats: int = 1,
    shots: Sequence[int] = (1, 2, 5, 10, 20),
    n_test: int = 80,
    min_bin_size: int | None = None,
    percentile: float = 70.0,
    cache: str | os.PathLike[str] | None = None,
    n_jobs: int | None = None,
) -> BenchmarkResult:
    """Score embedders side by side on labelled reads.

    Parameters
    ----------
    sets : mapping of str to Bunch, or to list of Bunch
        Labelled reads by the name of the set: anything with attributes ``sequences`` and
        ``labels``, and ``lineage`` if there is one, such as `dnaembed.datasets` gives. Several
        of one name are drawn with different seeds: scores then have a mean and a spread.
    embedders : mapping, iterable or None, default=None
        What to compare: scikit-learn transformers of sequences, or names, folders and hub ids of
        models, as a mapping by name, or a list of names of models or of pairs (name, embedder).
        None: those of `default_embedders`.
    protocols : sequence of str, default=None
        Some of "clustering", "few_shot", "binning", "retrieval", "lineage"; all if None.
    training : tuple (sequences, labels), default=None
        Labelled reads of *other* species to fit embedders on. Without, an embedder is fitted on
        the sequences of the set that it embeds, never on their labels, and the default
        embedders have none that needs labels.
    n_repeats : int, default=1
        Seeds of K-means and of the draw of shots for each set of reads; the paper has 5.
    shots : sequence of int, default=(1, 2, 5, 10, 20)
        Numbers of labelled sequences a species; those over half of the smallest species of a set
        are left out.
    n_test : int, default=80
        Test sequences a species; a species with fewer is tested on what it has besides the shots.
    min_bin_size : int, default=None
        Smaller bins are given up. None: the paper's 10, but no more than a third of the median
        species.
    percentile : float, default=70
        Of the similarities to species' centres: the threshold of binning. It is taken from half
        of the species (drawn by seed) to bin the other half, and the other way round; counts are
        of both halves together.
    cache : path, default=None
        Folder where scores are kept. What is found there is not computed again: a benchmark that
        was killed goes on. Scores are found by content (sequences, labels, parameters and
        weights of the embedder, options), not by name. The code of an embedder of your own is not
        looked at: take another folder when you change it.
    n_jobs : int, default=None
        Pairs of an embedder and a set scored at a time, in processes of joblib.

    Returns
    -------
    BenchmarkResult
        The scores, with `to_frame`, `to_csv`, `to_markdown` and `to_json`.

    Notes
    -----
    "clustering" gives ``ari``, ``purity``, ``completeness`` and ``nmi``; "few_shot" macro
    ``f1@1`` and so on; "binning" ``f1>0.1`` ... ``recall>0.9`` (numbers of species) and
    the scores of `genome_recovery_scores`; "retrieval" the share of ``species`` that the nearest
    neighbour shares, and their ``silhouette``; "lineage" for each rank that is known the ARI of
    as many clusters as there are names, and the share of sequences whose nearest neighbour of
    another species shares the name. "embedding", which is always there, gives seconds, megabases
    a second, and by how many megabytes the memory of the process grew.

    Examples
    --------
    >>> from dnaembed.benchmark import benchmark
    >>> from dnaembed.datasets import load_demo_reads
    >>> from dnaembed import KmerEmbedder
    >>> result = benchmark(
    ...     {"demo": load_demo_reads()},
    ...     {"TNF": KmerEmbedder(method="raw"), "canonical": KmerEmbedder()},
    ...     protocols=["clustering"],
    ... )
    >>> result.embedders, result.mean("canonical", "demo", "clustering ari") > 0.5
    (['TNF', 'canonical'], True)
    """
    names = check_protocols(protocols)
    draws = _check_sets(sets)
    fitted_on = None
    if training is not None:
        fitted_on = (check_sequences(training[0]), np.asarray(training[1]))
        check_consistent_length(*fitted_on)
    n_fitted = [len(reads.sequences) for bunches in draws.values() for reads in bunches]
    checked = check_embedders(
        embedders,
        supervised=fitted_on is not None,
        n_reads=min(n_fitted) if fitted_on is None else len(fitted_on[0]),
    )
    options = SuiteOptions(n_repeats, tuple(shots), n_test, min_bin_size, percentile)
    store = _Scores(cache)
    jobs = []
    training_digest = "" if fitted_on is None else sequences_digest(*fitted_on)
    embedder_digests = {name: embedder_digest(e) for name, e in checked.items()}
    for set_name, bunches in draws.items():
        for seed, reads in enumerate(bunches):
            set_digest = _set_digest(reads)
            for name in checked:
                base = [_FORMAT, embedder_digests[name], training_digest, set_digest]
                keys = {p: _key(*base, p, seed, options.as_dict()) for p in names}
                keys["embedding"] = _key(*base, "embedding", _COST_FORMAT)
                jobs.append(_Job(name, set_name, seed, reads, keys))
    missing = [job for job in jobs if not all(store.has(key) for key in job.keys.values())]
    if len(missing) < len(jobs):
        logger.info("%d of %d parts are done already.", len(jobs) - len(missing), len(jobs))
    ready = _fit_embedders(checked, fitted_on, {job.embedder for job in missing})
    tasks = (delayed(_run)(ready[job.embedder], job, options, store) for job in missing)
    results = Parallel(n_jobs=n_jobs, return_as="generator_unordered")(tasks)
    computed: dict[str, Mapping[str, float]] = {}
    for part in progress(results, total=len(missing), description="Benchmark", unit="part"):
        computed |= part
    records = []
    for job in jobs:
        for protocol, key in job.keys.items():
            scores = computed[key] if key in computed else store.get(key)
            for score, value in (scores or {}).items():
                records.append(
                    {
                        "embedder": job.embedder,
                        "set": job.set_name,
                        "protocol": protocol,
                        "score": score,
                        "seed": job.seed,
                        "value": value,
                    }
                )
    about = {
        "versions": versions(),
        "options": options.as_dict(),
        "protocols": names,
        "embedders": {name: repr(e) for name, e in checked.items()},
        "embedder_digests": embedder_digests,
        "sets": {name: [_described(reads) for reads in bunches] for name, bunches in draws.items()},
        "n_training": 0 if fitted_on is None else len(fitted_on[0]),
    }
    return BenchmarkResult(records, about)


@dataclass(frozen=True)
class _Job:
    """An embedder on one draw of a set, and where the scores of each protocol are kept."""

    embedder: str
    set_name: str
    seed: int
    reads: Bunch
    keys: Mapping[str, str]


class _Scores:
    """Scores in small JSON files named by key; a damaged one counts as absent."""

    def __init__(self, folder: str | os.PathLike[str] | None) -> None:
        self._folder = None if folder is None else Path(folder)
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)

    def has(self, key: str) -> bool:
        return self.get(key) is not None

    def get(self, key: str) -> dict[str, float] | None:
        if self._folder is None:
            return None
        try:
            scores = json.loads((self._folder / f"{key}.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        return scores if isinstance(scores, dict) else None

    def put(self, key: str, scores: Mapping[str, float]) -> None:
        if self._folder is not None:
            with atomic_output(self._folder / f"{key}.json") as path:
                path.write_text(json.dumps(dict(scores)), encoding="utf-8")


def _check_sets(sets: Mapping[str, Any]) -> dict[str, list[Bunch]]:
    if not isinstance(sets, Mapping) or not sets:
        raise ValueError("sets must be a mapping of at least one name to labelled reads.")
    draws = {}
    for name, given in sets.items():
        bunches = list(given) if isinstance(given, list | tuple) else [given]
        if not bunches:
            raise ValueError(f"Set {name!r} is empty.")
        checked = []
        for reads in bunches:
            sequences = check_sequences(reads.sequences)
            labels = np.asarray(reads.labels)
            check_consistent_length(sequences, labels)
            lineage = dict(getattr(reads, "lineage", None) or {})
            for names in lineage.values():
                check_consistent_length(sequences, names)
            if len(np.unique(labels)) < 2:
                raise ValueError(f"Set {name!r} has one label; two are required.")
            checked.append(Bunch(sequences=sequences, labels=labels, lineage=lineage))
        draws[str(name)] = checked
    return draws


def _set_digest(reads: Bunch) -> str:
    parts = [part for rank, names in sorted(reads.lineage.items()) for part in ([rank], names)]
    return sequences_digest(reads.sequences, reads.labels, *parts)


def _key(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:40]


def _described(reads: Bunch) -> dict[str, Any]:
    _, counts = np.unique(reads.labels, return_counts=True)
    return {
        "n_reads": len(reads.sequences),
        "n_labels": len(counts),
        "least_reads_a_label": int(counts.min()),
        "bases": sum(map(len, reads.sequences)),
        "sha256": _set_digest(reads),
    }


def _fit_embedders(
    embedders: Mapping[str, Any],
    training: tuple[list[str], np.ndarray] | None,
    needed: set[str],
) -> dict[str, Any]:
    """Fit once what is fitted on the training reads; the rest is fitted on each set."""
    ready = {}
    for name in embedders:
        if name in needed:
            embedder = clone(embedders[name])
            if training is not None:
                logger.info("Fitting %s on %d reads.", name, len(training[0]))
                with _naming(name):
                    embedder.fit(*training)
            ready[name] = embedder, training is not None
    return ready


@contextmanager
def _naming(embedder: str) -> Iterator[None]:
    """Let an error say which embedder it is about."""
    try:
        yield
    except Exception as error:
        error.add_note(f"in embedder {embedder!r}")
        raise


def _run(
    ready: tuple[Any, bool], job: _Job, options: SuiteOptions, store: _Scores
) -> dict[str, dict[str, float]]:
    embedder, is_fitted = ready
    done: dict[str, dict[str, float]] = {}
    rows: np.ndarray | None = None
    for protocol, key in [("embedding", job.keys["embedding"]), *job.keys.items()]:
        if key in done or store.has(key):
            continue
        if rows is None:
            with _naming(job.embedder):
                if not is_fitted:
                    embedder.fit(job.reads.sequences)
                rows, cost = timed_transform(embedder, job.reads.sequences)
            bases = sum(map(len, job.reads.sequences))
        if protocol == "embedding":
            scores = {
                "seconds": cost.seconds,
                "mb_per_second": bases / 1e6 / max(cost.seconds, 1e-9),
                "peak_mb": cost.peak_mb,
                "columns": float(rows.shape[1]),
            }
        else:
            scores = dict(PROTOCOLS[protocol](rows, job.reads, job.seed, options))
        store.put(key, scores)
        done[key] = scores
    return done
