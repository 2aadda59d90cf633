"""The embedders that are compared by default, and how one is told from another."""

from __future__ import annotations

import gc
import logging
import pickle
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import joblib
import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.pipeline import make_pipeline, make_union

from ..embedding._kmer_embedder import KmerEmbedder
from ._memory import MemoryWatch

logger = logging.getLogger("dnaembed")

_PCA = "PCA of 4+5-mers"
_N_COMPONENTS = 64

#: An embedder, or the name, folder or hub id of a model.
Embedder = Any


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
        - ``raw TNF``: tetranucleotide frequencies of the given strand, the paper's baseline;
        - ``TNF-K``: these, projected onto what double-stranded DNA leaves free;
        - ``canonical TNF``: square-rooted and centred frequencies of canonical 4-mers, the best
          without training;
        - ``PCA of 4+5-mers``: 64 principal components of canonical 4- and 5-mers;
        - ``LDA of 4+5-mers``: their shrunken linear discriminants (`supervised` only);
        - ``dnaembed``: `DNABertSEmbedder` with `model`.

    Examples
    --------
    >>> from dnaembed.benchmark import default_embedders
    >>> list(default_embedders(supervised=False, model=None))
    ['raw TNF', 'TNF-K', 'canonical TNF', 'PCA of 4+5-mers']
    """
    embedders: dict[str, Any] = {
        "raw TNF": KmerEmbedder(method="raw"),
        "TNF-K": KmerEmbedder(method="tnf-k"),
        "canonical TNF": KmerEmbedder(),
        _PCA: make_pipeline(_profiles(4, 5), PCA(_N_COMPONENTS, random_state=0)),
    }
    if supervised:
        lda = LinearDiscriminantAnalysis(solver="eigen", shrinkage=0.3)
        embedders["LDA of 4+5-mers"] = make_pipeline(_profiles(4, 5), lda)
    if model is not None:
        from ..embedding._embedder import DNABertSEmbedder

        embedders["dnaembed"] = DNABertSEmbedder(model, cache=None)
    return embedders


def _profiles(*ks: int) -> Any:
    return make_union(*(KmerEmbedder(k) for k in ks))


def check_embedders(
    embedders: Mapping[str, Embedder] | Iterable[Any] | None, *, supervised: bool, n_reads: int
) -> dict[str, Any]:
    """Return embedders by name, from any of the forms that `benchmark` takes.

    `n_reads` is the least number that one will be fitted on.
    """
    if embedders is None:
        checked = default_embedders(supervised=supervised)
        if n_reads < _N_COMPONENTS:
            logger.info("%s is left out: %d reads are too few.", _PCA, n_reads)
            del checked[_PCA]
        return checked
    if isinstance(embedders, str | BaseEstimator):
        embedders = [embedders]
    if isinstance(embedders, Mapping):
        items = list(embedders.items())
    else:
        items = [
            (item[0], item[1]) if isinstance(item, tuple) else (_name_of(item), item)
            for item in embedders
        ]
    checked = {}
    for name, embedder in items:
        if name in checked:
            raise ValueError(f"Two embedders have the name {name!r}.")
        if isinstance(embedder, str):
            from ..embedding._embedder import DNABertSEmbedder

            embedder = DNABertSEmbedder(embedder, cache=None)
        if not (hasattr(embedder, "fit") and hasattr(embedder, "transform")):
            raise TypeError(
                f"Embedder {name!r} must be the name of a model or have fit and transform, got "
                f"{embedder!r}."
            )
        checked[str(name)] = embedder
    if not checked:
        raise ValueError("At least one embedder is required.")
    return checked


def _name_of(embedder: Embedder) -> str:
    return embedder if isinstance(embedder, str) else type(embedder).__name__


def identity(embedder: Any) -> str:
    """Hash what an embedder is before it is fitted: parameters, and weights of models."""
    from ..embedding._embedder import DNABertSEmbedder

    parts = [embedder]
    if hasattr(embedder, "get_params"):
        parts += [value for _, value in sorted(embedder.get_params(deep=True).items())]
    models = [part for part in parts if isinstance(part, DNABertSEmbedder)]
    try:
        content = joblib.hash(clone(embedder))
    except pickle.PicklingError:
        content = secrets.token_hex()  # of a class or function that only this run knows
    return str(joblib.hash([content, *(model._backbone().fingerprint() for model in models)]))


def timed_transform(embedder: Any, sequences: Sequence[str]) -> tuple[np.ndarray, dict[str, float]]:
    """Embed sequences; measure the time and by how much memory grew at most."""
    embedder.transform(sequences[:1])  # compiled and loaded before the clock starts
    gc.collect()
    with MemoryWatch() as memory:
        start = time.perf_counter()
        rows = np.asarray(embedder.transform(sequences))
        seconds = max(time.perf_counter() - start, 1e-9)
    return rows, {
        "seconds": seconds,
        "mb_per_second": sum(map(len, sequences)) / 1e6 / seconds,
        "peak_mb": memory.growth / 1e6,
        "columns": float(rows.shape[1]),
    }
