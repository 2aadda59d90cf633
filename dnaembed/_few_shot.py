"""`FewShotSpeciesClassifier`: the species of reads, learnt from a few labelled ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, _fit_context, clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils._param_validation import HasMethods
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from ._inputs import SequencesOrEmbeddingsMixin


def _classifier_has(method: str) -> Callable[[Any], bool]:
    def check(self: Any) -> bool:
        classifier = getattr(self, "classifier_", self.classifier)
        if classifier is not None:
            getattr(classifier, method)  # its own error says why the method is missing
        return True

    return check


class FewShotSpeciesClassifier(SequencesOrEmbeddingsMixin, ClassifierMixin, BaseEstimator):
    """Classify DNA reads by species from a few labelled reads of each.

    Takes DNA sequences, which it embeds, or embeddings made beforehand.

    Parameters
    ----------
    embedder : transformer, default=None
        Embeds sequences; a clone of it is fitted. None stands for `DNABertSEmbedder` with its
        default parameters. Not used if `fit` is given embeddings.

    classifier : classifier, default=None
        Any scikit-learn classifier; a clone of it is fitted to the embeddings. None stands for
        the one of the DNABERT-S paper: ``LogisticRegression(C=0.5, max_iter=3000)``.

    scale : bool, default=True
        Bring each column of the embeddings to mean 0 and standard deviation 1 before they reach
        the classifier.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The species, sorted.

    classifier_ : classifier
        The fitted classifier, behind a `StandardScaler` in a pipeline with ``scale=True``.

    embedder_ : transformer
        The fitted embedder; only if `fit` was given sequences.

    n_features_in_ : int
        Columns of the embeddings; only if `fit` was given embeddings.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of these columns; only if all are strings.

    See Also
    --------
    DNABertSEmbedder : Embeddings of sequences.
    SpeciesClusterer : Clusters and bins, without labels.

    Notes
    -----
    A single read a species is enough. ``predict_proba``, ``predict_log_proba`` and
    ``decision_function`` are there if the classifier has them. Probabilities learnt from so few
    reads are best calibrated on held-out ones, for example with
    :class:`sklearn.calibration.CalibratedClassifierCV`.

    References
    ----------
    .. [1] Zhou et al., "DNABERT-S: pioneering species differentiation with species-aware DNA
       embeddings", Bioinformatics 41 (2025), i255. arXiv:2402.08777.

    Examples
    --------
    >>> from dnaembed import FewShotSpeciesClassifier, KmerEmbedder
    >>> reads = ["ACGGC" * 40, "ATTAT" * 40, "CCGGA" * 40, "TTATA" * 40]
    >>> species = ["rich in GC", "rich in AT", "rich in GC", "rich in AT"]
    >>> classifier = FewShotSpeciesClassifier(KmerEmbedder()).fit(reads, species)
    >>> classifier.predict(["CGGCA" * 30, "TATTA" * 30])
    array(['rich in GC', 'rich in AT'], dtype='<U10')

    Embeddings made beforehand, and any classifier:

    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> embeddings = [[0.0, 1.0], [1.0, 0.0], [0.1, 0.9], [0.8, 0.1]]
    >>> classifier = FewShotSpeciesClassifier(classifier=KNeighborsClassifier(1))
    >>> classifier.fit(embeddings, species).predict([[0.7, 0.2]])
    array(['rich in AT'], dtype='<U10')
    """

    _parameter_constraints: ClassVar[dict] = {
        "embedder": [HasMethods(["fit", "transform"]), None],
        "classifier": [HasMethods(["fit", "predict"]), None],
        "scale": ["boolean"],
    }

    def __init__(self, embedder: Any = None, classifier: Any = None, *, scale: bool = True) -> None:
        self.embedder = embedder
        self.classifier = classifier
        self.scale = scale

    # The embedder and the classifier check their own parameters.
    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any) -> Self:
        """Learn species from labelled reads.

        Parameters
        ----------
        X : iterable of str of length n_samples, or array-like of shape (n_samples, n_features)
            DNA sequences, or embeddings.
        y : array-like of shape (n_samples,)
            Species of each read.

        Returns
        -------
        self : object
            The fitted classifier.
        """
        embeddings, y = self._fit_inputs_and_targets(X, y)
        check_classification_targets(y)
        if self.classifier is None:
            classifier: Any = LogisticRegression(C=0.5, max_iter=3000)
        else:
            classifier = clone(self.classifier)
        if self.scale:
            classifier = make_pipeline(StandardScaler(), classifier)
        # Single precision is too coarse for the line search of a solver to converge on.
        self.classifier_ = classifier.fit(embeddings.astype(np.float64, copy=False), y)
        self.classes_ = self.classifier_.classes_
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Name the species of each read.

        Parameters
        ----------
        X : iterable of str of length n_samples, or array-like of shape (n_samples, n_features)
            DNA sequences or embeddings: the same kind as in `fit`.

        Returns
        -------
        ndarray of shape (n_samples,)
            Species, out of `classes_`.
        """
        return self._ask("predict", X)

    @available_if(_classifier_has("predict_proba"))
    def predict_proba(self, X: Any) -> np.ndarray:
        """Give the probability of each species for each read.

        Parameters
        ----------
        X : iterable of str of length n_samples, or array-like of shape (n_samples, n_features)
            DNA sequences or embeddings: the same kind as in `fit`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Columns in the order of `classes_`.
        """
        return self._ask("predict_proba", X)

    @available_if(_classifier_has("predict_log_proba"))
    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Give the logarithm of the probability of each species for each read.

        Parameters
        ----------
        X : iterable of str of length n_samples, or array-like of shape (n_samples, n_features)
            DNA sequences or embeddings: the same kind as in `fit`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Columns in the order of `classes_`.
        """
        return self._ask("predict_log_proba", X)

    @available_if(_classifier_has("decision_function"))
    def decision_function(self, X: Any) -> np.ndarray:
        """Give the classifier's score of each species for each read.

        Parameters
        ----------
        X : iterable of str of length n_samples, or array-like of shape (n_samples, n_features)
            DNA sequences or embeddings: the same kind as in `fit`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or (n_samples,) with two species
            As the classifier returns it.
        """
        return self._ask("decision_function", X)

    def _ask(self, method: str, X: Any) -> np.ndarray:
        check_is_fitted(self)
        embeddings = self._check_inputs(X).astype(np.float64, copy=False)
        return getattr(self.classifier_, method)(embeddings)
