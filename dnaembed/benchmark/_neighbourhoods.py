"""Whether sequences lie near those of their species: retrieval and silhouette."""

from __future__ import annotations

import numpy as np

from ..species._kmedoid import row_blocks
from ..utils._rows import unit_length


def retrieval_score(
    embeddings: np.ndarray,
    labels: np.ndarray,
    *,
    exclude: np.ndarray | None = None,
    max_queries: int | None = None,
    random_state: int | None = 0,
) -> float:
    """Ask of each sequence whether its nearest neighbour is of the same species.

    Parameters
    ----------
    embeddings : ndarray of shape (n, d)
        One row a sequence, n at least 2; neighbours are those of the largest cosine similarity.
    labels : ndarray of shape (n,)
        Species of each; those without company are searched among, and not asked.
    exclude : ndarray of shape (n,), default=None
        A sequence does not count as a neighbour of those with the same value here. With genera as
        `labels` and species here: does a sequence of an unknown species find its genus?
    max_queries : int, default=None
        Ask so many sequences only, drawn at random.
    random_state : int or None, default=0
        Seed of the draw.

    Returns
    -------
    float
        Share of the sequences asked, from 0 to 1; nan if none could have found company.

    Examples
    --------
    >>> import numpy as np
    >>> from dnaembed.benchmark import retrieval_score
    >>> rows = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.2, 0.8]])
    >>> retrieval_score(rows, np.array(["a", "a", "b", "a"]))
    0.6666666666666666
    """
    rows = unit_length(embeddings)
    _, codes = np.unique(labels, return_inverse=True)
    _, apart = np.unique(np.arange(len(rows)) if exclude is None else exclude, return_inverse=True)
    both = codes * (apart.max() + 1) + apart
    # Company: sequences of the label that are not excluded.
    company = np.bincount(codes)[codes] - np.bincount(both)[both]
    queries = np.flatnonzero(company > 0)
    if max_queries is not None and len(queries) > max_queries:
        chosen = np.random.default_rng(random_state).choice(queries, max_queries, replace=False)
        queries = np.sort(chosen)
    if not len(queries):
        return float("nan")
    correct = 0
    for block in row_blocks(len(queries), len(rows) * rows.itemsize):
        asked = queries[block]
        similarities = rows[asked] @ rows.T
        similarities[apart[asked][:, np.newaxis] == apart] = -np.inf
        correct += int((codes[similarities.argmax(axis=1)] == codes[asked]).sum())
    return correct / len(queries)


def species_silhouette(embeddings: np.ndarray, labels: np.ndarray) -> float:
    """Compute the mean silhouette of species in cosine distance.

    The same as ``sklearn.metrics.silhouette_score(embeddings, labels, metric="cosine")``, without
    the distances of all pairs: the mean cosine similarity of a row to the rows of a species is its
    product with their mean.

    Parameters
    ----------
    embeddings : ndarray of shape (n, d)
        One row a sequence; rows of zeros are at distance 1 from all.
    labels : ndarray of shape (n,)
        Species of each, at least two of them.

    Returns
    -------
    float
        From -1 to 1; a species of one sequence counts as 0.

    Examples
    --------
    >>> import numpy as np
    >>> from dnaembed.benchmark import species_silhouette
    >>> species_silhouette(np.repeat(np.eye(2), 3, axis=0), np.repeat(["a", "b"], 3))
    1.0
    """
    rows = unit_length(np.asarray(embeddings, dtype=np.float64))
    species, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if len(species) < 2:
        raise ValueError(f"At least two species are required, got {len(species)}.")
    sums = np.zeros((len(species), rows.shape[1]))
    np.add.at(sums, codes, rows)
    distances = 1 - rows @ (sums / counts[:, np.newaxis]).T
    own = np.arange(len(rows)), codes
    # The distance of a row to itself is not counted; it is 0, or 1 for a row of zeros.
    to_itself = 1 - np.einsum("ij,ij->i", rows, rows)
    others = np.maximum(counts[codes] - 1, 1)
    within = (distances[own] * counts[codes] - to_itself) / others
    distances[own] = np.inf
    nearest = distances.min(axis=1)
    larger = np.maximum(within, nearest)
    scores = np.divide(nearest - within, larger, out=np.zeros(len(rows)), where=larger > 0)
    scores[counts[codes] == 1] = 0
    return float(scores.mean())
