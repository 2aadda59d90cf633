"""`KmerEmbedder`: k-mer frequencies, the baselines that every trained model must beat."""

from itertools import product
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from .._sequences import check_sequences, reverse_complement
from ..composition import kmer_counts, kmer_names
from ._mixin import SequenceTransformerMixin, check_made_by


class KmerEmbedder(SequenceTransformerMixin, BaseEstimator):
    """Embed DNA sequences by their k-mer frequencies, without any training.

    Parameters
    ----------
    k : int, default=4
        Length of the k-mers, from 1 to 8.
    method : {"canonical", "raw"}, default="canonical"
        - ``"canonical"``: square roots of the frequencies of k-mers counted together with their
          reverse complements, less their value in a sequence without preferences. The better of the
          two at telling species apart.
        - ``"raw"``: frequencies on the given strand, columns in A, T, C, G order. With ``k=4`` the
          TNF of the DNABERT-S paper.
    dtype : {"float32", "float64"}, default="float32"
        Of the embeddings.

    Notes
    -----
    K-mers with N are not counted. A sequence without any countable k-mer is embedded as zeros.

    Examples
    --------
    >>> from dnaembed import KmerEmbedder
    >>> KmerEmbedder(method="raw", k=1).fit_transform(["AACG"])  # columns A, T, C, G
    array([[0.5 , 0.  , 0.25, 0.25]], dtype=float32)
    """

    __module__ = "dnaembed"

    _parameter_constraints: ClassVar[dict] = {
        "k": [Interval(Integral, 1, 8, closed="both")],
        "method": [StrOptions({"canonical", "raw"})],
        "dtype": [StrOptions({"float32", "float64"})],
    }

    def __init__(self, k: int = 4, *, method: str = "canonical", dtype: str = "float32") -> None:
        self.k = k
        self.method = method
        self.dtype = dtype

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> Self:
        """Check the sequences; nothing is learnt from them.

        Parameters
        ----------
        X : iterable of str of length n_samples
            DNA sequences; see `dnaembed.check_sequences` for the containers.
        y : None
            Ignored.

        Returns
        -------
        self : object
            The fitted embedder.
        """
        check_sequences(X)
        self._made_by = self._settings()
        self._n_features_out = len(kmer_names(self.k, canonical=self.method == "canonical"))
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Embed sequences.

        Parameters
        ----------
        X : iterable of str of length n_samples
            DNA sequences.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            One row per sequence.
        """
        check_is_fitted(self)
        self._validate_params()  # early pickles may have a method that there is no more
        check_made_by(self, getattr(self, "_made_by", self._settings()), self._settings())
        sequences = check_sequences(X)
        counts = kmer_counts(sequences, self.k, canonical=self.method == "canonical")
        frequencies = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        if self.method == "canonical":
            embeddings = _centred_roots(frequencies, self.k)
        else:
            embeddings = frequencies[:, _reference_order(self.k)]
        return embeddings.astype(self.dtype)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Name the columns by their k-mers."""
        check_is_fitted(self)
        names = np.array(kmer_names(self.k, canonical=self.method == "canonical"), dtype=object)
        return names if self.method == "canonical" else names[_reference_order(self.k)]

    def _settings(self) -> str:
        return f"k={self.k}, method={self.method!r}, dtype={self.dtype!r}"


def _reference_order(k: int) -> np.ndarray:
    """Columns of A, C, G, T-ordered counts in the order of the authors' loops over A, T, C, G."""
    return np.array(list(product([0, 3, 1, 2], repeat=k))) @ 4 ** np.arange(k)[::-1]


def _centred_roots(frequencies: np.ndarray, k: int) -> np.ndarray:
    """Square roots of canonical k-mer frequencies, centred where every base is as likely.

    The root makes the noise of a count the same whatever its size (a Poisson count's square root
    has a variance near 1/4), so that common k-mers do not drown the rare ones.
    """
    palindromes = [name == reverse_complement(name) for name in kmer_names(k)]
    uniform = np.where(palindromes, 1.0, 2.0) / 4.0**k  # a palindrome is one k-mer, others are two
    profile = np.sqrt(frequencies) - np.sqrt(uniform)
    profile[frequencies.sum(axis=1) == 0] = 0.0
    return profile
