import numpy as np
import pytest
from sklearn.preprocessing import normalize

from dnaembed import FewShotSpeciesClassifier, KmerEmbedder
from dnaembed.datasets import load_demo_reads
from dnaembed.species._novelty import fit_novelty


def species(n_species, n_each, spread, seed=0, n_features=16):
    rng = np.random.default_rng(seed)
    centers = np.random.default_rng(99).normal(size=(n_species, n_features))
    codes = np.repeat(np.arange(n_species), n_each)
    spread = np.broadcast_to(spread, n_species)[codes, None]
    return centers[codes] + spread * rng.normal(size=(len(codes), n_features)), codes


def test_by_hand():
    # Cosine distances of each read to the other one of its species: 0 and 1.
    X = np.array([[1.0, 0], [2.0, 0], [0, 1.0], [1.0, 0]])
    novelty = fit_novelty(X, np.array([0, 0, 1, 1]), false_unknown_rate=0.5)
    np.testing.assert_allclose(novelty.centers, [[1, 0], [0.5**0.5, 0.5**0.5]])
    assert novelty.scores(np.array([[3.0, 0]])) == pytest.approx(0)
    assert novelty.limits.shape == (2,)
    assert (np.diff(novelty.left_out) >= 0).all()


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.1, 0.3])
@pytest.mark.parametrize("n_each", [2, 5, 200])
def test_no_more_reads_than_wanted_are_new(rate, n_each):
    X, codes = species(6, n_each, 0.3)
    novelty = fit_novelty(X, codes, false_unknown_rate=rate)
    assert np.mean(novelty.left_out > 1) <= rate
    assert np.mean(novelty.left_out >= 1 - 1e-9) > 0
    new, _ = species(6, 200, 0.3, seed=1)
    if n_each == 200:
        assert np.mean(novelty.scores(new) > 1) == pytest.approx(rate, abs=0.04)


def test_each_species_has_its_own_limit():
    X, codes = species(2, 200, [0.05, 0.5])
    tight, loose = fit_novelty(X, codes, false_unknown_rate=0.05).limits
    assert loose > 10 * tight
    few, codes = species(2, 2, [0.05, 0.5])
    tight, loose = fit_novelty(few, codes, false_unknown_rate=0.05).limits
    assert loose < 2 * tight  # two reads say little: both near the common limit


def test_single_reads_borrow_the_limit_of_the_others():
    X, codes = species(3, 20, 0.3)
    kept = (codes < 2) | (np.arange(len(codes)) == len(codes) - 1)
    novelty = fit_novelty(X[kept], codes[kept], false_unknown_rate=0.05)
    assert novelty.limits[2] == pytest.approx(novelty.limits[:2].mean(), rel=0.7)
    alone = fit_novelty(np.eye(3), np.arange(3), false_unknown_rate=0.05)
    np.testing.assert_allclose(alone.limits, 1)
    np.testing.assert_allclose(alone.scores(np.eye(3)), 0, atol=1e-12)
    np.testing.assert_allclose(alone.p_values(np.array([0.0, 5.0])), 1)


def test_equal_reads_and_zeros():
    X = np.repeat(np.eye(2, 3), 4, axis=0)
    novelty = fit_novelty(X, np.repeat([0, 1], 4), false_unknown_rate=0.05)
    scores = novelty.scores(np.array([[2.0, 0, 0], [0, 0, 1], [0, 0, 0]]))
    assert scores[0] <= 1 < scores[1]
    assert scores[2] > 1
    assert np.isfinite(scores).all()


def test_p_values_count_left_out_reads():
    X, codes = species(4, 10, 0.3)
    novelty = fit_novelty(X, codes, false_unknown_rate=0.05)
    scores = np.array([-1.0, np.median(novelty.left_out), np.inf])
    np.testing.assert_allclose(novelty.p_values(scores), [1, 0.5, 1 / 41], atol=0.03)
    assert normalize(novelty.centers) == pytest.approx(novelty.centers)


def test_short_reads_may_be_further_away():
    reads = load_demo_reads()
    known, labels = reads.sequences[::2], reads.labels[::2]
    short = [sequence[:700] for sequence in reads.sequences[1::2]]
    classifier = FewShotSpeciesClassifier(unknown="unknown").fit(known, labels)
    embedder = classifier.embedder_
    plain = FewShotSpeciesClassifier(unknown="unknown").fit(embedder.transform(known), labels)
    unknown = [(calls == "unknown").mean() for calls in (
        classifier.predict(short), plain.predict(embedder.transform(short)))]  # fmt: skip
    assert unknown[0] < 0.6 * unknown[1]
    rows = KmerEmbedder().fit_transform(short)
    by_kmers = FewShotSpeciesClassifier(KmerEmbedder()).fit(known, labels)
    alike = FewShotSpeciesClassifier().fit(KmerEmbedder().fit_transform(known), labels)
    np.testing.assert_allclose(by_kmers.novelty_scores(short), alike.novelty_scores(rows))
