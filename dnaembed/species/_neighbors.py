"""Nearest neighbours and sums of similarities, in tiles: never all pairs of rows at once."""

from collections.abc import Iterator

import numpy as np

from ..utils._compile import compiled
from ..utils._progress import progress
from ..utils._rows import row_blocks

# Rows up to which "auto" is exact: about two minutes of two cores at 384 columns, four times as
# much for twice the rows.
EXACT_ROWS = 200_000
# Rows and columns of a tile of products: large enough for the matrix product to be at its fastest,
# small enough for the caches of a processor.
_TILE = 2048
# Of approximate neighbours: rows of a cell, cells that are looked at, and how cells are made. On
# 200,000 rows that is 97 % of the neighbours, for a ninth of the products.
_CELL, _NEAR, _ROWS_PER_CENTER, _STEPS = 500, 32, 40, 6


def find_neighbors(
    X: np.ndarray, n_neighbors: int, *, how: str, random_state: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray]:
    """Find the rows with the largest dot products, from the most similar."""
    exact = how == "exact" or (how == "auto" and len(X) <= EXACT_ROWS)
    # Few rows take no time, and cells of them may hold too few.
    if exact or len(X) <= _TILE:
        return nearest_neighbors(X, n_neighbors)
    return approximate_neighbors(X, n_neighbors, random_state)


def nearest_neighbors(X: np.ndarray, n_neighbors: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the other rows with the largest dot products, exactly; of equal ones the first."""
    indices = np.zeros((len(X), n_neighbors), dtype=np.int32)
    similarities = np.full((len(X), n_neighbors), -np.inf, dtype=X.dtype)
    least = np.full(len(X), -np.inf, dtype=X.dtype)
    for start, first, products in _tiles(X, "Neighbours"):
        if start == first:
            np.fill_diagonal(products, -np.inf)
        rows, columns = start + np.arange(len(products)), first + np.arange(products.shape[1])
        _keep_nearest(products, rows, columns, start == first, similarities, indices, least)
    return indices, similarities


def approximate_neighbors(
    X: np.ndarray, n_neighbors: int, random_state: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray]:
    """Find most of the rows with the largest dot products: among those of cells that lie near.

    Cells are the groups of a short K-means, as in the inverted files of Jegou et al., "Product
    quantization for nearest neighbor search", TPAMI 2011; of two cells that are near, all rows are
    compared. Where fewer were found, the rest has similarity 0.
    """
    indices = np.zeros((len(X), n_neighbors), dtype=np.int32)
    similarities = np.full((len(X), n_neighbors), -np.inf, dtype=X.dtype)
    least = np.full(len(X), -np.inf, dtype=X.dtype)
    centers = _centers(X, max(1, len(X) // _CELL), random_state)
    own = _nearest_centers(X, centers)
    ends = np.cumsum(np.bincount(own, minlength=len(centers)))
    cells = np.split(np.argsort(own, kind="stable"), ends[:-1])
    order = np.argsort(-(centers @ centers.T), axis=1, kind="stable")[:, :_NEAR]
    is_near = np.zeros((len(centers), len(centers)), dtype=bool)
    np.put_along_axis(is_near, order, True, axis=1)
    is_near = np.triu(is_near | is_near.T, 1)  # each pair once
    for cell, near in zip(progress(cells, description="Neighbours"), is_near, strict=True):
        others = np.concatenate([cell[:0], *(cells[i] for i in np.flatnonzero(near))])
        pieces = _pieces(cell)
        for i, rows in enumerate(pieces):
            for columns in (*pieces[i:], *_pieces(others)):
                products = X[rows] @ X[columns].T
                is_same = columns is rows
                if is_same:
                    np.fill_diagonal(products, -np.inf)
                _keep_nearest(products, rows, columns, is_same, similarities, indices, least)
    similarities[np.isneginf(similarities)] = 0
    return indices, similarities


def _centers(X: np.ndarray, n_cells: int, random_state: np.random.RandomState) -> np.ndarray:
    """Group a sample of rows by spherical K-means, in a few steps."""
    n_rows = min(len(X), _ROWS_PER_CENTER * n_cells)
    sample = X[random_state.choice(len(X), n_rows, replace=False)]
    centers = sample[:n_cells].copy()
    for _ in range(_STEPS):
        own = _nearest_centers(sample, centers)
        sizes = np.bincount(own, minlength=n_cells)
        starts = np.cumsum(sizes) - sizes
        there = np.unique(own)
        sums = np.add.reduceat(sample[np.argsort(own, kind="stable")], starts[there], axis=0)
        centers[there] = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
    return centers


def _nearest_centers(rows: np.ndarray, centers: np.ndarray) -> np.ndarray:
    blocks = row_blocks(len(rows), len(centers) * rows.itemsize)
    return np.concatenate([(rows[block] @ centers.T).argmax(axis=1) for block in blocks])


def _pieces(rows: np.ndarray) -> list[np.ndarray]:
    return [rows[start : start + _TILE] for start in range(0, len(rows), _TILE)]


def own_similarity_sums(X: np.ndarray, min_similarity: float) -> np.ndarray:
    """Sum, for each row, its similarities to all rows that reach a threshold, itself included."""
    sums, limit = np.zeros(len(X)), X.dtype.type(min_similarity)
    for start, first, products in _tiles(X, "Densities"):
        n_columns = products.shape[1]  # on the diagonal, rows have it all
        columns = sums[first : first + n_columns] if start != first else np.zeros(n_columns)
        add_similar(products, limit, sums[start : start + products.shape[0]], columns)
    return sums


def similarity_sums(A: np.ndarray, B: np.ndarray, min_similarity: float) -> np.ndarray:
    """Sum, for each row of A, its similarities to the rows of B that reach a threshold."""
    sums, limit = np.zeros(len(A)), A.dtype.type(min_similarity)
    for block in row_blocks(len(A), len(B) * A.itemsize):
        add_similar(A[block] @ B.T, limit, sums[block], np.zeros(len(B)))
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
def _keep_nearest(  # type: ignore[no-untyped-def]
    products, rows, columns, is_same, similarities, indices, least
):
    """Offer each product to its row and, unless both are the same rows, to that of its column."""
    n_neighbors = similarities.shape[1]
    for i in range(products.shape[0]):
        row = rows[i]
        limit = least[row]
        for j in range(products.shape[1]):
            value = products[i, j]
            for side in range(2):
                if side == 0:
                    if value <= limit:
                        continue
                    to, other = row, columns[j]
                else:
                    if is_same or value <= least[columns[j]]:
                        continue
                    to, other = columns[j], row
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
    """Add what reaches the limit to its row and to its column."""
    for i in range(products.shape[0]):
        total = 0.0
        for j in range(products.shape[1]):
            value = products[i, j]
            kept = np.float64(value) if value >= limit else 0.0
            total += kept
            columns[j] += kept
        rows[i] += total
