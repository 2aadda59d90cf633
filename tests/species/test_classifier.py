import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn import config_context
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import NotFittedError, UnsetMetadataPassedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import cross_validate
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from dnaembed import FewShotSpeciesClassifier, KmerEmbedder

GENOMES = {"gamma": [0.7, 0.1, 0.1, 0.1], "beta": [0.1, 0.4, 0.4, 0.1], "alpha": [0.25] * 4}


def reads_of(n, length=300, seed=0):
    """Reads of made-up genomes that differ in how often they use each base."""
    rng = np.random.default_rng(seed)
    y = np.repeat(list(GENOMES), n)
    return ["".join(rng.choice(list("ACGT"), length, p=GENOMES[name])) for name in y], y


@parametrize_with_checks(
    [
        FewShotSpeciesClassifier(),
        FewShotSpeciesClassifier(classifier=GaussianNB(), scale=False, calibrate=True),
    ],
    expected_failed_checks=lambda estimator: (
        {"check_class_weight_classifiers": "GaussianNB has no weights of classes"}
        if estimator.classifier is not None
        else {}
    ),
)
def test_sklearn_checks(estimator, check):
    check(estimator)


def test_default_is_the_protocol_of_the_paper():
    reads, y = reads_of(4)
    X = KmerEmbedder(k=3, dtype="float64").fit_transform(reads)
    protocol = make_pipeline(StandardScaler(), LogisticRegression(C=0.5, max_iter=3000))
    protocol.fit(X, y)
    classifier = FewShotSpeciesClassifier().fit(X, y)
    np.testing.assert_array_equal(classifier.predict_proba(X), protocol.predict_proba(X))
    np.testing.assert_array_equal(classifier.decision_function(X), protocol.decision_function(X))
    np.testing.assert_array_equal(classifier.predict_log_proba(X), protocol.predict_log_proba(X))


@pytest.mark.parametrize("shots", [1, 2, 5])
def test_few_reads_a_species_are_enough(shots):
    reads, y = reads_of(shots)
    classifier = FewShotSpeciesClassifier(KmerEmbedder(k=2)).fit(reads, y)
    assert classifier.score(*reads_of(20, seed=1)) > 0.95
    assert classifier.classes_.tolist() == ["alpha", "beta", "gamma"]


@pytest.mark.parametrize(
    ("change_X", "change_y", "error", "message"),
    [
        (lambda X: "ACGT", None, ValueError, "Iterable over DNA sequences expected, string object"),
        (lambda X: [None, *X[1:]], None, TypeError, "position 0"),
        (None, lambda y: np.linspace(0.1, 0.9, 6), ValueError, "Unknown label type: continuous"),
        (None, lambda y: ["a"] * 6, ValueError, r"1 class|one class"),
    ],
)
def test_errors_of_bad_reads_and_labels(change_X, change_y, error, message):
    X, y = reads_of(2)
    X, y = change_X(X) if change_X else X, change_y(y) if change_y else y
    with pytest.raises(error, match=message):
        FewShotSpeciesClassifier(KmerEmbedder(k=2)).fit(X, y)


def test_methods_are_those_of_the_classifier():
    reads, y = reads_of(2)
    svc = FewShotSpeciesClassifier(KmerEmbedder(k=2), LinearSVC())
    neighbours = FewShotSpeciesClassifier(KmerEmbedder(k=2), KNeighborsClassifier(1), scale=False)
    for _ in range(2):
        assert not hasattr(svc, "predict_proba")
        assert not hasattr(svc, "confidence")
        assert not hasattr(neighbours, "decision_function")
        svc.fit(reads, y)
        neighbours.fit(reads, y)
    assert svc.decision_function(reads).shape == (6, 3)
    assert isinstance(neighbours.classifier_, KNeighborsClassifier)
    assert (neighbours.predict(reads) == y).all()


def test_classifier_is_cloned_and_may_know_one_species():
    dummy = DummyClassifier()
    classifier = FewShotSpeciesClassifier(classifier=dummy).fit(np.eye(4), ["a"] * 4)
    assert classifier.predict(np.eye(4)).tolist() == ["a"] * 4
    assert not hasattr(dummy, "classes_")


def test_parameters_of_what_stands_for_none_can_be_set():
    classifier = FewShotSpeciesClassifier().set_params(classifier__C=2, embedder__strand="both")
    assert classifier.classifier.C == 2
    assert classifier.classifier.max_iter == 3000
    assert classifier.embedder.strand == "both"


def test_labels_of_any_kind():
    X = np.eye(6)
    for y in ([0, 0, 0, 1, 1, 1], [True] * 3 + [False] * 3, pd.Categorical(list("aabbcc"))):
        classifier = FewShotSpeciesClassifier().fit(X, y)
        assert classifier.predict(X).tolist() == list(y)


def test_scaling_can_be_left_out():
    X, y = np.arange(12, dtype=np.float32).reshape(6, 2) ** 2, [0, 0, 0, 1, 1, 1]
    raw = FewShotSpeciesClassifier(classifier=GaussianNB(), scale=False).fit(X, y)
    np.testing.assert_allclose(raw.classifier_.theta_, [X[:3].mean(axis=0), X[3:].mean(axis=0)])
    assert raw.classifier_.theta_.dtype == np.float64


def test_in_a_pipeline_after_the_embedder():
    reads, y = reads_of(4)
    pipeline = make_pipeline(KmerEmbedder(k=2), FewShotSpeciesClassifier())
    pipeline.set_output(transform="pandas").fit(reads, y)
    assert pipeline[-1].feature_names_in_[0] == "AA"
    frames = FewShotSpeciesClassifier(KmerEmbedder(k=2).set_output(transform="pandas"))
    assert frames.fit(reads, y).score(reads, y) == 1


# --- unknown species, confidence, calibration ---


def embeddings_of(n_each, seed=0, names=("a", "b", "c")):
    rng = np.random.default_rng(seed)
    y = np.repeat(np.array(names), n_each)
    return np.repeat(np.eye(3, 12), n_each, axis=0) + rng.normal(0, 0.1, (3 * n_each, 12)), y


STRANGERS = np.eye(12)[3:]
NAMES = [(list("abc"), "unknown"), ((1, 5, 9), -1), (np.array([*"abc"], dtype=object), "long")]


@pytest.mark.parametrize(("names", "unknown"), NAMES)
def test_strangers_are_called_unknown(names, unknown):
    X, y = embeddings_of(6, names=names)
    classifier = FewShotSpeciesClassifier(unknown=unknown).fit(X, y)
    assert classifier.predict(STRANGERS).tolist() == [unknown] * 9
    new, truth = embeddings_of(50, seed=1, names=names)
    calls = classifier.predict(new)
    assert np.mean(calls == unknown) < 0.15
    assert (calls[calls != unknown] == truth[calls != unknown]).all()
    assert unknown not in classifier.classes_.tolist()
    scores = classifier.novelty_scores(np.r_[new, STRANGERS])
    np.testing.assert_array_equal(scores > 1, classifier.predict(np.r_[new, STRANGERS]) == unknown)


def test_without_unknown_calls_are_those_of_the_classifier():
    X, y = embeddings_of(6)
    plain = FewShotSpeciesClassifier().fit(X, y)
    open_set = FewShotSpeciesClassifier(unknown="unknown").fit(X, y)
    assert set(plain.predict(STRANGERS)) <= {"a", "b", "c"}
    np.testing.assert_array_equal(plain.predict_proba(X), open_set.predict_proba(X))
    np.testing.assert_array_equal(plain.novelty_scores(X), open_set.novelty_scores(X))


def test_confidence_falls_with_novelty():
    X, y = embeddings_of(30)
    classifier = FewShotSpeciesClassifier().fit(X, y)
    most = classifier.predict_proba(np.r_[X, STRANGERS]).max(axis=1)
    confidence = classifier.confidence(np.r_[X, STRANGERS])
    assert (confidence <= most).all()
    known = classifier.novelty_scores(X) <= 1
    np.testing.assert_allclose(confidence[: len(X)][known], most[: len(X)][known])
    assert (confidence[len(X) :] < 0.5 * most[len(X) :]).all()


@pytest.mark.parametrize("classifier", [None, KNeighborsClassifier(3), GaussianNB()])
def test_calibration_changes_probabilities_and_no_call(classifier):
    rng = np.random.default_rng(0)
    X, y = embeddings_of(10)
    X += rng.normal(0, 0.6, X.shape)
    plain = FewShotSpeciesClassifier(classifier=classifier).fit(X, y)
    calibrated = FewShotSpeciesClassifier(classifier=classifier, calibrate=True).fit(X, y)
    assert plain.temperature_ == 1 != calibrated.temperature_
    np.testing.assert_array_equal(plain.predict(X), calibrated.predict(X))
    probabilities, before = calibrated.predict_proba(X), plain.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    np.testing.assert_array_equal(probabilities.argmax(axis=1), before.argmax(axis=1))
    if hasattr(calibrated, "predict_log_proba"):
        np.testing.assert_allclose(np.exp(calibrated.predict_log_proba(X)), probabilities)


@pytest.mark.parametrize("n_species", [2, 3])
@pytest.mark.parametrize(("C", "too_sure"), [(1e2, True), (1e-3, False)])
def test_temperature_improves_probabilities_of_new_reads(C, too_sure, n_species):
    def overlapping(n, seed):
        y = np.repeat(np.arange(n_species), n)
        centers = np.random.default_rng(7).normal(size=(n_species, 10))
        return centers[y] + np.random.default_rng(seed).normal(0, 1.5, (len(y), 10)), y

    X, y = overlapping(15, 0)
    new, truth = overlapping(300, 1)
    parameters = {"classifier": LogisticRegression(C=C, max_iter=9999)}
    plain = FewShotSpeciesClassifier(**parameters).fit(X, y).predict_proba(new)
    calibrated = FewShotSpeciesClassifier(calibrate=True, **parameters).fit(X, y)
    assert (calibrated.temperature_ > 1) is too_sure
    assert log_loss(truth, calibrated.predict_proba(new)) < log_loss(truth, plain)
    scaled = softmax(np.log(plain) / calibrated.temperature_, axis=1)
    np.testing.assert_allclose(calibrated.predict_proba(new), scaled, rtol=1e-5, atol=1e-9)
    # As an earlier version pickled it.
    del calibrated._calibrated
    np.testing.assert_allclose(calibrated.predict_proba(new), scaled)


def test_single_reads_leave_probabilities_as_they_are():
    X, y = embeddings_of(5)
    X, y = X[:11], y[:11]
    plain = FewShotSpeciesClassifier().fit(X, y)
    calibrated = FewShotSpeciesClassifier(calibrate=True).fit(X, y)
    assert calibrated.temperature_ == 1
    np.testing.assert_array_equal(calibrated.predict_log_proba(X), plain.predict_log_proba(X))


SVC = {"classifier": LinearSVC(), "calibrate": True}


@pytest.mark.parametrize(
    ("parameters", "step", "message"),
    [
        ({"unknown": "b"}, 1, r"unknown='b' is one of the species"),
        ({"unknown": "?"}, 2, "needs 2 reads of a species, got 1 of each"),
        (SVC, 1, "calibrate=True needs a classifier with predict_proba"),
        ({"unknown": 1.5}, 1, "The 'unknown' parameter"),
        ({"false_unknown_rate": 0}, 1, "The 'false_unknown_rate' parameter"),
        ({"calibrate": "yes"}, 1, "The 'calibrate' parameter"),
    ],
)
def test_unknown_and_calibration_must_make_sense(parameters, step, message):
    X, y = embeddings_of(2)
    with pytest.raises(ValueError, match=message):
        FewShotSpeciesClassifier(**parameters).fit(X[::step], y[::step])


LACKING = [(-1, str), ("x", int), (-1, np.uint8), (1000, np.int8), (2**70, np.int64), (-1, bool)]


@pytest.mark.parametrize(("unknown", "dtype"), [*LACKING, (True, np.int64), ("x", float)])
def test_unknown_that_labels_cannot_hold(unknown, dtype):
    X, _ = embeddings_of(2)
    y = np.repeat([0, 1, 1] if dtype is bool else [3, 4, 5], 2).astype(dtype)
    with pytest.raises(ValueError, match=f"unknown={unknown!r} is not of the kind of the labels"):
        FewShotSpeciesClassifier(unknown=unknown).fit(X, y)


MISSING = {
    "None": lambda y: [*y[:4], None, *y[5:]],
    "NaN among strings": lambda y: [*y[:4], float("nan"), *y[5:]],
    "NaN among numbers": lambda y: np.where(np.arange(9) == 4, np.nan, np.arange(9) % 2),
    "NA": lambda y: pd.Series(y, dtype="string").where(np.arange(9) != 4),
    "NA of integers": lambda y: pd.array([*"0101", None, *"0101"], dtype="Int64"),
    "NaT": lambda y: pd.Series(pd.to_datetime(["2026-01-01"] * 4 + [None] * 5)),
    "category": lambda y: pd.Categorical([*y[:4], None, *y[5:]]),
    "masked": lambda y: np.ma.array(y, mask=np.arange(9) == 4),
    "polars": lambda y: pl.Series([*y[:4], None, *y[5:]]),
    "pyarrow": lambda y: pa.array([*y[:4], None, *y[5:]]),
    "a column": lambda y: [[label] for label in [*y[:4], None, *y[5:]]],
}


@pytest.mark.parametrize("kind", MISSING)
@pytest.mark.parametrize("given_reads", [True, False])
def test_missing_labels_are_named_with_their_place(kind, given_reads):
    reads, y = reads_of(3)
    classifier = FewShotSpeciesClassifier(KmerEmbedder(k=2))
    with pytest.raises(ValueError, match=r"must have a label for each read, got .* at position 4:"):
        classifier.fit(reads if given_reads else np.eye(9), MISSING[kind](y.tolist()))


class Weighted(LogisticRegression):
    """Keeps the metadata that it is given."""

    def fit(self, X, y, sample_weight=None, coverage=None):
        self.given_ = sample_weight, coverage
        return super().fit(X, y, sample_weight)


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("calibrate", [True, False])
def test_metadata_reach_the_classifier_as_they_are_routed(scale, calibrate):
    X, y = embeddings_of(4)
    weights = np.linspace(0.1, 2, len(y))
    settings = {"scale": scale, "calibrate": calibrate}
    with config_context(enable_metadata_routing=True):
        # CalibratedClassifierCV has no aliases.
        name = "sample_weight" if calibrate else "worth"
        inner = Weighted().set_fit_request(sample_weight=name, coverage=True)
        outer = FewShotSpeciesClassifier(classifier=inner, **settings)
        outer.set_score_request(sample_weight=False).fit(X, y, **{name: weights}, coverage=7)
        fitted = outer.classifier_[-1] if scale else outer.classifier_
        assert fitted.given_[0] is weights
        assert fitted.given_[1] == 7
        cross_validate(outer, X, y, params={name: weights}, cv=2, error_score="raise")
        plain = FewShotSpeciesClassifier(classifier=LogisticRegression(), **settings)
        with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
            plain.fit(X, y, sample_weight=weights)
    with pytest.raises(ValueError, match="enable_metadata_routing"):
        FewShotSpeciesClassifier(**settings).fit(X, y, sample_weight=weights)


# --- consensus over windows ---


def test_consensus_of_windows():
    reads, y = reads_of(10)
    classifier = FewShotSpeciesClassifier(KmerEmbedder(k=2)).fit(reads, y)
    new, truth = reads_of(4, length=1500, seed=1)
    chimera = new[0][:750] + new[4][:750]
    calls = classifier.consensus([*new, chimera, "ACGT"], window_size=300)
    assert calls.labels[:12].tolist() == truth.tolist()
    assert calls.n_windows.tolist() == [5] * 13 + [1]
    assert calls.flagged.tolist() == [False] * 12 + [True, False]
    assert calls.agreement[12] == pytest.approx(0.6)
    assert calls.agreement[13] == 1
    assert (calls.probability <= 1).all()
    whole = classifier.consensus(new, window_size=10_000)
    np.testing.assert_array_equal(whole.labels, classifier.predict(new))
    np.testing.assert_allclose(whole.probability, classifier.predict_proba(new).max(axis=1))
    np.testing.assert_array_equal(whole.agreement, 1)


def test_consensus_with_unknown():
    reads, y = reads_of(10)
    reads, y = reads[:20], y[:20]  # the third has no composition of its own
    classifier = FewShotSpeciesClassifier(KmerEmbedder(k=2), unknown="unknown").fit(reads, y)
    contigs = ["AC" * 450, reads[0] * 3, "AC" * 150 + reads[0] * 2]
    calls = classifier.consensus(contigs, window_size=300)
    assert calls.labels[:2].tolist() == ["unknown", "gamma"]
    assert calls.agreement[0] == 1
    assert calls.agreement[2] < 1


@pytest.fixture(scope="module")
def fitted():
    return FewShotSpeciesClassifier(KmerEmbedder(k=2), unknown="unknown").fit(*reads_of(4))


@settings(max_examples=40)
@given(
    contigs=st.lists(st.text("ACGTN", min_size=1, max_size=900), min_size=1, max_size=5),
    window_size=st.integers(1, 1000),
    data=st.data(),
)
def test_consensus_is_that_of_each_contig_by_itself(fitted, contigs, window_size, data):
    calls = fitted.consensus(contigs, window_size=window_size)
    assert calls.n_windows.tolist() == [-(-len(contig) // window_size) for contig in contigs]
    assert ((calls.agreement >= 0) & (calls.agreement <= 1)).all()
    assert ((calls.probability > 1 / 4) & (calls.probability <= 1 + 1e-9)).all()
    assert set(calls.labels) <= {*GENOMES, "unknown"}
    # Neither the other contigs nor their order matter.
    order = data.draw(st.permutations(range(len(contigs))))
    again = fitted.consensus([contigs[i] for i in order], window_size=window_size)
    assert again.labels.tolist() == calls.labels[order].tolist()
    np.testing.assert_allclose(again.agreement, calls.agreement[order], atol=1e-9)
    np.testing.assert_allclose(again.probability, calls.probability[order], atol=1e-9)
    # One window is what the classifier says of the contig.
    whole = calls.n_windows == 1
    if whole.any():
        alone = [contig for contig, is_whole in zip(contigs, whole, strict=True) if is_whole]
        assert calls.labels[whole].tolist() == fitted.predict(alone).tolist()
        assert (calls.agreement[whole] == 1).all()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"window_size": 0}, "The 'window_size' parameter .* Got 0"),
        ({"window_size": 2.5}, "The 'window_size' parameter .* Got 2.5"),
        ({"min_agreement": 2}, "The 'min_agreement' parameter .* Got 2"),
        ({"X": "ACGT"}, "Iterable over DNA sequences expected"),
    ],
)
def test_consensus_errors(fitted, parameters, message):
    with pytest.raises(ValueError, match=message):
        fitted.consensus(**{"X": ["ACGT"]} | parameters)


def test_methods_need_the_right_fit():
    on_numbers = FewShotSpeciesClassifier().fit(np.eye(9), np.arange(9) % 3)
    with pytest.raises(ValueError, match="windows need a classifier fitted on sequences"):
        on_numbers.consensus(["ACGT"])
    for method in ("novelty_scores", "confidence", "consensus", "decision_function"):
        with pytest.raises(NotFittedError):
            getattr(FewShotSpeciesClassifier(), method)(["ACGT"])


# --- what else is asked ---


def test_the_most_probable_species_come_first():
    reads, y = reads_of(4)
    classifier = FewShotSpeciesClassifier(KmerEmbedder(k=2)).fit(reads, y)
    names, probabilities = classifier.predict_top_k(reads, 3)
    np.testing.assert_array_equal(names[:, 0], classifier.predict(reads))
    np.testing.assert_array_equal(probabilities, -np.sort(-classifier.predict_proba(reads)))
    for i, name in enumerate(classifier.classes_):
        own = classifier.predict_proba(reads)[:, i]
        np.testing.assert_array_equal(probabilities[names == name], own)
    for k in (0, 4, 1.5):
        with pytest.raises(ValueError, match="k must be an integer from 1 to 3"):
            classifier.predict_top_k(reads, k)


@pytest.mark.parametrize("calibrate", [False, True])
def test_weights_of_species(calibrate):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 2)), np.array(["a"] * 50 + ["b"] * 10)
    X[y == "b"] += 0.5

    def share_of_b(**parameters):
        classifier = FewShotSpeciesClassifier(calibrate=calibrate, **parameters).fit(X, y)
        return np.mean(classifier.predict_proba(X)[:, 1])

    plain, balanced = share_of_b(), share_of_b(class_weight="balanced")
    assert plain < 0.3 < balanced
    by_name = share_of_b(class_weight={"a": 60 / 100, "b": 60 / 20})
    assert by_name == pytest.approx(balanced, abs=1e-6 if not calibrate else 0.05)
    assert share_of_b(class_weight="balanced", classifier=LogisticRegression()) > 0.3
    with pytest.raises(ValueError, match="class_weight needs a classifier that has it; Gauss"):
        share_of_b(class_weight="balanced", classifier=GaussianNB())
