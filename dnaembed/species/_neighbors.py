"""Nearest neighbours and sums of similarities, in tiles: never all pairs of rows at once."""

import warnings
from collections.abc import Iterator

import numpy as np

from ..utils._compile import compiled, import_compiled
from ..utils._progress import progress
from ..utils._rows import row_blocks

# Rows up to which "auto" is exact: about two minutes of two cores at 384 columns, four times as
# much for twice the rows.
EXACT_ROWS = 200_000
# Rows and columns of a tile of products: large enough for the matrix product to be at its fastest,
# small enough for the caches of a processor.
_TILE = 2048


def find_neighbors(
    X: np.ndarray, n_neighbors: int, *, how: str, random_state: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray]:
    """Find the rows with the largest dot products, from the most similar."""
    exact = how == "exact" or (how == "auto" and len(X) <= EXACT_ROWS)
    # Few rows take no time, and descent may not find enough among them.
    if exact or len(X) <= _TILE:
        return nearest_neighbors(X, n_neighbors)
    return approximate_neighbors(X, n_neighbors, random_state)


def nearest_neighbors(X: np.ndarray, n_neighbors: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the other rows with the largest dot products, exactly; of equal ones the first."""
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

    Dong, Moses & Li, "Efficient k-nearest neighbor graph construction for generic similarity
    measures", WWW 2011. Where fewer were found, the rest has similarity 0.
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
    sums, limit = np.zeros(len(X)), X.dtype.type(min_similarity)
    for start, first, products in _tiles(X, "Densities"):
        columns = sums[first : first + products.shape[1]] if start != first else sums[:0]
        add_similar(products, limit, sums[start : start + products.shape[0]], columns)
    return sums


def similarity_sums(A: np.ndarray, B: np.ndarray, min_similarity: float) -> np.ndarray:
    """Sum, for each row of A, its similarities to the rows of B that reach a threshold."""
    sums, limit = np.zeros(len(A)), A.dtype.type(min_similarity)
    for block in row_blocks(len(A), len(B) * A.itemsize):
        add_similar(A[block] @ B.T, limit, sums[block], sums[:0])
    return sums


def _tiles(X: np.ndarray, description: str) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield first row, first column and products of tiles of ``X @ X.T``, from the diagonal on."""
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
def _keep_nearest(products, start, first, similarities, indices, least):  # type: ignore[no-untyped-def]
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
def add_similar(products, limit, rows, columns):  # type: ignore[no-untyped-def]
    """Add what reaches the limit to its row and, if there are any, to its column."""
    both = len(columns) > 0
    for i in range(products.shape[0]):
        total = 0.0
        if both:
            for j in range(products.shape[1]):
                value = products[i, j]
                kept = np.float64(value) if value >= limit else 0.0
                total += kept
                columns[j] += kept
        else:
            for j in range(products.shape[1]):
                value = products[i, j]
                total += np.float64(value) if value >= limit else 0.0
        rows[i] += total
