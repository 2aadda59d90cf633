"""A bundled k-mer profile model in numpy: as fast as in PyTorch on a CPU, and ready in no time."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from ..composition import kmer_counts
from ..composition._counting import n_kmers
from ..utils._compile import compiled
from ..utils._threads import one_blas_thread
from ._checkpoint import content_digest, read_json

_NOT_SIZES = ("architectures", "dropout", "dtype", "rank", "transformers_version", "window_size")
# erf(x / sqrt(2)) = x P(x^2) / Q(x^2) within 2e-9 up to this x, fitted by least squares; from there
# on it is 1 in float32.
_ERF_UP_TO = np.float32(5.6)
_P = np.array(
    [-1.602e-10, 1.0943815e-7, 1.714920e-5, 3.3729926e-4, 9.6069753e-3, 0.064950922, 0.79788461],
    "f4",
)
_Q = np.array([2.050452e-6, 8.198422e-5, 1.9284959e-3, 0.028385168, 0.24807088, 1], "f4")


class BundledProfile:
    """What is in a folder of ours; everything but embedding is left to the backbone.

    Rows differ by 1e-6 at most from those of `dnaembed.backbones.KmerProfileModel` in float32.
    """

    device_type, precision, default_budget = "cpu", "float32", 512
    strand_invariant, shares_operations, window_size = True, False, None

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sizes = read_json(folder / "config.json")
        arrays = load_file(folder / "model.safetensors")
        self._weights = {name: np.asarray(array, np.float32) for name, array in arrays.items()}
        self.embedding_size = self._sizes["deep_size"] + self._sizes["linear_size"]
        sizes = {n: value for n, value in self._sizes.items() if n not in _NOT_SIZES}
        self._fingerprint = content_digest(sizes, "", self._weights)
        self._ends = np.cumsum([n_kmers(k) for k in self._sizes["k"]])

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_folder":
            raise AttributeError(name)
        from ._kmer_profile import KmerProfileBackbone

        self._whole = vars(self).get("_whole") or KmerProfileBackbone.from_folder(self._folder)
        return getattr(self._whole, name)

    def fingerprint(self) -> str:
        """Return the digest that the backbone in PyTorch has."""
        return self._fingerprint

    def embed_plainly(self, sequences: Sequence[str], n_rows: int) -> np.ndarray:
        """Embed normalised sequences, some at a time that stay in the cache of the processor."""
        starts = range(0, len(sequences), n_rows)
        with one_blas_thread:
            return np.concatenate([self._embed(sequences[i : i + n_rows]) for i in starts])

    def _embed(self, sequences: Sequence[str]) -> np.ndarray:
        weights, sizes = self._weights, self._sizes
        counts = kmer_counts(sequences, sizes["k"]).view(np.int32)
        start = _standardised(counts, self._ends, weights["mean"], weights["scale"])
        hidden = self._linear(start, "enter")
        for i in range(sizes["num_hidden_layers"]):
            inside = self._linear(self._normal(hidden, f"layers.{i}.norm"), f"layers.{i}.widen")
            _gelu(inside)
            hidden += self._linear(inside, f"layers.{i}.narrow")
        deep = self._normal(hidden, "norm") @ weights["leave.weight"].T
        linear = np.float32(sizes["linear_weight"]) * _unit(start[:, :-1] @ weights["linear"].T)
        return np.concatenate((_unit(deep), linear), axis=1)

    def _linear(self, rows: np.ndarray, name: str) -> np.ndarray:
        if f"{name}.0.weight" in self._weights:  # a product of two
            rows, name = rows @ self._weights[f"{name}.0.weight"].T, f"{name}.1"
        out = np.asarray(rows @ self._weights[f"{name}.weight"].T)
        out += self._weights[f"{name}.bias"]
        return out

    def _normal(self, rows: np.ndarray, name: str) -> np.ndarray:
        return _normalised(rows, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])


def _unit(rows: np.ndarray) -> np.ndarray:
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]
    return np.asarray(rows / np.maximum(lengths, 1e-12))


# So that the compiler can compute several numbers at a time.
_loops = compiled(fastmath={"nsz", "reassoc", "contract", "arcp"}, error_model="numpy")


@_loops
def _standardised(counts, ends, mean, scale):  # type: ignore[no-untyped-def]
    """Standardise the roots of the frequencies of each k; beside them, the log number of k-mers."""
    out = np.empty((counts.shape[0], counts.shape[1] + 1), np.float32)
    for i in range(counts.shape[0]):
        start = 0
        for end in ends:  # views of one dimension are faster, and so are signed integers
            own, means, scales = counts[i, start:end], mean[start:end], scale[start:end]
            to, total = out[i, start:end], np.int32(0)
            for j in range(own.size):
                total += own[j]
            total = max(total, np.int32(1))
            share = np.sqrt(np.float32(1) / np.float32(total))
            for j in range(own.size):
                to[j] = (np.sqrt(np.float32(own[j])) * share - means[j]) * scales[j]
            if start == 0:
                out[i, -1] = np.log(np.minimum(total, 10_000) / 4000)
            start = end
    return out


@_loops
def _normalised(rows, weight, bias):  # type: ignore[no-untyped-def]
    """Normalise the layers of rows."""
    out, n = np.empty_like(rows), np.float32(rows.shape[1])
    for i in range(rows.shape[0]):
        total = square = np.float32(0)
        for j in range(rows.shape[1]):
            total += rows[i, j]
        mean = total / n
        for j in range(rows.shape[1]):
            square += (rows[i, j] - mean) ** 2
        share = np.float32(1) / np.sqrt(square / n + np.float32(1e-5))
        for j in range(rows.shape[1]):
            out[i, j] = (rows[i, j] - mean) * share * weight[j] + bias[j]
    return out


@_loops
def _gelu(rows):  # type: ignore[no-untyped-def]
    """Apply the exact GELU in place."""
    for i in range(rows.shape[0]):
        for j in range(rows.shape[1]):
            value = rows[i, j]
            x = min(max(value, -_ERF_UP_TO), _ERF_UP_TO)
            above, below = _P[0], _Q[0]
            for m in range(1, len(_P)):
                above = above * x * x + _P[m]
            for m in range(1, len(_Q)):
                below = below * x * x + _Q[m]
            rows[i, j] = np.float32(0.5) * value * (np.float32(1) + x * above / below)
