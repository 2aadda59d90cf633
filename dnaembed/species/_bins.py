"""Bins of contigs: those that are long enough are binned, the others are in none."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from sklearn.base import clone

from .._sequences import check_sequences
from ._clusterer import SpeciesClusterer
from ._inputs import default_embedder

logger = logging.getLogger("dnaembed")


def bin_contigs(
    sequences: Iterable[str],
    clusterer: SpeciesClusterer | None = None,
    *,
    embeddings: Any = None,
    abundance: Any = None,
    min_length: int = 2500,
) -> np.ndarray:
    """Bin the contigs of an assembly by species.

    Short contigs say too little about their species: they are in no bin, and not embedded.

    Parameters
    ----------
    sequences : iterable of str of length n_samples
        Contigs.
    clusterer : SpeciesClusterer, default=None
        If it is fitted, its bins take the contigs. If not, it is fitted to them, so that it can
        take others later. None stands for ``SpeciesClusterer(random_state=0)``.
    embeddings : array-like of shape (n_samples, n_features), default=None
        Of the contigs; may be memory-mapped. None: the embedder of `clusterer` makes them.
    abundance : array-like of shape (n_samples, n_profiles), default=None
        Mean coverages of the contigs in `n_profiles` sequenced samples: see `SpeciesClusterer.fit`.
    min_length : int, default=2500
        Length, in bp, of the shortest contigs that are binned. Rows of shorter ones in
        `embeddings` and `abundance` are not looked at.

    Returns
    -------
    ndarray of shape (n_samples,), int
        Bin of each contig, -1 for none.

    Raises
    ------
    ValueError
        If no contig is long enough, or there is not one row for each contig.

    See Also
    --------
    dnaembed.io.write_bins : One FASTA file per bin.

    Examples
    --------
    >>> from dnaembed import KmerEmbedder, SpeciesClusterer
    >>> from dnaembed.species import bin_contigs
    >>> contigs = ["ACGGC" * 60, "ATTAT" * 60, "CCGGA" * 60, "TTATA" * 60, "ACGT"]
    >>> clusterer = SpeciesClusterer(2, embedder=KmerEmbedder(k=1), random_state=0)
    >>> bins = bin_contigs(contigs, clusterer, min_length=300)
    >>> bool(bins[0] == bins[2] != bins[1] == bins[3]), int(bins[4])
    (True, -1)
    """
    contigs = check_sequences(sequences)
    long = long_enough(contigs, min_length)
    if clusterer is None:
        clusterer = SpeciesClusterer(random_state=0)
    if abundance is not None:
        abundance = _rows_of_long(abundance, "abundance", long, len(contigs))
    if embeddings is not None:
        X: Any = _rows_of_long(embeddings, "embeddings", long, len(contigs))
    else:
        X = [contigs[i] for i in long]
        if hasattr(clusterer, "cluster_centers_") and not hasattr(clusterer, "embedder_"):
            # Fitted on embeddings, which the same embedder makes of new contigs.
            embedder = clusterer.embedder
            X = (default_embedder() if embedder is None else clone(embedder)).fit_transform(X)
    labels = np.full(len(contigs), -1)
    if hasattr(clusterer, "cluster_centers_"):
        labels[long] = clusterer.predict(X, abundance=abundance)
    else:
        labels[long] = clusterer.fit(X, abundance=abundance).labels_
    return labels


def long_enough(sequences: Sequence[str], min_length: int) -> np.ndarray:
    """Return the places of sequences of at least `min_length` bp; raise if there are none."""
    lengths = np.array([len(sequence) for sequence in sequences])
    long = np.flatnonzero(lengths >= min_length)
    if not len(long):
        raise ValueError(
            f"At least one sequence of {min_length} bp or more is expected, but the longest of "
            f"{len(lengths)} has {lengths.max(initial=0)} bp: lower min_length (--min-length)."
        )
    if len(long) < len(lengths):
        logger.info("%d sequences are shorter than %d bp.", len(lengths) - len(long), min_length)
    return long


def _rows_of_long(rows: Any, name: str, long: np.ndarray, n_contigs: int) -> np.ndarray:
    rows = rows if isinstance(rows, np.ndarray) else np.asarray(rows)
    if len(rows) != n_contigs:
        raise ValueError(
            f"{name} must have one row for each of the {n_contigs} contigs, got {len(rows)}."
        )
    return rows[long]
