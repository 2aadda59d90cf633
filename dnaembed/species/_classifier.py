"""`FewShotSpeciesClassifier`: the species of reads, learnt from a few labelled ones."""

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin, _fit_context, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Bunch, metadata_routing
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions, validate_params
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from .._sequences import check_sequences
from ..embedding._engine import NotFiniteError, split_windows
from ..utils._messages import printable
from ._bins import cosine_for_length
from ._inputs import SequencesOrEmbeddingsMixin, lengths_of
from ._novelty import Novelty, check_unknown, fit_novelty, name_unknown

_MAX_FOLDS = 5  # of the calibration
_CONSENSUS = {
    "window_size": [Interval(Integral, 1, None, closed="left")],
    "min_agreement": [Interval(Real, 0, 1, closed="both")],
}


def _classifier_has(method: str) -> Callable[[Any], bool]:
    def check(self: Any) -> bool:
        classifier = getattr(self, "classifier_", self.classifier)
        if classifier is not None:
            getattr(classifier, method)  # its own error says why the method is missing
        return True

    return check


class FewShotSpeciesClassifier(SequencesOrEmbeddingsMixin, ClassifierMixin, BaseEstimator):
    """Classify DNA reads by species from a few labelled reads of each.

    Takes DNA sequences, which it embeds, or embeddings.

    Parameters
    ----------
    embedder : transformer, default=None
        Embeds sequences; a clone of it is fitted. None: `DNABertSEmbedder` with its defaults.
    classifier : classifier, default=None
        Any scikit-learn classifier; a clone of it is fitted to the embeddings. None stands for
        the one of the DNABERT-S paper [1]_: ``LogisticRegression(C=0.5, max_iter=3000)``.
    class_weight : "balanced" or dict, default=None
        Weights of species for `classifier`, which must have the parameter; ``"balanced"``: species
        count the same, however many reads each has.
    scale : bool, default=True
        Bring each column of the embeddings to mean 0 and standard deviation 1 first.
    unknown : str or int, default=None
        What `predict` calls a read that is farther from every known species than
        `false_unknown_rate` allows: such as ``"unknown"``, or -1 if species are numbers.
    false_unknown_rate : float, default=0.05
        Share of the reads of known species that may be called unknown: see `novelty_scores`.
    calibrate : bool, default=False
        Fit a temperature by cross-validation on the training reads, so that probabilities say how
        often a call is right. Calls stay the same.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The species, sorted.
    classifier_ : classifier
        The fitted one, behind a `StandardScaler` in a pipeline with ``scale=True``.
    temperature_ : float
        What logarithms of probabilities are divided by: above 1 if the classifier is too sure of
        its calls; 1 without `calibrate`, or if a species has a single read.
    embedder_, n_features_in_, feature_names_in_ : transformer, int, ndarray
        The fitted embedder, if `fit` was given sequences, or the columns of the embeddings, and
        their names if all are strings.

    Notes
    -----
    ``predict_proba``, ``predict_log_proba`` and ``decision_function`` are there if the classifier
    has them; they cannot tell that a read is of none of its species, as `novelty_scores` can.
    `calibrate` is `CalibratedClassifierCV` with ``method="temperature"``: one number [2]_.

    References
    ----------
    .. [1] Zhou et al., "DNABERT-S: pioneering species differentiation with species-aware DNA
       embeddings", Bioinformatics 41 (2025), i255. arXiv:2402.08777.
    .. [2] Guo et al., "On calibration of modern neural networks", ICML 2017.

    Examples
    --------
    >>> from dnaembed import FewShotSpeciesClassifier, KmerEmbedder
    >>> reads = ["ACGGC" * 40, "ATTAT" * 40, "CCGGA" * 40, "TTATA" * 40]
    >>> species = ["rich in GC", "rich in AT", "rich in GC", "rich in AT"]
    >>> classifier = FewShotSpeciesClassifier(KmerEmbedder()).fit(reads, species)
    >>> classifier.predict(["CGGCA" * 30, "TATTA" * 30])
    array(['rich in GC', 'rich in AT'], dtype='<U10')

    Embeddings made beforehand, any classifier, and a read like none of the known ones:

    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> rows = [[0.0, 1.0], [1.0, 0.0], [0.1, 0.9], [0.8, 0.1]]
    >>> classifier = FewShotSpeciesClassifier(None, KNeighborsClassifier(1), unknown="unknown")
    >>> classifier.fit(rows, species).predict([[0.9, 0.1], [-0.2, -0.9]])
    array(['rich in AT', 'unknown'], dtype='<U10')
    """

    __module__ = "dnaembed"

    _parameter_constraints: ClassVar[dict] = {
        "embedder": [HasMethods(["fit", "transform"]), None],
        "classifier": [HasMethods(["fit", "predict"]), None],
        "class_weight": [StrOptions({"balanced"}), dict, None],
        "scale": ["boolean"],
        "unknown": [str, Integral, None],
        "false_unknown_rate": [Interval(Real, 0, 1, closed="neither")],
        "calibrate": ["boolean"],
    }
    _defaults: ClassVar[dict] = SequencesOrEmbeddingsMixin._defaults | {
        "classifier": lambda: LogisticRegression(C=0.5, max_iter=3000)
    }
    novelty_: Novelty
    _calibrated: Any

    def __init__(
        self,
        embedder: Any = None,
        classifier: Any = None,
        *,
        class_weight: Any = None,
        scale: bool = True,
        unknown: str | int | None = None,
        false_unknown_rate: float = 0.05,
        calibrate: bool = False,
    ) -> None:
        self.embedder = embedder
        self.classifier = classifier
        self.class_weight = class_weight
        self.scale = scale
        self.unknown = unknown
        self.false_unknown_rate = false_unknown_rate
        self.calibrate = calibrate

    # The embedder and the classifier check their own parameters.
    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any, **params: Any) -> Self:
        """Learn species from labelled reads.

        Parameters
        ----------
        X : iterable of str of length n_samples, or array-like of shape (n_samples, n_features)
            DNA sequences, or embeddings.
        y : array-like of shape (n_samples,)
            Species of each read. A read without a label is refused.
        **params : dict
            Metadata that `classifier` requests, with scikit-learn's
            :ref:`metadata routing <sklearn:metadata_routing>` enabled.
        """
        metadata_routing._raise_for_params(params, self, "fit")
        given, y = self._fit_inputs_and_targets(X, y)
        check_classification_targets(y)
        species, codes = np.unique(y, return_inverse=True)
        if len(species) < 2 and self.classifier is None:
            only = printable(str(species[0]))
            raise ValueError(f"At least two species are needed; y has one class, {only!r}.")
        if self.unknown is not None:
            check_unknown(self.unknown, species, codes)
        routed = metadata_routing.process_routing(self, "fit", **params).classifier.fit
        # Single precision is too coarse for the line search of a solver to converge on.
        rows = given.rows.astype(np.float64, copy=False)
        self.classifier_ = self._inner(self.class_weight).fit(rows, y, **routed)
        self.classes_ = self.classifier_.classes_
        self.novelty_ = fit_novelty(
            rows,
            codes,
            false_unknown_rate=self.false_unknown_rate,
            lengths=given.lengths,
            per_length=cosine_for_length(given.source),
        )
        self._fit_calibration(rows, codes, params)
        return self

    def get_metadata_routing(self) -> metadata_routing.MetadataRouter:
        """Say which metadata are taken, and which are passed on to `classifier`."""
        mapping = metadata_routing.MethodMapping().add(caller="fit", callee="fit")
        router = metadata_routing.MetadataRouter(owner=self).add_self_request(self)
        return router.add(classifier=self._inner(), method_mapping=mapping)

    def _inner(self, class_weight: Any = None) -> Any:
        """Return what is fitted to the embeddings."""
        given = self.classifier
        classifier = self._defaults["classifier"]() if given is None else clone(given)
        if class_weight is not None:
            if "class_weight" not in classifier.get_params():
                name = type(classifier).__name__
                raise ValueError(f"class_weight needs a classifier that has it; {name} has not.")
            classifier.set_params(class_weight=class_weight)
        if not self.scale:
            return classifier
        scaler = StandardScaler()
        if metadata_routing._routing_enabled():
            scaler.set_fit_request(sample_weight=False)
        return make_pipeline(scaler, classifier)

    def _fit_calibration(self, rows: np.ndarray, codes: np.ndarray, params: Any) -> None:
        self.temperature_, self._calibrated = 1.0, None
        n_folds = min(_MAX_FOLDS, int(np.bincount(codes).min()))
        if self.calibrate and not hasattr(self.classifier_, "predict_proba"):
            needs = "calibrate=True needs a classifier with predict_proba"
            raise ValueError(f"{needs}; {type(self.classifier).__name__} has none.")
        if not self.calibrate or n_folds < 2:  # scikit-learn wants each species in each fold
            return
        weights = self.class_weight
        if isinstance(weights, dict):
            names = self.classes_.tolist()
            weights = {names.index(name): weights[name] for name in names if name in weights}
        self._calibrated = CalibratedClassifierCV(
            self._inner(weights), method="temperature", ensemble=False, cv=n_folds
        ).fit(rows, codes, **params)
        beta = self._calibrated.calibrated_classifiers_[0].calibrators[0].beta_
        # Of a single column of scores x, scikit-learn scales (-x, x), which is twice the log-odds.
        if len(self.classes_) == 2 and hasattr(self.classifier_, "decision_function"):
            beta = 2 * beta
        self.temperature_ = float(1 / beta)

    def predict(self, X: Any) -> np.ndarray:
        """Name the species of each read, out of `classes_`, or `unknown` if that is given.

        X holds sequences or embeddings: the same kind as in `fit`.
        """
        rows, lengths = self._given(X)
        calls = self.classifier_.predict(rows)
        if self.unknown is not None:
            calls = name_unknown(calls, self.novelty_.scores(rows, lengths) > 1, self.unknown)
        return calls

    def novelty_scores(self, X: Any) -> np.ndarray:
        """Score how new reads are, given as to `predict`: how far from all known species.

        A score is the least ratio, over species, of the cosine distance of the read to the centre
        and the limit of the species, which `false_unknown_rate` of its own reads exceed when they
        are left out of the centre. Reads above 1 are called `unknown`. If `fit` was given a single
        read per species, scores are plain cosine distances. Given sequences and a bundled model,
        distances of reads shorter than 5 kb count for less, as
        `dnaembed.species.same_species_probability` says, and those of longer ones for more.
        """
        rows, lengths = self._given(X)  # first, as it says if this is not fitted
        return self.novelty_.scores(rows, lengths)

    @available_if(_classifier_has("predict_proba"))
    def confidence(self, X: Any) -> np.ndarray:
        """Say how far the species of each read, given as to `predict`, is to be trusted.

        That is the probability of the most probable species; for a read whose novelty is beyond the
        limit times ``s / false_unknown_rate``, if a share s of the left-out training reads is as
        novel.
        """
        rows, lengths = self._given(X)
        shares = self.novelty_.p_values(self.novelty_.scores(rows, lengths))
        shares /= self.false_unknown_rate
        return self._probabilities(rows).max(axis=1) * np.minimum(1, shares)

    @available_if(_classifier_has("predict_proba"))
    @validate_params(_CONSENSUS, prefer_skip_nested_validation=True)
    def consensus(self, X: Any, *, window_size: int = 5000, min_agreement: float = 0.7) -> Bunch:
        """Call long contigs by the windows that they are cut into.

        Parameters
        ----------
        X : iterable of str of length n_samples
            DNA sequences; `fit` must have been given sequences.
        window_size, min_agreement : int and float, default=5000 and 0.7
            Most bp in a window: a contig is cut into the fewest windows, all of one length. With
            `unknown`, take windows no shorter than the reads that `fit` learnt from. Contigs whose
            agreement is less are flagged.

        Returns
        -------
        Bunch
            With one value per contig: ``labels`` (species with the largest mean probability over
            the windows, weighted by length; `unknown`, if given, where most of the length is),
            ``probability`` (that mean), ``n_windows``, ``agreement`` (share of the length in
            windows that are called as the contig is) and ``flagged`` (a possible chimera).
        """
        check_is_fitted(self)
        if not hasattr(self, "embedder_"):
            raise ValueError("Fitted on embeddings: windows need a classifier fitted on sequences.")
        parts = [split_windows(sequence, int(window_size)) for sequence in check_sequences(X)]
        n_windows = np.array([len(part) for part in parts])
        owners = np.repeat(np.arange(len(parts)), n_windows)
        windows = [window for part in parts for window in part]
        try:
            rows = self._rows(windows)
        except NotFiniteError as error:  # which counts windows
            raise NotFiniteError(error.reason, int(owners[int(error.which)])) from None
        lengths = lengths_of(windows)
        weights = lengths / np.bincount(owners, lengths)[owners]
        probabilities, n_classes = self._probabilities(rows), len(self.classes_)
        means = np.zeros((len(parts), n_classes))
        np.add.at(means, owners, probabilities * weights[:, None])
        calls, codes = probabilities.argmax(axis=1), means.argmax(axis=1)
        labels = self.classes_[codes]
        if self.unknown is not None:
            is_new = self.novelty_.scores(rows, lengths) > 1
            mostly_new = np.bincount(owners, weights * is_new) > 0.5
            calls[is_new] = codes[mostly_new] = n_classes
            labels = name_unknown(labels, mostly_new, self.unknown)
        agreement = np.minimum(np.bincount(owners, weights * (calls == codes[owners])), 1)
        return Bunch(
            labels=labels,
            agreement=agreement,
            probability=means.max(axis=1),
            n_windows=n_windows,
            flagged=agreement < min_agreement - 1e-9,  # sums are exact to rounding only
        )

    @available_if(_classifier_has("predict_proba"))
    def predict_proba(self, X: Any) -> np.ndarray:
        """Give the probability of each of `classes_` for each read, given as to `predict`."""
        return self._probabilities(self._rows(X))

    @available_if(_classifier_has("predict_proba"))
    def predict_top_k(self, X: Any, k: int = 3) -> tuple[np.ndarray, np.ndarray]:
        """Name the k most probable species of each read, given as to `predict`, the best first.

        Returns names and probabilities, two arrays of shape (n_samples, k).
        """
        check_is_fitted(self)
        if not isinstance(k, Integral) or not 1 <= k <= len(self.classes_):
            raise ValueError(f"k must be an integer from 1 to {len(self.classes_)}, got {k!r}.")
        probabilities = self.predict_proba(X)
        order = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
        return self.classes_[order], np.take_along_axis(probabilities, order, axis=1)

    @available_if(_classifier_has("predict_log_proba"))
    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Give the logarithms of what `predict_proba` gives."""
        rows = self._rows(X)
        if self.temperature_ != 1:
            return np.log(np.maximum(self._probabilities(rows), np.finfo(np.float64).tiny))
        return self.classifier_.predict_log_proba(rows)

    @available_if(_classifier_has("decision_function"))
    def decision_function(self, X: Any) -> np.ndarray:
        """Give the classifier's own scores of each species for each read, given as to `predict`."""
        rows = self._rows(X)
        return self.classifier_.decision_function(rows)

    def _given(self, X: Any) -> tuple[np.ndarray, np.ndarray | None]:
        check_is_fitted(self)
        given = self._check_inputs(X)
        return given.rows.astype(np.float64, copy=False), given.lengths

    def _rows(self, X: Any) -> np.ndarray:
        return self._given(X)[0]

    def _probabilities(self, rows: np.ndarray) -> np.ndarray:
        if getattr(self, "_calibrated", None) is not None:
            return self._calibrated.predict_proba(rows)
        probabilities: np.ndarray = self.classifier_.predict_proba(rows)
        if self.temperature_ != 1:  # pickled by a version that scaled by itself
            tiny = np.finfo(np.float64).tiny
            return softmax(np.log(np.maximum(probabilities, tiny)) / self.temperature_, axis=1)
        return probabilities
