"""Nearest neighbours and sums of similarities, in tiles: never all pairs of rows at once."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np

from ..utils._compile import compiled, import_compiled
from ..utils._progress import progress

# Rows up to which "auto" is exact: about two minutes of two cores at 384 columns, four times as
# much for twice the rows.
EXACT_ROWS = 200_000
# Rows and columns of a tile of products: large enough for the matrix product to be at its fastest,
# small enough for the caches of a processor.
_TILE = 2048


def find_neighbors(
    X: np.ndarray, n_neighbors: int, *, how: str, random_state: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray]:
    """Find the rows with the largest dot products, from the most similar.

    "auto" is exact up to 200,000 rows. Up to 2,048 rows "approximate" is exact, too.
    """
    if how == "auto":
        how = "approximate" if len(X) > EXACT_ROWS else "exact"
    # Few rows take no time, and descent may not find enough among them.
    if how == "exact" or len(X) <= _TILE:
        return nearest_neighbors(X, n_neighbors)
    return approximate_neighbors(X, n_neighbors, random_state)


def nearest_neighbors(X: np.ndarray, n_neighbors: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the rows with the largest dot products, exactly.

    Each pair of rows is multiplied once. Of equal similarities, the rows that come first win,
    whatever the size of the tiles. A row is not a neighbour of itself.
    """
    indices = np.zeros((len(X), n_neighbors), dtype=np.intp)
    similarities = np.full((len(X), n_neighbors), -np.inf, dtype=X.dtype)
    least = np.full(len(X), -np.inf, dtype=X.dtype)
    for start, first, products in _tiles(X, "Neighbours"):
        if start == first:
            np.fill_diagonal(products, -np.inf)
        _keep_nearest(products, start, first, similarities, indices, least)
    return indices, similarities


def approximate_neighbors(
    X: np.ndarray, n_neighbors: int, random_state: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray]:
    """Find most of the rows with the largest dot products, by nearest-neighbour descent.

    Where fewer were found, the rest has similarity 0.

    References
    ----------
    .. [1] Dong, Moses & Li, "Efficient k-nearest neighbor graph construction for generic
       similarity measures", WWW 2011.
    """
    pynndescent = import_compiled("pynndescent")  # takes a second, and few need it

    rows = np.ascontiguousarray(X, dtype=np.float32)
    with warnings.catch_warnings():
        # Rows without enough similar ones do no harm here.
        warnings.filterwarnings("ignore", message="Failed to correctly find n_neighbors")
        # One more, as a row finds itself.
        found, _ = pynndescent.NNDescent(
            rows,
            metric="dot",
            n_neighbors=n_neighbors + 1,
            random_state=random_state,
            compressed=False,
        ).neighbor_graph
    indices = np.empty((len(X), n_neighbors), dtype=np.intp)
    similarities = np.empty((len(X), n_neighbors), dtype=X.dtype)
    for start in range(0, len(X), _TILE):
        some = found[start : start + _TILE].astype(np.intp)
        products = np.einsum("ij,ikj->ik", X[start : start + _TILE], X[some])
        products[some < 0] = 0  # none found
        own = some == np.arange(start, start + len(some))[:, None]
        products[own] = -np.inf
        order = np.argsort(-products, axis=1, kind="stable")[:, :n_neighbors]
        indices[start : start + _TILE] = np.take_along_axis(some, order, axis=1)
        similarities[start : start + _TILE] = np.take_along_axis(products, order, axis=1)
    return np.maximum(indices, 0), similarities


def own_similarity_sums(X: np.ndarray, min_similarity: float) -> np.ndarray:
    """Sum, for each row, its similarities to all rows that reach a threshold, itself included."""
    sums = np.zeros(len(X))
    for start, first, products in _tiles(X, "Densities"):
        rows = sums[start : start + products.shape[0]]
        columns = sums[first : first + products.shape[1]] if start != first else None
        add_similar(products, min_similarity, rows, columns)
    return sums


def add_similar(
    products: np.ndarray,
    min_similarity: float,
    rows: np.ndarray,
    columns: np.ndarray | None = None,
) -> None:
    """Add the products that reach a threshold to sums of rows and, if given, of columns."""
    limit = products.dtype.type(min_similarity)
    if columns is None:
        _add_similar(products, limit, rows, rows[:0], False)
    else:
        _add_similar(products, limit, rows, columns, True)


def _tiles(X: np.ndarray, description: str) -> Iterator[tuple[int, int, np.ndarray]]:
    """Multiply X by its transpose, tile by tile: those on the diagonal and to the right of it.

    Yields first row, first column and products of a tile, which the next one overwrites.
    """
    n_tiles = -(-len(X) // _TILE)
    buffer = np.empty(min(_TILE, len(X)) ** 2, dtype=X.dtype)
    with progress(total=n_tiles * (n_tiles + 1) // 2, description=description) as bar:
        for start in range(0, len(X), _TILE):
            rows = X[start : start + _TILE]
            for first in range(start, len(X), _TILE):
                columns = X[first : first + _TILE]
                products = buffer[: len(rows) * len(columns)].reshape(len(rows), len(columns))
                yield start, first, np.matmul(rows, columns.T, out=products)
                bar.update()


@compiled
def _keep_nearest(  # type: ignore[no-untyped-def]
    products, start, first, similarities, indices, least
):
    """Offer each product to its row and, off the diagonal, to the row that its column is."""
    n_neighbors = similarities.shape[1]
    for i in range(products.shape[0]):
        row = start + i
        limit = least[row]
        for j in range(products.shape[1]):
            value = products[i, j]
            for side in range(2):
                if side == 0:
                    if value <= limit:
                        continue
                    to, other = row, first + j
                else:
                    if start == first or value <= least[first + j]:
                        continue
                    to, other = first + j, row
                place = n_neighbors - 1
                while place > 0 and similarities[to, place - 1] < value:
                    similarities[to, place] = similarities[to, place - 1]
                    indices[to, place] = indices[to, place - 1]
                    place -= 1
                similarities[to, place] = value
                indices[to, place] = other
                least[to] = similarities[to, n_neighbors - 1]
            limit = least[row]


# Sums may be taken in any order: then the compiler can add several numbers at a time.
@compiled(fastmath={"nsz", "reassoc"})
def _add_similar(  # type: ignore[no-untyped-def]
    products, min_similarity, rows, columns, both
):
    """Add what reaches the threshold to its row and, if `both`, to its column."""
    for i in range(products.shape[0]):
        total = 0.0
        if both:
            for j in range(products.shape[1]):
                value = products[i, j]
                kept = np.float64(value) if value >= min_similarity else 0.0
                total += kept
                columns[j] += kept
        else:
            for j in range(products.shape[1]):
                value = products[i, j]
                total += np.float64(value) if value >= min_similarity else 0.0
        rows[i] += total
