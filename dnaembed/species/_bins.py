"""Bins of contigs: which contigs make bins, which join them, which are bins alone."""

import logging
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.base import clone
from sklearn.utils import _safe_indexing

from .._sequences import check_sequences
from ..utils._rows import row_blocks, unit_length
from ._clusterer import SpeciesClusterer
from ._inputs import default_embedder

logger = logging.getLogger("dnaembed")

# Logistic regression on contigs of communities of the bundled model's training genomes, calibrated
# on other genomes (docs/benchmarks/binning_confidence.py). Of the cosine to the rest of the bin,
# logarithms of the lengths of contig and rest, the product of the first two, the cosine to the next
# bin, and the logarithm of the number of samples plus 1.
_CONFIDENCE = np.array([32.27, -0.05, -0.48, -0.32, -22.06, 3.18])
_CONFIDENCE_AT_0 = 0.77


def bin_contigs(
    sequences: Iterable[str],
    clusterer: SpeciesClusterer | None = None,
    *,
    embeddings: Any = None,
    abundance: Any = None,
    circular: Any = None,
    min_length: int = 2500,
    min_recruit_length: int = 1000,
) -> np.ndarray:
    """Bin the contigs of an assembly by species.

    Short contigs make no bins; with coverage, they are taken into the nearest one if they are
    inside its limit. Circular contigs of at least ``clusterer.min_bin_bases`` are whole genomes:
    each is a bin alone, numbered after the others.

    Parameters
    ----------
    sequences : iterable of str of length n_samples
        Contigs.
    clusterer : SpeciesClusterer, default=None
        If it is fitted, its bins take the contigs; if not, it is fitted to them. None stands for
        ``SpeciesClusterer(random_state=0)``.
    embeddings : array-like of shape (n_samples, n_features), default=None
        Of the contigs; may be memory-mapped. None: the embedder of `clusterer` makes them.
    abundance : array-like of shape (n_samples, n_profiles), default=None
        Mean coverages of the contigs in `n_profiles` sequenced samples: see `SpeciesClusterer.fit`.
    circular : array-like of bool of shape (n_samples,), default=None
        Which contigs are circular; not looked at if `clusterer` is fitted.
    min_length : int, default=2500
        Length, in bp, of the shortest contigs that bins are made of.
    min_recruit_length : int, default=1000
        Of the shortest contigs that bins take in. Rows of shorter ones are not looked at.

    Returns
    -------
    ndarray of shape (n_samples,), int
        Bin of each contig, -1 for none; ValueError if no contig is long enough.

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
    lengths = np.array([len(contig) for contig in contigs])
    for name, rows in (("embeddings", embeddings), ("abundance", abundance)):
        if rows is not None and len(rows) != len(contigs):
            raise ValueError(
                f"{name} must have one row for each of the {len(contigs)} contigs, got {len(rows)}."
            )
    places = long_enough(lengths, min_length, None if abundance is None else min_recruit_length)
    labels = np.full(len(contigs), -1)
    X = contigs if embeddings is None else embeddings
    if clusterer is None:
        clusterer = SpeciesClusterer(random_state=0)
    if hasattr(clusterer, "cluster_centers_"):
        rows = _rows_at(X, places)
        if embeddings is None and not hasattr(clusterer, "embedder_"):
            # Fitted on embeddings, which the same embedder makes of new contigs.
            embedder = clusterer.embedder
            rows = (default_embedder() if embedder is None else clone(embedder)).fit_transform(rows)
        labels[places] = clusterer.predict(rows, abundance=_rows_at(abundance, places))
        return labels
    alone = np.zeros(len(contigs), dtype=bool)
    if circular is not None:
        alone[places] = np.asarray(circular)[places]
        alone &= lengths >= clusterer.min_bin_bases
    early = np.flatnonzero((lengths >= min_length) & ~alone)
    if len(early):
        coverage = _rows_at(abundance, early)
        clusterer.fit(_rows_at(X, early), abundance=coverage, lengths=lengths[early])
        labels[early] = clusterer.labels_
        late = places[(lengths[places] < min_length) & ~alone[places]]
        if len(late):
            labels[late] = clusterer.predict(_rows_at(X, late), abundance=_rows_at(abundance, late))
    labels[alone] = getattr(clusterer, "n_clusters_", 0) + np.arange(alone.sum())
    return labels


def _rows_at(X: Any, places: np.ndarray) -> Any:
    return None if X is None else _safe_indexing(X, places)


def long_enough(
    lengths: np.ndarray, min_length: int, min_recruit_length: int | None = None
) -> np.ndarray:
    """Return the places of contigs that can be in a bin; raise if none can make one."""
    if lengths.max(initial=0) < min_length:
        raise ValueError(
            f"At least one sequence of {min_length} bp or more is expected, but the longest of "
            f"{len(lengths)} has {lengths.max(initial=0)} bp: lower min_length (--min-length)."
        )
    least = min_length if min_recruit_length is None else min(min_length, min_recruit_length)
    places = np.flatnonzero(lengths >= least)
    if len(places) < len(lengths):
        logger.info("%d sequences are shorter than %d bp.", len(lengths) - len(places), least)
    return places


def reasons_of(labels: np.ndarray, kept: np.ndarray, abundance: Any) -> list[str]:
    """Say why contigs are in no bin; `kept` are those that were long enough."""
    reasons = np.where(labels < 0, "too short", "").astype(object)
    unlike = kept[labels[kept] < 0]
    reasons[unlike] = "unlike the contigs of any bin"
    if abundance is not None:
        uncovered = ~np.asarray(abundance)[unlike].any(axis=1)
        reasons[unlike[uncovered]] = "no coverage"
    return reasons.tolist()


def bin_confidence(embeddings: Any, bins: Any, lengths: Any, *, n_profiles: int = 0) -> np.ndarray:
    """Estimate how likely each contig is of the species that most of its bin is of.

    A logistic function of similarities to the rest of the bin and to the next bin, of lengths, and
    of the number of samples, fitted to embeddings of the bundled model; others are only ranked.

    Parameters
    ----------
    embeddings : array-like of shape (n_samples, n_features)
        Of the contigs.
    bins : array-like of int of shape (n_samples,)
        As `bin_contigs` returns them.
    lengths : array-like of shape (n_samples,)
        Bases of each contig.
    n_profiles : int, default=0
        Number of samples whose coverages the bins were made with.

    Returns
    -------
    ndarray of shape (n_samples,)
        From 0 to 1; nan for contigs in no bin, 1 for those alone in one.

    Examples
    --------
    >>> from dnaembed.species import bin_confidence
    >>> rows = [[1.0, 0.0], [1.0, 0.1], [0.9, 0.0], [0.0, 1.0], [1.0, 1.0]]
    >>> bin_confidence(rows, [0, 0, 0, 1, -1], [9000, 7000, 8000, 800_000, 5000]).round(2)
    array([ 1.,  1.,  1.,  1., nan])
    """
    bins = np.asarray(bins)
    confidence = np.full(len(bins), np.nan)
    alone = np.bincount(bins[bins >= 0], minlength=1) == 1
    for block, parts in confidence_features(embeddings, bins, lengths, n_profiles):
        found = expit(parts @ _CONFIDENCE + _CONFIDENCE_AT_0)
        confidence[block] = np.where(alone[bins[block]], 1, found)
    return confidence


def confidence_features(
    embeddings: Any, bins: np.ndarray, lengths: Any, n_profiles: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield places of binned contigs, a block at a time, and what their confidence is made of."""
    rows, lengths = np.asanyarray(embeddings), np.asarray(lengths, dtype=np.float64)
    binned = np.flatnonzero(bins >= 0)
    if not len(binned):
        return
    bases = np.bincount(bins[binned], lengths[binned])
    sums = np.zeros((len(bases), rows.shape[1]))
    blocks = [binned[b] for b in row_blocks(len(binned), 8 * max(sums.shape))]
    for block in blocks:
        np.add.at(sums, bins[block], unit_length(rows[block]))
    centers = unit_length(sums)
    for block in blocks:
        unit, own = unit_length(rows[block]), bins[block]
        similar = np.einsum("ij,ij->i", unit, unit_length(sums[own] - unit)) - 0.85
        others = unit @ centers.T
        others[np.arange(len(block)), own] = 0
        size = np.log(lengths[block] / 5000)
        rest = np.log(np.maximum(bases[own] - lengths[block], 1) / 1e6)
        samples = np.full(len(block), np.log1p(n_profiles))
        next_bin = others.max(axis=1) - 0.8
        yield block, np.stack([similar, size, rest, similar * size, next_bin, samples], axis=1)
