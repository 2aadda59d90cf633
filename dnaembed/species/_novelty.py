"""How new a read is: far from every known species, measured by what left-out reads show."""

from dataclasses import dataclass

import numpy as np

from ..utils._rows import row_blocks, unit_length
from ._bins import LENGTHS, USUAL

# A species' own limit counts as much as the common one when it has this many reads.
_COMMON_WEIGHT = 20.0


@dataclass(frozen=True)
class Novelty:
    """Distances to the centres of species, each in units of what its own reads show."""

    centers: np.ndarray  # of unit length
    limits: np.ndarray  # cosine distances to the centres that are just not new
    # Sorted scores of training reads, each left out of its centre; none if each species has one
    # read, and then the limits are 1: nothing is known about the spread.
    left_out: np.ndarray
    # By how much distances count for less where a read is shorter, per unit of log length.
    per_length: float = 0.0

    def scores(self, X: np.ndarray, lengths: np.ndarray | None = None) -> np.ndarray:
        """Score rows: least distance to a centre over its limit, so that above 1 is new."""
        rows, more = unit_length(X), allowance(self.per_length, lengths, len(X))
        scores = np.empty(len(rows))
        for block in row_blocks(len(rows), len(self.centers) * rows.itemsize):
            distances = np.maximum(more[block, None] - rows[block] @ self.centers.T, 0)
            scores[block] = (distances / self.limits).min(axis=1)
        return scores

    def p_values(self, scores: np.ndarray) -> np.ndarray:
        """Share of left-out reads at least as new, counting the read itself: never 0."""
        n = len(self.left_out)
        return (1 + n - np.searchsorted(self.left_out, scores, side="left")) / (1 + n)


def allowance(per_length: float, lengths: np.ndarray | None, n_rows: int) -> np.ndarray:
    """Return the similarity at which a read of each length is at distance 0: 1 for 5 kb."""
    if lengths is None:
        return np.ones(n_rows)
    return 1 + per_length * np.log(np.clip(lengths, *LENGTHS) / USUAL)


def fit_novelty(
    X: np.ndarray,
    codes: np.ndarray,
    *,
    false_unknown_rate: float,
    lengths: np.ndarray | None = None,
    per_length: float = 0.0,
) -> Novelty:
    """Learn centres and limits from reads of species 0 to n - 1.

    The limit of a species is the quantile of the distances of its reads, each left out of its
    centre, that leaves `false_unknown_rate` of them above, drawn towards that of all species where
    reads are few. Then all limits are scaled so that this share of all has a score above 1.
    """
    rows, more = unit_length(X), allowance(per_length, lengths, len(X))
    counts = np.bincount(codes)
    sums = np.zeros((len(counts), rows.shape[1]))
    np.add.at(sums, codes, rows)
    centers = unit_length(sums)
    several = np.flatnonzero(counts[codes] > 1)
    if not len(several):
        return Novelty(centers, np.ones(len(counts)), np.empty(0))
    own = unit_length(sums[codes[several]] - rows[several])
    distances = np.maximum(more[several] - np.einsum("ij,ij->i", rows[several], own), 0)
    keep = 1 - false_unknown_rate
    common = np.quantile(distances, keep)
    limits = np.full(len(counts), common)
    for code in np.unique(codes[several]):
        mine = distances[codes[several] == code]
        weight = len(mine) / (len(mine) + _COMMON_WEIGHT)
        limits[code] = weight * np.quantile(mine, keep) + (1 - weight) * common
    # Where a species' reads are equal, only what is equal as well is known.
    limits = np.maximum(limits, 1e-6)
    # A read may be nearer to another species: score left-out reads as `scores` would.
    scores = np.empty(len(several))
    for block in row_blocks(len(several), len(counts) * rows.itemsize):
        which = several[block]
        ratios = np.maximum(more[which, None] - rows[which] @ centers.T, 0) / limits
        ratios[np.arange(len(which)), codes[which]] = distances[block] / limits[codes[which]]
        scores[block] = ratios.min(axis=1)
    # One factor for all limits makes it the wanted share, "higher" no more than that. The limits
    # must not shrink to nothing, or rounding makes a known read new.
    scale = max(np.quantile(scores, keep, method="higher"), 1e-6 / limits.max())
    return Novelty(centers, limits * scale, np.sort(scores / scale), per_length)


def check_unknown(unknown: str | int, species: np.ndarray, codes: np.ndarray) -> None:
    """Refuse a name for the unknown that is a species, is of another kind, or cannot be learnt."""
    # Strings may become longer, numbers not.
    fits = {isinstance(name, str) for name in species} == {isinstance(unknown, str)}
    if species.dtype.kind in "iu" and fits:
        limits = np.iinfo(species.dtype)
        fits = not isinstance(unknown, bool) and limits.min <= int(unknown) <= limits.max
    wrong = None
    if not fits or species.dtype.kind not in "OUTfiu":
        kind = type(species[0].item() if hasattr(species[0], "item") else species[0]).__name__
        wrong = f"is not of the kind of the labels ({kind}): give a name, such as 'unknown' or -1"
    elif unknown in species.tolist():
        wrong = "is one of the species in y"
    elif np.bincount(codes).max() < 2:
        raise ValueError("unknown (--unknown) needs 2 reads of a species, got 1 of each.")
    if wrong:
        raise ValueError(f"unknown={unknown!r} {wrong}.")


def name_unknown(calls: np.ndarray, is_unknown: np.ndarray, unknown: str | int) -> np.ndarray:
    """Replace some calls by the name of the unknown, which may be longer than theirs."""
    is_text = calls.dtype.kind == "U"
    calls = calls.astype(np.result_type(calls, np.asarray(unknown)) if is_text else calls.dtype)
    calls[is_unknown] = unknown
    return calls
