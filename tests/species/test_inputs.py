"""The mixin of classifier and clusterer, on a toy estimator."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.frozen import FrozenEstimator
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import estimator_checks_generator

from dnaembed import DNABertSEmbedder, FewShotSpeciesClassifier, SpeciesClusterer
from dnaembed.species._inputs import SequencesOrEmbeddingsMixin, holds_sequences

READS = ["ACGT", "GGNA", "TTTT"]


class Toy(SequencesOrEmbeddingsMixin, BaseEstimator):
    """Keeps what it is given."""

    def __init__(self, embedder=None):
        self.embedder = embedder

    def fit(self, X, y=None):
        self.embeddings_ = self._fit_inputs(X).rows
        return self


class Lengths(TransformerMixin, BaseEstimator):
    """Embeds a sequence as its length, in the type asked for, and keeps what it was fitted on."""

    def __init__(self, dtype="float64"):
        self.dtype = dtype

    def fit(self, X, y=None):
        self.seen_ = list(X), y
        return self

    def transform(self, X):
        return np.array([[len(s)] for s in X]).astype(self.dtype)


COLUMN = np.array([[None], ["ACGT"]], dtype=object)
STRINGS = ["ACGT", b"ACGT", ["ACGT"], [None, "ACGT"], [["ACGT"], ["AC"]], np.array([b"ACGT"])]
NUMBERS = [[], [1.0, 2.0], [[1.0], [2.0]], np.eye(2), np.eye(2).astype(object), None, 3]


def test_strings_are_told_from_numbers():
    for X in (*STRINGS, COLUMN, pd.DataFrame({"s": ["ACGT"]})):
        assert holds_sequences(X) is True
    for X in (*NUMBERS, pd.DataFrame(np.eye(2))):
        assert holds_sequences(X) is False


def test_sequences_are_cleaned_before_they_are_embedded():
    toy = Toy(Lengths()).fit(["ac-gu", " ry "])
    assert toy.embeddings_.tolist() == [[4], [2]]
    assert toy.embedder_.seen_ == (["ACGT", "NN"], None)
    assert toy._check_inputs(["a-c"]).rows.tolist() == [[2]]
    with pytest.raises(ValueError, match="sequence 1: '!' at position 1"):
        toy._check_inputs(["A", "!"])


@pytest.mark.parametrize("bases", [(BaseEstimator,), (TransformerMixin, BaseEstimator)])
def test_a_clone_of_the_embedder_is_fitted_with_or_without_fit_transform(bases):
    class Embedder(*bases):
        fit, transform = Lengths.fit, lambda self, X: np.array([[len(s)] for s in X], dtype=float)

    embedder = Embedder()
    toy = Toy(embedder)
    (X, *_), y = toy._fit_inputs_and_targets(READS, [0, 1, 1])
    assert X.tolist() == [[4], [4], [4]]
    assert y.tolist() == toy.embedder_.seen_[1].tolist() == [0, 1, 1]
    assert toy.embedder_.seen_[0] == READS
    assert not hasattr(embedder, "seen_")


def test_a_frozen_embedder_is_not_fitted_again():
    fitted = Lengths().fit(["A"])
    toy = Toy(FrozenEstimator(fitted)).fit(READS)
    assert fitted.seen_ == (["A"], None)
    assert toy.embeddings_.tolist() == [[4], [4], [4]]


def test_none_stands_for_the_default_embedder():
    toy = Toy().fit(READS)
    assert isinstance(toy.embedder_, DNABertSEmbedder)
    np.testing.assert_array_equal(toy.embeddings_, DNABertSEmbedder().fit_transform(READS))


@pytest.mark.parametrize(
    ("stored", "computed"),
    [("float16", "float32"), ("float32", "float32"), ("float64", "float64"), ("int64", "float64")],
)
def test_precision_of_embeddings(stored, computed):
    X = np.array([[1], [2]]).astype(stored)
    # Half precision is widened as little as computing asks for, whether embeddings were made
    # beforehand or come from an embedder.
    assert Toy().fit(X).embeddings_.dtype == computed
    assert Toy()._fit_inputs_and_targets(X, [0, 1])[0].rows.dtype == computed
    assert Toy().fit(np.ones((3, 1)))._check_inputs(X).rows.dtype == computed
    toy = Toy(Lengths(stored)).fit(READS)
    assert toy.embeddings_.dtype == toy._check_inputs(READS).rows.dtype == computed


def test_labels_must_be_there_and_match():
    toy = Toy(Lengths())
    with pytest.raises(ValueError, match=r"^This Toy estimator requires y to be passed"):
        toy._fit_inputs_and_targets(READS, None)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        toy._fit_inputs_and_targets(READS, [0, 1])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        toy._fit_inputs_and_targets(np.eye(3), [0, 1])
    with pytest.warns(UserWarning, match="column-vector y was passed"):
        _, y = toy._fit_inputs_and_targets(READS, [[0], [1], [1]])
    assert y.tolist() == [0, 1, 1]


def test_predicting_the_other_kind_names_both():
    on_reads = Toy(Lengths()).fit(READS)
    for X in (np.ones((2, 1)), [[1.0]], None):
        with pytest.raises(ValueError, match=r"^This Toy was fitted on DNA sequences, got .*gs\.$"):
            on_reads._check_inputs(X)
    on_numbers = Toy().fit(np.eye(3))
    with pytest.raises(ValueError, match=r"^This Toy was fitted on embeddings, got .*ces\.$"):
        on_numbers._check_inputs(READS)
    with pytest.raises(ValueError, match="X has 2 features, but Toy is expecting 3"):
        on_numbers._check_inputs(np.ones((1, 2)))


def test_no_sequences_and_no_numbers_are_called_that():
    with pytest.raises(ValueError, match=r"Found array with 0 sample\(s\)"):
        Toy(Lengths()).fit(READS)._check_inputs([])
    with pytest.raises(ValueError, match="Input embeddings contains NaN"):
        Toy(FunctionTransformer(lambda X: np.full((len(X), 1), np.nan))).fit(READS)


def test_an_earlier_fit_is_forgotten_even_when_the_next_one_fails():
    frame = pd.DataFrame(np.eye(3), columns=list("abc"))
    toy = Toy(Lengths()).fit(frame)
    assert toy.n_features_in_ == 3
    assert toy.feature_names_in_.tolist() == list("abc")
    with pytest.raises(TypeError, match="position 1"):
        toy.fit(["A", None])
    assert not hasattr(toy, "n_features_in_")
    assert not hasattr(toy, "feature_names_in_")
    toy.fit(READS)._fit_inputs_and_targets(frame, [0, 1, 2])
    assert not hasattr(toy, "embedder_")


@pytest.mark.parametrize(
    ("estimator", "least"), [(SpeciesClusterer(), 46), (FewShotSpeciesClassifier(), 55)]
)
def test_sklearn_runs_all_its_checks(estimator, least):
    # 1 would mean that the tags keep the numbers away; a new version may bring more.
    assert len(list(estimator_checks_generator(estimator))) >= least
    assert get_tags(estimator).input_tags.string is True


@pytest.mark.parametrize("estimator", [FewShotSpeciesClassifier(), SpeciesClusterer()])
def test_parameters_of_the_default_embedder_can_be_set(estimator):
    assert estimator.set_params(embedder__window_size=500) is estimator
    assert estimator.get_params()["embedder__window_size"] == 500
    own = estimator.embedder
    estimator.set_params(embedder__window_size=600)
    assert estimator.embedder is own
    with pytest.raises(ValueError, match="'k' for estimator DNABertSEmbedder"):
        estimator.set_params(embedder=None, embedder__k=4)
    assert estimator.set_params(embedder=None).embedder is None
