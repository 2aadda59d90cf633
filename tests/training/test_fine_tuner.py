import pickle
import warnings
from typing import ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import silhouette_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import Pipeline
from torch.nn.functional import normalize

from dnaembed import DNABertSEmbedder
from dnaembed.training import ContrastiveFineTuner, ReadPairs, weighted_simclr
from tests.helpers.random_models import embed, random_profile
from tests.helpers.toys import ToyBackbone, ToySource

READS = ToySource(length=(1000, 1500), n_species=6).sample(0, 24)
X, Y = READS.view1, READS.labels


def tuner(**parameters):
    defaults = {"n_steps": 4, "batch_size": 8, "min_length": 100, "min_reads": 0}
    defaults |= {"learning_rate": 1e-3}
    return ContrastiveFineTuner(**(defaults | parameters))


def tune(X=X, y=None, *, random_state=0, backbone=None, **parameters):
    backbone = backbone or ToyBackbone(dropout=0.1)
    return tuner(**parameters).fine_tune(backbone, X, y, random_state=random_state)


def test_the_given_model_is_left_alone():
    backbone = ToyBackbone(dropout=0.1)
    before = backbone.fingerprint()
    tuned = tune(backbone=backbone)
    assert backbone.fingerprint() == before != tuned.fingerprint()
    assert not tuned.model.training
    assert all(p.requires_grad for p in tuned.model.parameters())
    assert all(p.grad is None for p in tuned.model.parameters())


def test_labels_teach_what_they_say():
    # Species are told apart better after being shown a few reads of each; others are judged.
    how = {"length": (1000, 1200), "n_species": 5, "unlike": 0.1}
    seen, unseen = (ToySource(**how, seed=s).sample(0, n) for s, n in ((1, 40), (2, 60)))
    tuned = tune(seen.view1, seen.labels, backbone=ToyBackbone(), n_steps=40, batch_size=32)
    rows = (embed(backbone, unseen.view1) for backbone in (ToyBackbone(), tuned))
    before, after = (silhouette_score(z, unseen.labels, metric="cosine") for z in rows)
    assert after > before + 0.05


def test_reads_without_labels_teach_which_parts_belong_together():
    sources = (ToySource(length=(1000, 1200), seed=s, unlike=0.3) for s in (2, 3))
    seen, unseen = (source.sample(0, 40).view1 for source in sources)
    others = ReadPairs(unseen, min_length=400).sample(0, 40)

    def loss(backbone):
        z1, z2 = (normalize(embed(backbone, view), dim=1) for view in (others.view1, others.view2))
        labels = torch.from_numpy(others.labels)
        return weighted_simclr(z1, z2, temperature=0.05, labels=labels).item()

    tuned = tune(seen, backbone=ToyBackbone(), n_steps=40, batch_size=32, min_length=400)
    assert loss(tuned) < 0.9 * loss(ToyBackbone())


# Few, short or alike reads


@pytest.mark.parametrize("y", [[5, 5, 5], ["a", "a", "a"], [-1]])
def test_one_class_or_read_leaves_the_model_as_it_is(y):
    backbone = ToyBackbone()
    with pytest.warns(UserWarning, match="Nothing to fine-tune on: the reads are of one label"):
        tuned = tune(X[: len(y)], y, backbone=backbone)
    assert tuned is not backbone
    assert tuned.fingerprint() == backbone.fingerprint()


@pytest.mark.parametrize(
    ("X", "y", "min_reads", "message"),
    [
        (X, None, 25, "24 reads without labels are too few: min_reads .--min-reads. is 25"),
        ([*X[:-1], X[-1][:300]], None, 24, "23 reads without labels"),  # one cannot be cut
        (X, None, "auto", "24 reads without labels .*.*is 2000"),
        (X, Y, "auto", "24 reads with labels .*is 300"),
    ],
)
def test_too_few_reads_leave_the_model_as_it_is(X, y, min_reads, message):
    backbone = ToyBackbone()
    with pytest.warns(UserWarning, match=message):
        tuned = tune(X, y, backbone=backbone, min_reads=min_reads)
    assert tuned.fingerprint() == backbone.fingerprint()


def test_as_many_reads_as_are_needed():
    backbone = ToyBackbone()
    for X_, y, min_reads in ((X, None, 24), (X[:20] * 15, [0, 1] * 150, "auto")):
        tuned = tune(X_, y, backbone=backbone, n_steps=1, min_reads=min_reads)
        assert tuned.fingerprint() != backbone.fingerprint()


def test_learning_rate_suits_model_and_labels(tiny_dnabert):
    profile = random_profile(k=[2], hidden_size=8, deep_size=4)

    def highest(backbone, y):
        one_step = tuner(n_steps=1, learning_rate="auto")
        one_step.fine_tune(backbone, X, y, random_state=0)
        return one_step.history_[0]["learning_rate"]

    rates = [highest(b, y) for b in (profile, tiny_dnabert) for y in (None, Y)]
    assert rates == pytest.approx([5e-4, 3e-5, 1e-5, 1e-5])


def test_unknown_labels_are_paired_with_themselves():
    unknown, known = (tune(X[:6], [0, 0, 1, 1, *rest]) for rest in ([-1, -1], [2, 2]))
    assert unknown.fingerprint() != known.fingerprint()
    assert tune(X[:6], [-1] * 6).fingerprint() == tune(X[:6]).fingerprint()


def test_short_reads_are_never_cut():
    short = [read[:300] for read in X]
    # They are left out without labels...
    assert tune([*X[:4], *short]).fingerprint() == tune(X[:4]).fingerprint()
    why = "None of the 24 reads can make a pair: all are shorter than min_read_length=1000"
    with pytest.raises(ValueError, match=why):
        tune(short)
    # ... and a label of one short read with it.
    y = [0, 0, 1, 1]
    assert tune([*X[:4], short[0]], [*y, 2]).fingerprint() == tune(X[:4], y).fingerprint()
    assert tune(short[:4], y).fingerprint() != ToyBackbone(dropout=0.1).fingerprint()
    assert tune(short, min_read_length=200).fingerprint() != ToyBackbone(dropout=0.1).fingerprint()


@settings(max_examples=15)
@given(
    reads=st.lists(st.text("ACGTNacgtu-", min_size=3, max_size=60), min_size=1, max_size=6),
    data=st.data(),
)
def test_any_reads_give_finite_weights_or_a_clear_error(reads, data):
    labels = st.lists(st.integers(-1, 2), min_size=len(reads), max_size=len(reads))
    y = data.draw(st.none() | labels)
    bases = [len(read.replace("-", "")) for read in reads]
    alone = [y is None or label < 0 or y.count(label) == 1 for label in y or bases]
    usable = [n >= 20 or (n > 1 and not single) for n, single in zip(bases, alone, strict=True)]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Nothing to fine-tune on")
        if min(bases) > 0 and any(usable):
            tuned = tune(reads, y, n_steps=1, min_length=5, min_read_length=20)
            assert all(p.isfinite().all() for p in tuned.model.parameters())
        else:
            with pytest.raises(ValueError, match=r"None of the|is empty"):
                tune(reads, y, n_steps=1, min_length=5, min_read_length=20)


# As an estimator


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_steps": 0}, "The 'n_steps' parameter of ContrastiveFineTuner must be"),
        ({"batch_size": 1}, "'batch_size' parameter"),
        ({"learning_rate": -1.0}, "'learning_rate' parameter"),
        ({"min_length": 500, "max_length": 100}, "1 <= min_length <= max_length is required"),
        ({"y": [0, 1]}, "inconsistent numbers of samples"),
        ({"X": ["ACGT" * 300, "AC!T"]}, "'!' at position 3 is not a DNA base"),
    ],
)
def test_wrong_parameters_and_data(parameters, message):
    with pytest.raises(ValueError, match=message):
        tune(**parameters)


# In the embedder


class SpyingFineTuner(ContrastiveFineTuner):
    """Notes which reads and labels it is given."""

    seen: ClassVar[list] = []

    def fine_tune(self, backbone, X, y=None, *, random_state=None):
        self.seen.append((list(X), None if y is None else list(y)))
        return super().fine_tune(backbone, X, y, random_state=random_state)


def test_nested_parameters_are_searched_and_folds_do_not_leak(tiny_dnabert_folder):
    SpyingFineTuner.seen.clear()
    spy = SpyingFineTuner(n_steps=1, batch_size=4, min_length=100, min_reads=0)
    reads, labels = [read[:300] for read in X], np.arange(24) % 2
    embedder = DNABertSEmbedder(tiny_dnabert_folder, fine_tuner=spy, random_state=0, device="cpu")
    steps = [("embedder", embedder), ("classifier", LogisticRegression(max_iter=1000))]
    grid = {"embedder__fine_tuner__learning_rate": [1e-4, 1e-3]}
    GridSearchCV(Pipeline(steps), grid, cv=StratifiedKFold(3)).fit(reads, labels)
    assert len(spy.seen) == 7  # 2 values x 3 folds, and the refit
    folds = list(StratifiedKFold(3).split(reads, labels))
    for number, (known, y) in enumerate(spy.seen[:6]):
        train = folds[number % 3][0]
        assert known == [reads[i] for i in train]
        assert y == [labels[i] for i in train]
    assert len(spy.seen[-1][0]) == 24
    # The given fine-tuner is a parameter: it learns nothing itself.
    assert "n_steps_" not in vars(spy)


def test_partial_fit_goes_on(tiny_dnabert_folder):
    def embedder():
        model = tuner(n_steps=2)
        return DNABertSEmbedder(tiny_dnabert_folder, fine_tuner=model, random_state=0, device="cpu")

    reads, labels = [read[:400] for read in X[:12]], Y[:12] % 2
    # The first call is fit; the second one starts from there, with other random numbers.
    first = embedder().fit(reads, labels)
    twice = embedder().partial_fit(reads, labels)
    np.testing.assert_array_equal(first.transform(reads), twice.transform(reads))
    assert twice.partial_fit(reads[:8], labels[:8]) is twice
    assert twice.fine_tuner_.n_steps_ == 4
    assert [row["step"] for row in twice.fine_tuner_.history_] == [2, 4]
    assert np.abs(twice.transform(reads) - first.transform(reads)).max() > 1e-5
    again = embedder().fit(reads, labels).partial_fit(reads[:8], labels[:8])
    np.testing.assert_array_equal(again.transform(reads), twice.transform(reads))
    # A pickle goes on as the original does, and fit starts afresh.
    copy = pickle.loads(pickle.dumps(twice))
    expected = twice.partial_fit(reads, labels).transform(reads)
    np.testing.assert_array_equal(copy.partial_fit(reads, labels).transform(reads), expected)
    np.testing.assert_array_equal(twice.fit(reads, labels).transform(reads), first.transform(reads))
    assert twice.fine_tuner_.n_steps_ == 2


class FitsOnce(BaseEstimator):
    def fine_tune(self, backbone, X, y=None, *, random_state=None):
        return backbone


def test_partial_fit_needs_a_fine_tuner_that_can_go_on(tiny_dnabert_folder):
    embedder = DNABertSEmbedder(tiny_dnabert_folder, fine_tuner=FitsOnce(), device="cpu")
    embedder.partial_fit(X)
    with pytest.raises(TypeError, match="FitsOnce has no method partial_fine_tune"):
        embedder.partial_fit(X)
