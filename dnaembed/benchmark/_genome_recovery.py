"""How well bins recover genomes, counted in base pairs as the AMBER benchmark does."""

from __future__ import annotations

import numpy as np
from sklearn.utils import check_consistent_length

_COMPLETENESS = (0.5, 0.7, 0.9)
_CONTAMINATION = (0.05, 0.1)


def genome_recovery_scores(
    labels: np.ndarray, bins: np.ndarray, lengths: np.ndarray
) -> dict[str, float]:
    """Score bins in base pairs.

    A bin stands for the genome that most of its base pairs are of. Its completeness is the share
    of that genome's base pairs that it holds, its contamination the share of its own base pairs
    that are of other genomes.

    Parameters
    ----------
    labels : ndarray of shape (n,)
        Genome, or species, of each sequence.
    bins : ndarray of shape (n,)
        Bin of each; -1 for none.
    lengths : ndarray of shape (n,)
        Base pairs of each.

    Returns
    -------
    dict of str to float
        - ``purity_bp``: share of the binned base pairs that are of the genome of their bin;
        - ``completeness_bp``: share of all base pairs that lie in the bin with most of their
          genome;
        - ``mean_purity_bp``: mean purity of the bins, each counted the same;
        - ``mean_completeness_bp``: mean over all genomes of the completeness of the bins that
          stand for it (CAMI 1: a genome that no bin stands for counts as 0; one with several
          bins counts once for each);
        - ``binned_bp``: share of all base pairs that are in a bin;
        - ``genomes>50%<10%`` and so on: bins of more than 50 (70, 90) % completeness and less
          than 10 (5) % contamination, which are as many genomes.

        Purities are nan if there is no bin.

    References
    ----------
    .. [1] Meyer et al., "AMBER: Assessment of Metagenome BinnERs", GigaScience 7 (2018), giy069.

    Examples
    --------
    >>> import numpy as np
    >>> from dnaembed.benchmark import genome_recovery_scores
    >>> scores = genome_recovery_scores(
    ...     np.array(["a", "a", "b"]), np.array([0, 0, -1]), np.array([600, 400, 500])
    ... )
    >>> scores["purity_bp"], scores["genomes>90%<5%"]
    (1.0, 1.0)
    """
    check_consistent_length(labels, bins, lengths)
    lengths = np.asarray(lengths, dtype=np.float64)
    genomes, genome_of = np.unique(labels, return_inverse=True)
    genome_bp = np.bincount(genome_of, weights=lengths)
    binned = np.asarray(bins) != -1
    counts = {
        f"genomes>{100 * c:.0f}%<{100 * t:.0f}%": 0.0 for t in _CONTAMINATION for c in _COMPLETENESS
    }
    if not binned.any():
        return {
            "purity_bp": float("nan"),
            "completeness_bp": 0.0,
            "mean_purity_bp": float("nan"),
            "mean_completeness_bp": 0.0,
            "binned_bp": 0.0,
            **counts,
        }
    _, bin_of = np.unique(np.asarray(bins)[binned], return_inverse=True)
    shared = np.zeros((len(genomes), bin_of.max() + 1))
    np.add.at(shared, (genome_of[binned], bin_of), lengths[binned])
    stands_for = shared.argmax(axis=0)
    inside = shared.max(axis=0)
    purity = inside / shared.sum(axis=0)
    completeness = inside / genome_bp[stands_for]
    n_unfound = len(genomes) - len(np.unique(stands_for))
    for most in _CONTAMINATION:
        for least in _COMPLETENESS:
            good = (completeness > least) & (1 - purity < most)
            counts[f"genomes>{100 * least:.0f}%<{100 * most:.0f}%"] = float(good.sum())
    return {
        "purity_bp": float(inside.sum() / shared.sum()),
        "completeness_bp": float(shared.max(axis=1).sum() / genome_bp.sum()),
        "mean_purity_bp": float(purity.mean()),
        "mean_completeness_bp": float(completeness.sum() / (len(completeness) + n_unfound)),
        "binned_bp": float(shared.sum() / genome_bp.sum()),
        **counts,
    }
