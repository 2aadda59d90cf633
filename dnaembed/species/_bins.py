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
    min_recruit_length: int = 1000,
) -> np.ndarray:
    """Bin the contigs of an assembly by species.

    Short contigs say too little about their species to make bins of them. With coverage, those of
    at least `min_recruit_length` are taken into the nearest bin if they are inside its limit;
    without, they are in no bin.

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
        Length, in bp, of the shortest contigs that bins are made of.
    min_recruit_length : int, default=1000
        Length, in bp, of the shortest contigs that bins take in afterwards, where `abundance` is
        given. Rows of shorter ones in `embeddings` and `abundance` are not looked at.

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
    for name, rows in (("embeddings", embeddings), ("abundance", abundance)):
        if rows is not None and len(rows) != len(contigs):
            raise ValueError(
                f"{name} must have one row for each of the {len(contigs)} contigs, got {len(rows)}."
            )
    if clusterer is None:
        clusterer = SpeciesClusterer(random_state=0)
    embedder = None
    fitted = hasattr(clusterer, "cluster_centers_")
    if embeddings is None and fitted and not hasattr(clusterer, "embedder_"):
        # Fitted on embeddings, which the same embedder makes of new contigs.
        embedder = clusterer.embedder
        embedder = default_embedder() if embedder is None else clone(embedder)

    def inputs(places: np.ndarray) -> tuple[Any, np.ndarray | None]:
        coverage = None if abundance is None else np.asarray(abundance)[places]
        if embeddings is not None:
            return np.asanyarray(embeddings)[places], coverage
        chosen = [contigs[i] for i in places]
        return (chosen if embedder is None else embedder.fit_transform(chosen)), coverage

    labels = np.full(len(contigs), -1)
    X, coverage = inputs(long)
    if fitted:
        labels[long] = clusterer.predict(X, abundance=coverage)
    else:
        labels[long] = clusterer.fit(X, abundance=coverage).labels_
    if abundance is not None:
        short = recruits(contigs, min_length, min_recruit_length)
        if len(short):
            X, coverage = inputs(short)
            labels[short] = clusterer.predict(X, abundance=coverage)
    return labels


def recruits(sequences: Sequence[str], min_length: int, min_recruit_length: int) -> np.ndarray:
    """Return the places of sequences that are too short to make bins, and long enough to join."""
    lengths = np.array([len(sequence) for sequence in sequences])
    return np.flatnonzero((lengths < min_length) & (lengths >= min_recruit_length))


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
