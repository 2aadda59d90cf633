"""UMAP in two dimensions, as umap-learn computes it, but without 20 seconds of compiling."""

import numpy as np
from scipy.sparse import coo_array
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize
from sklearn.utils import check_random_state

from ._compile import compiled

_A, _B = 1.5769434, 0.8950609  # the curve 1 / (1 + a d^2b) of points that may lie 0.1 apart


def umap(rows: np.ndarray, start: np.ndarray, random_state: int | None = None) -> np.ndarray:
    """Return points, moved from a start until neighbours of small cosine distance lie together.

    McInnes et al., "UMAP: Uniform Manifold Approximation and Projection", arXiv 1802.03426.
    """
    random = check_random_state(random_state)
    points = start * 10 / max(np.abs(start).max(), 1e-12)
    points = (points + random.normal(scale=1e-4, size=start.shape)).astype(np.float32)
    n_epochs = 500 if len(rows) <= 10_000 else 200
    edges = _neighbor_graph(rows).tocoo()
    every = edges.data.max() / edges.data  # epochs from one use of an edge to the next
    used = every <= n_epochs
    rest = every[used], n_epochs, random.randint(2**31)
    _move(points, edges.row[used], edges.col[used], *rest)
    return points


def _neighbor_graph(rows: np.ndarray) -> coo_array:
    """Return how much each row and another are neighbours, by either's own scale of distances."""
    n_others = min(14, len(rows) - 1)
    distances, others = NearestNeighbors(n_neighbors=n_others).fit(normalize(rows)).kneighbors()
    distances = distances.astype(float) ** 2 / 2  # of unit rows: 1 - cosine
    nearest = np.where(distances > 0, distances, np.inf).min(axis=1, keepdims=True)
    excess = np.maximum(distances - np.where(nearest < np.inf, nearest, 0), 0)
    low = np.full((len(rows), 1), max(distances.mean() / 1000, 1e-12))
    high = np.maximum(low, 10 * distances.max())
    for _ in range(40):  # to the scale at which the sum of weights is as it shall be
        scale = np.sqrt(low * high)
        is_wide = np.exp(-excess / scale).sum(axis=1, keepdims=True) > np.log2(n_others + 1)
        low, high = np.where(is_wide, low, scale), np.where(is_wide, scale, high)
    places = np.repeat(np.arange(len(rows)), n_others), others.ravel()
    graph = coo_array((np.exp(-excess / high).ravel(), places), shape=(len(rows),) * 2).tocsr()
    return graph + graph.T - graph.multiply(graph.T)


@compiled
def _move(points, heads, tails, every, n_epochs, state):  # type: ignore[no-untyped-def]
    """Draw the ends of edges together, and push each head away from points drawn at random."""
    due = every.copy()
    for epoch in range(n_epochs):
        rate = 1 - epoch / n_epochs
        for i in range(len(heads)):
            if due[i] > epoch:
                continue
            due[i] += every[i]
            head, other = heads[i], tails[i]
            for draw in range(6):  # the other end, and five others
                if draw > 0:
                    state = (1_664_525 * state + 1_013_904_223) % 2**32
                    other = (state >> 8) % len(points)
                x, y = points[head] - points[other]
                square = x * x + y * y
                power = max(square, 1e-12) ** _B
                near = -2 * _A * power / (square + 1e-12)
                pull = _B * (near if draw == 0 else 2 / (0.001 + square)) / (1 + _A * power)
                for axis, gap in enumerate((x, y)):
                    step = rate * max(-4.0, min(4.0, pull * gap))
                    points[head, axis] += step
                    points[other, axis] -= step if draw == 0 else 0
