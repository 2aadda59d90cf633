"""The embedders that are compared by default, and how one is told from another."""

import logging
import pickle
import secrets
from collections.abc import Iterable, Mapping
from typing import Any

import joblib
from sklearn.base import BaseEstimator, clone
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.pipeline import make_pipeline, make_union

from ..embedding._embedder import DNABertSEmbedder
from ..embedding._kmer_embedder import KmerEmbedder

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
        ``raw TNF`` (tetranucleotide frequencies of the given strand, the paper's baseline),
        ``TNF-K`` and ``canonical TNF`` (see `KmerEmbedder`), ``PCA of 4+5-mers`` (64 components),
        ``LDA of 4+5-mers`` (their shrunken discriminants; `supervised` only), and ``bundled model``
        or the name of `model`.

    Examples
    --------
    >>> from dnaembed.benchmark import default_embedders
    >>> list(default_embedders(supervised=False, model=None))
    ['raw TNF', 'TNF-K', 'canonical TNF', 'PCA of 4+5-mers']
    """
    profiles = make_union(KmerEmbedder(4), KmerEmbedder(5))
    embedders = {
        "raw TNF": KmerEmbedder(method="raw"),
        "TNF-K": KmerEmbedder(method="tnf-k"),
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
    embedders: Mapping[str, Embedder] | Iterable[Any] | None, *, supervised: bool, n_reads: int
) -> dict[str, Any]:
    """Return embedders by name, which will be fitted on at least `n_reads` reads."""
    if embedders is None:
        checked = default_embedders(supervised=supervised)
        if n_reads < _N_COMPONENTS:
            logger.info("%s is left out: %d reads are too few.", _PCA, n_reads)
            del checked[_PCA]
        return checked
    if isinstance(embedders, str | BaseEstimator):
        embedders = [embedders]
    items = list(embedders.items()) if isinstance(embedders, Mapping) else []
    for item in () if items else embedders:
        if not isinstance(item, tuple):
            item = (model_name(item) if isinstance(item, str) else type(item).__name__, item)
        items.append(item)
    checked = {}
    for name, embedder in items:
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
