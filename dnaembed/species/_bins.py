"""Bins of contigs: which contigs make bins, which join them, which are bins alone."""

import logging
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.special import expit, logit
from sklearn.base import clone
from sklearn.utils import _safe_indexing

from .._sequences import check_sequences
from ..utils._rows import row_blocks, unit_length
from ._clusterer import SpeciesClusterer
from ._inputs import default_embedder

logger = logging.getLogger("dnaembed")

# Lengths that the numbers of models were fitted to, and one in the middle.
LENGTHS, USUAL = (500, 50_000), 5000


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
    embeddings, abundance : array-like of n_samples rows, default=None
        Embeddings, made by the embedder of `clusterer` if None, and mean coverages in sequenced
        samples, as for `SpeciesClusterer.fit`.
    circular : array-like of bool of shape (n_samples,), default=None
        Which contigs are circular; not looked at if `clusterer` is fitted.
    min_length, min_recruit_length : int, default=2500 and 1000
        Lengths, in bp, of the shortest contigs that bins are made of, and that they take in. Rows
        of shorter ones are not looked at.

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
            expected = f"one row for each of the {len(contigs)} contigs"
            raise ValueError(f"{name} must have {expected}, got {len(rows)}.")
    places = long_enough(lengths, min_length, None if abundance is None else min_recruit_length)
    labels = np.full(len(contigs), -1)
    X = contigs if embeddings is None else embeddings
    clusterer = SpeciesClusterer(random_state=0) if clusterer is None else clusterer
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
    if (longest := lengths.max(initial=0)) < min_length:
        expected = f"At least one sequence of {min_length:,} bp or more is expected"
        got = f"the longest of {len(lengths):,} has {longest:,} bp"
        raise ValueError(f"{expected}, but {got}: lower min_length (--min-length).")
    least = min_length if min_recruit_length is None else min(min_length, min_recruit_length)
    places = np.flatnonzero(lengths >= least)
    if len(places) < len(lengths):
        n_short = len(lengths) - len(places)
        logger.info("%s sequences are shorter than %s bp.", f"{n_short:,}", f"{least:,}")
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


def numbers_of(model: Any) -> dict[str, Any]:
    """Read the numbers of a model, of as many pairs of one species as of two."""
    from ..backbones._checkpoint import read_json
    from ..backbones._load import find_folder

    file = find_folder(model, local_files_only=True) / "same_species.json"
    if not file.exists():
        raise ValueError(f"What similarities of {str(model)!r} mean is not known: no file {file}.")
    return read_json(file)


@lru_cache
def bundled_model(fingerprint: str | None) -> str | None:
    """Return the bundled model of a fingerprint, if there is one."""
    from ..backbones._load import bundled_models

    known = (name for name in bundled_models() if numbers_of(name)["fingerprint"] == fingerprint)
    return next(known, None)


def model_of(source: Any) -> str:
    """Return the bundled model that made embeddings, or the default, and say so."""
    made_by = getattr(source, "fingerprint", None)
    model = "default" if source is None else bundled_model(made_by)
    if model is None:
        logger.info("Confidences are not calibrated for this model: they only rank contigs.")
    return model or "default"


def cosine_for_length(source: Any) -> float:
    """Return what longer sequences of one species are more alike, per unit of log length.

    At that cosine more, `same_species_probability` stays as it was. 0 if it knows no numbers.
    """
    model = bundled_model(getattr(source, "fingerprint", None))
    numbers = {"log_length": 0, "cosine": 1} if model is None else numbers_of(model)
    return float(-numbers["log_length"] / numbers["cosine"])


def log_odds(numbers: dict[str, Any], similarities: Any, *lengths: Any) -> Any:
    """Return the logarithm of the odds of one species, for arrays that broadcast."""
    a, b = (np.clip(bases, *LENGTHS) for bases in lengths)
    size = np.log(2 / (1 / a + 1 / b) / USUAL)
    return numbers["at_zero"] + numbers["cosine"] * similarities + numbers["log_length"] * size


def same_species_probability(
    similarities: Any, lengths_a: Any, lengths_b: Any, *, model: Any = "default", prior: float = 0.5
) -> np.ndarray:
    """Estimate how likely two sequences are of one species, from their similarity and lengths.

    The logarithm of the odds is linear in the similarity and in that of the harmonic mean length.

    Parameters
    ----------
    similarities : array-like
        Cosine similarities of embeddings, from -1 to 1.
    lengths_a, lengths_b : array-like
        Bases of the sequences, from 500 to 50,000 (others count as these); they broadcast.
    model : str or path-like, default="default"
        Which made the embeddings. ValueError if it has no ``same_species.json``; bundled ones do.
    prior : float, default=0.5
        Share of such pairs that are of one species: of any two contigs of 50 species, about 0.02.

    Returns
    -------
    ndarray
        From 0 to 1. :doc:`/guide/embeddings` says how it was fitted, and how well it holds.

    Examples
    --------
    >>> from dnaembed.species import same_species_probability
    >>> same_species_probability([0.65, 0.65, 0.8], [1000, 20_000, 20_000], 20_000).round(2)
    array([0.84, 0.27, 0.94])
    """
    arrays = {"similarities": similarities, "lengths_a": lengths_a, "lengths_b": lengths_b}
    for name, values in (arrays | {"prior": prior}).items():
        array = arrays[name] = np.asarray(values, dtype=np.float64)
        low, high = {"similarities": (-1, 1), "prior": (0, 1)}.get(name, (1, np.inf))
        if (bad := np.flatnonzero(~((array > low - 1e-5) & (array < high + 1e-5)))).size:
            found = array.flat[bad[0]]
            raise ValueError(f"{name} must be from {low} to {high}, got {found} at {bad[0]}.")
    prior_odds = logit(np.clip(arrays.pop("prior"), 0, 1))
    return expit(log_odds(numbers_of(model), *arrays.values()) + prior_odds)


def bin_confidence(
    embeddings: Any, bins: Any, lengths: Any, *, n_profiles: int = 0, model: Any = "default"
) -> np.ndarray:
    """Estimate how likely each contig is of the species that most of its bin is of.

    From `same_species_probability` of it and the rest of its bin, and of it and the next bin.

    Parameters
    ----------
    embeddings, bins, lengths : array-like of shape (n_samples, n_features) and (n_samples,)
        Of the contigs: their rows, what `bin_contigs` returns, and their bases.
    n_profiles : int, default=0
        Number of samples whose coverages the bins were made with.
    model : str or path-like, default="default"
        Which made the embeddings, as for `same_species_probability`.

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
    # A logistic regression (docs/benchmarks/binning_confidence.py) on the log-odds of one species
    # with the rest of the bin and with the next bin, and on log(number of samples + 1).
    *weights, per_sample, at_zero = numbers_of(model)["bins"]
    base = at_zero + per_sample * np.log1p(n_profiles)
    for block, odds in confidence_features(embeddings, bins, lengths, model):
        confidence[block] = np.where(alone[bins[block]], 1, expit(odds @ weights + base))
    return confidence


def confidence_features(
    embeddings: Any, bins: np.ndarray, lengths: Any, model: Any
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
    centers, numbers = unit_length(sums), numbers_of(model)
    for block in blocks:
        unit, own = unit_length(rows[block]), bins[block]
        others, size = unit @ centers.T, lengths[block]
        others[np.arange(len(block)), own] = -1
        similar = np.einsum("ij,ij->i", unit, unit_length(sums[own] - unit))
        odds = [log_odds(numbers, similar, size, np.maximum(bases[own] - size, 1))]
        odds += [log_odds(numbers, others.max(axis=1), size, bases[others.argmax(axis=1)])]
        yield block, np.clip(odds, -10, 10).T  # beyond, too few pairs were seen
