"""Embedders, classifier and clusterer inside the machinery of scikit-learn."""

import pickle
from collections import Counter

import joblib
import numpy as np
import pytest
from sklearn import config_context
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline

from dnaembed import (
    DNABertSEmbedder,
    FewShotSpeciesClassifier,
    KmerEmbedder,
    SpeciesClusterer,
    clear_memory_cache,
    reverse_complement,
)
from dnaembed.backbones import DnaBertBackbone
from dnaembed.utils.estimator_checks import check_sequence_transformer
from tests.helpers.processes import run_python

GENOMES = {"alpha": [0.7, 0.1, 0.1, 0.1], "beta": [0.1, 0.4, 0.4, 0.1]}
GENOMES["gamma"] = [0.4, 0.1, 0.4, 0.1]


@pytest.fixture(scope="module")
def labelled():
    """60 reads of three made-up species that use the bases differently."""
    rng = np.random.default_rng(0)
    y = np.tile(list(GENOMES), 20)
    return ["".join(rng.choice(list("ACGT"), 200, p=GENOMES[name])) for name in y], y


@pytest.fixture
def embedder(tiny_dnabert_folder):
    clear_memory_cache()
    return DNABertSEmbedder(tiny_dnabert_folder)


@pytest.fixture(params=["transformer", "k-mers"])
def any_embedder(request, embedder):
    return embedder if request.param == "transformer" else KmerEmbedder(k=3)


@pytest.fixture
def forwards(monkeypatch):
    """What reaches the model: sequences (with their strands), and rows of its batches."""
    seen = {"sequences": Counter(), "rows": 0}
    featurize, embed = DnaBertBackbone.featurize, DnaBertBackbone.embed

    def counting_featurize(self, sequences):
        seen["sequences"].update(sequences)
        return featurize(self, sequences)

    def counting_embed(self, batch, mixing=None):
        embeddings = embed(self, batch, mixing)
        seen["rows"] += len(embeddings)
        return embeddings

    monkeypatch.setattr(DnaBertBackbone, "featurize", counting_featurize)
    monkeypatch.setattr(DnaBertBackbone, "embed", counting_embed)
    return seen


def test_embedder_keeps_conventions_without_a_cache_that_could_hide_a_fault(tiny_dnabert_folder):
    options = {"cache": None, "strand": "both", "window_size": 100, "batch_tokens": 256}
    check_sequence_transformer(DNABertSEmbedder(tiny_dnabert_folder, **options))


def test_grid_searches_embed_each_sequence_once_a_setting(embedder, labelled, forwards):
    reads, y = labelled
    inner = LogisticRegression(max_iter=3000)
    steps = Pipeline([("embedder", embedder), ("classify", inner)])
    whole = FewShotSpeciesClassifier(embedder, inner)
    for estimator, parameter in ((steps, "classify__C"), (whole, "classifier__C")):
        clear_memory_cache()
        forwards |= {"sequences": Counter(), "rows": 0}
        grid = {"embedder__strand": ["forward", "both"], parameter: [0.05, 0.5]}
        search = GridSearchCV(estimator, grid, cv=3).fit([*reads, *reads], [*y, *y])
        assert search.best_score_ > 0.8
        one_strand, other = Counter(reads), Counter(map(reverse_complement, reads))
        assert forwards == {"sequences": one_strand + one_strand + other, "rows": 3 * len(reads)}


def test_a_pipeline_gives_what_the_classifier_that_embeds_gives(any_embedder, labelled):
    reads, y = labelled
    pipeline = make_pipeline(any_embedder, FewShotSpeciesClassifier()).fit(reads, y)
    together = FewShotSpeciesClassifier(any_embedder).fit(reads, y)
    np.testing.assert_array_equal(pipeline.predict_proba(reads), together.predict_proba(reads))
    assert pipeline.score(reads, y) > 0.9


def test_cross_validation_keeps_genomes_apart(any_embedder, labelled):
    reads, y = labelled
    genomes = np.arange(len(reads)) // 3 % 5  # each with reads of every species
    classifier = FewShotSpeciesClassifier(any_embedder)
    scores = cross_val_score(classifier, reads, y, cv=GroupKFold(5), groups=genomes)
    assert scores.shape == (5,)
    assert scores.mean() > 0.8
    with config_context(enable_metadata_routing=True):
        routed = cross_val_score(classifier, reads, y, cv=GroupKFold(5), params={"groups": genomes})
    np.testing.assert_array_equal(routed, scores)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda e: CalibratedClassifierCV(FewShotSpeciesClassifier(e), cv=3),
        lambda e: FewShotSpeciesClassifier(FeatureUnion([("k", KmerEmbedder(3)), ("m", e)])),
        lambda e: FewShotSpeciesClassifier(FrozenEstimator(e)),
        lambda e: make_pipeline(FrozenEstimator(e), FewShotSpeciesClassifier()),
        lambda e: BaggingClassifier(
            FewShotSpeciesClassifier(e), n_estimators=4, max_samples=0.5, random_state=0
        ),
    ],
    ids=["calibrated", "union", "frozen", "frozen in a pipeline", "bagging"],
)
def test_estimators_that_take_estimators(any_embedder, labelled, wrap):
    reads, y = labelled
    column = np.array(reads, dtype=object)[:, None]
    assert wrap(any_embedder.fit(reads)).fit(column, y).score(column, y) > 0.9


@pytest.mark.parametrize(
    "make",
    [
        FewShotSpeciesClassifier,
        lambda embedder: SpeciesClusterer(3, embedder=embedder, random_state=0),
        lambda embedder: SpeciesClusterer(embedder=embedder, random_state=0),
        lambda embedder: make_pipeline(embedder, FewShotSpeciesClassifier()),
    ],
    ids=["classifier", "clusterer", "binner", "pipeline"],
)
def test_round_trips(any_embedder, labelled, tmp_path, make):
    reads, y = labelled
    estimator = make(any_embedder).fit(reads, y)
    expected = estimator.predict(reads)
    joblib.dump(estimator, tmp_path / "estimator.joblib")
    again = joblib.load(tmp_path / "estimator.joblib")
    for loaded in (pickle.loads(pickle.dumps(estimator)), again):
        clear_memory_cache()
        np.testing.assert_array_equal(loaded.predict(reads), expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["FewShotSpeciesClassifier", "SpeciesClusterer"])
def test_sklearn_checks_that_need_the_array_api(name):
    # scipy reads the switch when it is imported, hence another process.
    code = (
        f"import dnaembed; from sklearn.utils.estimator_checks import check_estimator as check;"
        f"results = check(dnaembed.{name}(), on_skip=None);"
        f"assert {{result['status'] for result in results}} == {{'passed'}}"
    )
    run_python("-W", "ignore", "-c", code, SCIPY_ARRAY_API="1")
