import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier

from dnaembed.species._temperature import fit_temperature, log_probabilities


def overlapping(n, seed):
    rng = np.random.default_rng(seed)
    y = np.repeat([0, 1, 2], n)
    return np.random.default_rng(7).normal(size=(3, 10))[y] + rng.normal(size=(3 * n, 10)) * 1.5, y


def sharpened(classifier, X, temperature):
    logits = log_probabilities(classifier, X) / temperature
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("classifier", "too_sure"),
    [(LogisticRegression(C=1e4, max_iter=9999), True), (LogisticRegression(C=1e-3), False)],
)
def test_probabilities_of_new_reads_improve(classifier, too_sure):
    X, y = overlapping(12, 0)
    temperature = fit_temperature(classifier, X, y)
    assert (temperature > 1) is too_sure
    new, truth = overlapping(300, 1)
    classifier.fit(X, y)
    before = log_loss(truth, classifier.predict_proba(new))
    assert log_loss(truth, sharpened(classifier, new, temperature)) < before


def test_classifier_is_left_alone():
    X, y = overlapping(4, 0)
    classifier = GaussianNB()
    fit_temperature(classifier, X, y)
    assert not hasattr(classifier, "classes_")


def test_single_reads_are_not_judged():
    X, y = overlapping(1, 0)
    assert fit_temperature(LogisticRegression(), X, y) == 1
    X, y = overlapping(5, 0)
    kept = np.r_[0:11]  # one read of the last species, which is in each training part
    assert fit_temperature(LogisticRegression(), X[kept], y[kept]) > 0


def test_probabilities_of_zero_stay_finite():
    X, y = overlapping(6, 0)
    classifier = KNeighborsClassifier(1).fit(X, y)
    assert not hasattr(classifier, "predict_log_proba")
    assert np.isfinite(log_probabilities(classifier, X)).all()
    assert np.isfinite(fit_temperature(KNeighborsClassifier(1), X, y))
