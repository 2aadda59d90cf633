"""A fitted estimator knows what it was fitted with, and refuses to go on with anything else."""

import pickle
import shutil

import numpy as np
import pytest
import torch
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline

from dnaembed import DNABertSEmbedder, FewShotSpeciesClassifier, KmerEmbedder, SpeciesClusterer
from dnaembed.backbones import load_backbone

ESTIMATORS = {
    "embedder": lambda embedder: embedder,
    "classifier": FewShotSpeciesClassifier,
    "clusterer": lambda embedder: SpeciesClusterer(2, embedder=embedder, random_state=0),
    "pipeline": lambda embedder: make_pipeline(embedder, FewShotSpeciesClassifier()),
    "frozen": lambda embedder: FewShotSpeciesClassifier(FrozenEstimator(embedder.fit(["ACGT"]))),
}
Y = np.arange(12) % 2


@pytest.fixture
def folder(tiny_dnabert_folder, tmp_path):
    shutil.copytree(tiny_dnabert_folder, tmp_path / "model")
    return tmp_path / "model"


def write_other_weights(folder):
    backbone = load_backbone(folder)
    with torch.no_grad():
        backbone.model.embeddings.word_embeddings.weight[5] += 1
    shutil.rmtree(folder)
    backbone.save(folder)


def use(estimator, reads):
    return getattr(estimator, "transform" if hasattr(estimator, "transform") else "predict")(reads)


def inner(estimator):
    embedder = getattr(estimator, "embedder_", estimator)
    return embedder.get_params().get("estimator", embedder)


@pytest.mark.parametrize("pickled", [False, True])
@pytest.mark.parametrize("kind", ESTIMATORS)
def test_other_weights_under_the_same_name(kind, pickled, folder, reads):
    estimator = ESTIMATORS[kind](DNABertSEmbedder(folder, cache=None)).fit(reads, Y)
    expected = use(estimator, reads)
    data = pickle.dumps(estimator)
    np.testing.assert_array_equal(use(pickle.loads(data), reads), expected)
    fitted = load_backbone(folder).fingerprint()
    write_other_weights(folder)
    if pickled:
        estimator = pickle.loads(data)
    with pytest.raises(ValueError, match=f"was fitted with the model .*{fitted[:12]}.* now it has"):
        use(estimator, reads)


CHANGES = {"model": "default", "strand": "both", "window_size": 60, "dtype": "bfloat16"}


@pytest.mark.parametrize("change", [{"normalize": True}, *({k: CHANGES[k]} for k in CHANGES)])
@pytest.mark.parametrize("kind", ["embedder", "classifier", "clusterer", "frozen"])
def test_other_settings(kind, change, folder, reads):
    estimator = ESTIMATORS[kind](DNABertSEmbedder(folder, cache=None)).fit(reads, Y)
    inner(estimator).set_params(**change)
    with pytest.raises(ValueError, match="fit it again, or give it back what it was fitted with"):
        use(estimator, reads)
    # What does not change embeddings may be changed.
    back = {name: DNABertSEmbedder().get_params()[name] for name in change} | {"model": folder}
    inner(estimator).set_params(**back, batch_tokens=64, n_jobs=2, cache="memory")
    use(estimator, reads)


def test_a_shared_embedder_that_is_fitted_again(folder, reads):
    embedder = DNABertSEmbedder(folder)
    classifier = ESTIMATORS["frozen"](embedder).fit(reads, Y)
    embedder.set_params(strand="both").fit(reads)
    with pytest.raises(ValueError, match=r"was fitted with .*, but now it has .*both strands"):
        classifier.predict(reads)


@pytest.mark.parametrize("change", [{"k": 3}, {"method": "raw"}])
def test_settings_of_the_kmer_embedder(change, reads):
    embedder = KmerEmbedder().fit(reads)
    embedder.set_params(**change)
    with pytest.raises(ValueError, match="was fitted with k=4, method='canonical'"):
        embedder.transform(reads)


def test_auto_may_be_another_precision_elsewhere(folder, reads, monkeypatch):
    embedder = DNABertSEmbedder(folder, cache=None).fit(reads)
    place = "dnaembed.embedding._embedder.resolve_dtype"
    monkeypatch.setattr(place, lambda dtype, device: torch.bfloat16)
    embedder.transform(reads)
    write_other_weights(folder)
    with pytest.raises(ValueError, match="was fitted with the model"):
        embedder.transform(reads)
