"""`benchmark`: embedders x sets x protocols, kept on disk as they are done; what is compared."""

import logging
import os
import pickle
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import joblib
import numpy as np
from joblib import Memory, Parallel, delayed
from sklearn.base import BaseEstimator, clone
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.pipeline import make_pipeline, make_union
from sklearn.utils import Bunch, check_consistent_length

from .._sequences import check_sequences
from ..embedding._embedder import DNABertSEmbedder
from ..embedding._kmer_embedder import KmerEmbedder
from ..utils._progress import progress
from ._protocols import PROTOCOLS, Options, Protocol
from ._results import BenchmarkResult, versions

logger = logging.getLogger("dnaembed")

# Version of what is cached: raised when a protocol, or how costs are measured, changes.
_FORMAT = 4

_PCA = "PCA of 4+5-mers"
_N_COMPONENTS = 64


def benchmark(
    sets: Mapping[str, Any],
    embedders: Mapping[str, Any] | Iterable[Any] | None = None,
    *,
    protocols: Sequence[str] | None = None,
    training: tuple[Sequence[str], Any] | None = None,
    n_repeats: int = 5,
    shots: Sequence[int] = (1, 2, 5, 10, 20),
    cache: str | os.PathLike[str] | None = None,
    n_jobs: int | None = None,
) -> BenchmarkResult:
    """Score embedders side by side on labelled reads.

    Parameters
    ----------
    sets : mapping of str to Bunch, tuple, frame, or list of Bunch
        Labelled reads by the name of the set: as `dnaembed.datasets` gives them (``sequences``,
        ``labels`` and perhaps ``lineage``), a tuple (sequences, labels), or a frame of
        `dnaembed.io.read_frame`. Scores of a list of them have a spread.
    embedders : mapping, iterable or None, default=None
        Scikit-learn transformers of sequences, or names, folders and hub ids of models; a mapping
        by name, or a list of models or of pairs (name, embedder). None: `default_embedders`.
    protocols : sequence of str, default=None
        Some of the names in `PROTOCOLS`; all if None.
    training : tuple (sequences, labels), default=None
        Labelled reads of *other* species to fit embedders on. None: each is fitted on the sequences
        that it embeds, without labels; default embedders that need labels are left out.
    n_repeats : int, default=5
        Seeds of K-means and of shots for each set of reads, as in the paper.
    shots : sequence of int, default=(1, 2, 5, 10, 20)
        Labelled sequences per species; numbers over half of the smallest species are left out.
    cache : path, default=None
        Folder where `joblib.Memory` keeps embeddings and scores, found by content, so that a
        benchmark that was killed continues. Trust the folder: it is read as pickles.
    n_jobs : int, default=None
        Pairs of an embedder and a set scored at a time, in processes of joblib.

    Returns
    -------
    BenchmarkResult
        The scores.

    Notes
    -----
    "clustering", "few_shot" and "binning" give the scores of the functions of these names,
    "binning" also those of `genome_recovery_scores`, each half of the species with the threshold of
    the other; "retrieval" `retrieval_score` and the silhouette in cosine distance; "lineage" for
    each known rank the ARI of clusters and names, and `retrieval_score` among other species.
    "embedding", always there, gives seconds, Mb per second and columns.

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
    given = [protocols] if isinstance(protocols, str) else protocols
    names = list(PROTOCOLS if given is None else given)
    if not names or not set(names) <= set(PROTOCOLS):
        raise ValueError(f"protocols must be some of {list(PROTOCOLS)}, got {protocols!r}.")
    draws = _check_sets(sets)
    fitted_on = None
    if training is not None:
        fitted_on = (check_sequences(training[0]), np.asarray(training[1]))
        check_consistent_length(*fitted_on)
    sizes = [len(reads.sequences) for bunches in draws.values() for reads in bunches]
    n_reads = min(sizes) if fitted_on is None else len(fitted_on[0])
    checked = check_embedders(embedders, supervised=fitted_on is not None, n_reads=n_reads)
    options = Options(n_repeats, tuple(shots))
    memory = Memory(cache, verbose=0)
    embed = memory.cache(_embed, ignore=["embedder", "is_fitted"])
    identities = {name: identity(embedder) for name, embedder in checked.items()}
    training_hash = joblib.hash(fitted_on)
    jobs = [
        (name, set_name, seed, reads)
        for set_name, bunches in draws.items()
        for seed, reads in enumerate(bunches)
        for name in checked
    ]
    keys = [(identities[job[0]], training_hash, job[3].sequences, _FORMAT) for job in jobs]
    kept = [embed.check_call_in_cache(None, False, *key) for key in keys]
    ready = {name: clone(embedder) for name, embedder in checked.items()}
    if fitted_on is not None:
        missing = (job[0] for job, is_kept in zip(jobs, kept, strict=True) if not is_kept)
        for name in dict.fromkeys(missing):
            logger.info("Fitting %s on %d reads.", name, len(fitted_on[0]))
            with _naming(name):
                ready[name].fit(*fitted_on)
    registered = {protocol: PROTOCOLS[protocol] for protocol in names}
    tasks = (
        delayed(_run)(memory, ready[job[0]], fitted_on is not None, key, job, registered, options)
        for job, key in zip(jobs, keys, strict=True)
    )
    results = Parallel(n_jobs=n_jobs, return_as="generator")(tasks)
    parts = progress(results, total=len(jobs), description="Benchmark", unit="part")
    about = {
        "versions": versions(),
        "options": asdict(options),
        "protocols": names,
        "embedders": {name: repr(e) for name, e in checked.items()},
        "embedder_digests": identities,
        "sets": {name: [_described(reads) for reads in bunches] for name, bunches in draws.items()},
        "n_training": 0 if fitted_on is None else len(fitted_on[0]),
    }
    return BenchmarkResult([record for part in parts for record in part], about)


def _check_sets(sets: Mapping[str, Any]) -> dict[str, list[Bunch]]:
    if not isinstance(sets, Mapping) or not sets:
        raise ValueError('sets must be a mapping of names to labelled reads, as {"mine": frame}.')
    draws: dict[str, list[Bunch]] = {}
    for name, given in sets.items():
        own = draws[str(name)] = []
        is_pair = isinstance(given, tuple) and len(given) == 2 and not hasattr(given[0], "labels")
        if is_pair or hasattr(given, "columns"):
            known = given if is_pair else (given.get("sequence"), given.get("label"))
            given = Bunch(sequences=known[0], labels=known[1])
        for reads in given if isinstance(given, list | tuple) else [given]:
            sequences, labels = check_sequences(reads.sequences), np.asarray(reads.labels)
            lineage = dict(getattr(reads, "lineage", None) or {})
            if labels.ndim == 0:
                raise ValueError(f"Set {name!r} has no labels.")
            check_consistent_length(sequences, labels, *lineage.values())
            if len(np.unique(labels)) < 2:
                raise ValueError(f"Set {name!r} has one label; two are required.")
            own.append(Bunch(sequences=sequences, labels=labels, lineage=lineage))
        if not own:
            raise ValueError(f"Set {name!r} is empty.")
    return draws


def _described(reads: Bunch) -> dict[str, Any]:
    _, counts = np.unique(reads.labels, return_counts=True)
    return {
        "n_reads": len(reads.sequences),
        "n_labels": len(counts),
        "least_reads_a_label": int(counts.min()),
        "bases": sum(map(len, reads.sequences)),
        "hash": joblib.hash(reads),
    }


@contextmanager
def _naming(embedder: str) -> Iterator[None]:
    """Let an error say which embedder it is about."""
    try:
        yield
    except Exception as error:
        error.add_note(f"in embedder {embedder!r}")
        raise


def _run(
    memory: Memory,
    embedder: Any,
    is_fitted: bool,
    key: tuple[Any, ...],
    job: tuple[str, str, int, Bunch],
    protocols: Mapping[str, Protocol],
    options: Options,
) -> list[dict[str, Any]]:
    """Embed one draw of a set and score it: a record for each score."""
    name, set_name, seed, reads = job
    embed = memory.cache(_embed, ignore=["embedder", "is_fitted"])
    score = memory.cache(_score, ignore=["function"])
    with _naming(name):
        rows, cost = embed(embedder, is_fitted, *key)
    known = rows, reads, seed, options
    found = {p: score(f, f"{p} {_FORMAT}", *known) for p, f in protocols.items()}
    same = {"embedder": name, "set": set_name}
    return [
        same | {"protocol": protocol, "score": score_name, "seed": seed, "value": value}
        for protocol, scores in (found | {"embedding": cost}).items()
        for score_name, value in scores.items()
    ]


def _embed(
    embedder: Any, is_fitted: bool, digest: str, training: str, sequences: list[str], version: int
) -> tuple[np.ndarray, dict[str, float]]:
    """Return embeddings and what they took; the digest stands for the embedder."""
    if not is_fitted:
        embedder.fit(sequences)
    embedder.transform(sequences[:1])  # compiled and loaded before the clock starts
    start = time.perf_counter()
    rows = np.asarray(embedder.transform(sequences))
    seconds = max(time.perf_counter() - start, 1e-9)
    rate = sum(map(len, sequences)) / 1e6 / seconds
    return rows, {"seconds": seconds, "mb_per_second": rate, "columns": float(rows.shape[1])}


def _score(
    function: Protocol, protocol: str, rows: np.ndarray, reads: Bunch, seed: int, options: Options
) -> dict[str, float]:
    """Return the scores of a protocol that are known; name and format stand for the function."""
    scores = function(rows, reads, seed, options)
    return {name: value for name, value in scores.items() if not np.isnan(value)}


def default_embedders(*, supervised: bool = True, model: str | None = "default") -> dict[str, Any]:
    """Return the embedders that a model should be compared with, and the model.

    Parameters
    ----------
    supervised : bool, default=True
        Include those that have to be fitted on labelled reads.
    model : str or None, default="default"
        Model for `DNABertSEmbedder`; None leaves it out.

    Returns
    -------
    dict of str to estimator
        ``raw TNF`` (tetranucleotide frequencies of the given strand, the paper's baseline),
        ``canonical TNF`` (see `KmerEmbedder`), ``PCA of 4+5-mers`` (64 components),
        ``LDA of 4+5-mers`` (their shrunken discriminants; `supervised` only), and ``bundled model``
        or the name of `model`.

    Examples
    --------
    >>> from dnaembed.benchmark import default_embedders
    >>> list(default_embedders(supervised=False, model=None))
    ['raw TNF', 'canonical TNF', 'PCA of 4+5-mers']
    """
    profiles = make_union(KmerEmbedder(4), KmerEmbedder(5))
    embedders = {
        "raw TNF": KmerEmbedder(method="raw"),
        "canonical TNF": KmerEmbedder(),
        _PCA: make_pipeline(profiles, PCA(_N_COMPONENTS, random_state=0)),
    }
    if supervised:
        lda = LinearDiscriminantAnalysis(solver="eigen", shrinkage=0.3)
        embedders["LDA of 4+5-mers"] = make_pipeline(clone(profiles), lda)
    if model is not None:
        embedders[model_name(model)] = DNABertSEmbedder(model, cache=None)
    return embedders


def model_name(model: str) -> str:
    """Return what tables and pictures call a model."""
    return "bundled model" if model == "default" else model


def check_embedders(
    embedders: Mapping[str, Any] | Iterable[Any] | None, *, supervised: bool, n_reads: int
) -> dict[str, Any]:
    """Return embedders by name, which will be fitted on at least `n_reads` reads."""
    if embedders is None:
        defaults = default_embedders(supervised=supervised)
        if n_reads < _N_COMPONENTS:
            logger.info("%s is left out: %d reads are too few.", _PCA, n_reads)
            del defaults[_PCA]
        return defaults
    if isinstance(embedders, str | BaseEstimator):
        embedders = [embedders]
    checked: dict[str, Any] = {}
    for item in embedders.items() if isinstance(embedders, Mapping) else embedders:
        if not isinstance(item, tuple):
            item = (model_name(item) if isinstance(item, str) else type(item).__name__, item)
        name, embedder = item
        if name in checked:
            raise ValueError(f"Two embedders have the name {name!r}.")
        if isinstance(embedder, str):
            embedder = DNABertSEmbedder(embedder, cache=None)
        if not (hasattr(embedder, "fit") and hasattr(embedder, "transform")):
            expected = "must be the name of a model or have fit and transform"
            raise TypeError(f"Embedder {name!r} {expected}, got {embedder!r}.")
        checked[str(name)] = embedder
    if not checked:
        raise ValueError("At least one embedder is required.")
    return checked


def identity(embedder: Any) -> str:
    """Hash what an embedder is before it is fitted: parameters, and weights of models."""
    inner = embedder.get_params() if hasattr(embedder, "get_params") else {}
    parts = [embedder, *(inner[name] for name in sorted(inner))]
    models = [part for part in parts if isinstance(part, DNABertSEmbedder)]
    try:
        content = joblib.hash(clone(embedder))
    except pickle.PicklingError:
        content = secrets.token_hex()  # of a class or function that only this run knows
    return str(joblib.hash([content, *(model._backbone().fingerprint() for model in models)]))
