"""What earlier versions saved must load, and give what it gave. See helpers/make_compat.py."""

import json
import pickle
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.exceptions import InconsistentVersionWarning

from dnaembed import DNABertSEmbedder
from dnaembed.io import read_embeddings
from dnaembed.species._saved import load_clusters
from tests.helpers.make_compat import trainer

FOLDERS = sorted((Path(__file__).parent / "data" / "compat").iterdir())
# Another version of numpy, scikit-learn or torch may round otherwise.
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


@pytest.fixture(params=FOLDERS, ids=lambda folder: folder.name)
def saved(request):
    return request.param


@pytest.fixture
def reads(saved):
    return json.loads((saved / "reads.json").read_text())["reads"]


@pytest.fixture
def expected(saved):
    with np.load(saved / "expected.npz") as arrays:
        return dict(arrays)


def load_pickle(path):
    # scikit-learn warns that its own estimators, inside ours, are of another version; ours are
    # made so that they load, and whether they do is what is tested.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InconsistentVersionWarning)
        # numpy 2 finds its own parts of pickles of numpy 1 under another name.
        warnings.filterwarnings("ignore", "numpy.core", DeprecationWarning)
        return pickle.loads(path.read_bytes())


def test_there_is_something_to_load():
    assert [folder.name for folder in FOLDERS][:1] == ["0.1.0"]


@pytest.mark.parametrize("name", ["profile", "dnabert"])
def test_models(saved, reads, expected, name):
    rows = DNABertSEmbedder(saved / name, cache=None, device="cpu").fit_transform(reads)
    np.testing.assert_allclose(rows, expected[f"model {name}"], **CLOSE)


EMBEDDERS = ["kmer_embedder", "embedder", "fine_tuned_embedder"]


@pytest.mark.parametrize("name", [*EMBEDDERS, "classifier", "kmeans", "graph"])
def test_pickled_estimators(saved, reads, expected, name):
    estimator = load_pickle(saved / f"{name}.pkl")
    found = estimator.transform(reads) if name in EMBEDDERS else estimator.predict(reads)
    np.testing.assert_allclose(found, expected[f"pickle {name}"], **CLOSE)


def test_probabilities(saved, reads, expected):
    classifier = load_pickle(saved / "classifier.pkl")
    np.testing.assert_allclose(classifier.predict_proba(reads), expected["probabilities"], **CLOSE)
    np.testing.assert_allclose(classifier.novelty_scores(reads), expected["novelty"], **CLOSE)


def test_saved_clusters(saved, expected):
    clusterer, source = load_clusters(saved / "clusters")
    np.testing.assert_array_equal(clusterer.predict(expected["rows"]), expected["clusters"])
    assert (source.fingerprint, source.model) == ("0123abcd", "k-mers")


@pytest.mark.parametrize("suffix", ["npy", "tsv", "parquet"])
def test_embedding_files(saved, expected, suffix):
    if suffix == "parquet":
        pytest.importorskip("pyarrow", reason="Parquet needs pyarrow")
    ids, rows = read_embeddings(saved / f"embeddings.{suffix}")
    assert ids == [f"read {i}" for i in range(5)]
    np.testing.assert_array_equal(rows, expected["rows"][:5])


def test_a_run_goes_on_from_its_checkpoint(saved, expected, tmp_path):
    shutil.copytree(saved / "run", tmp_path / "run")
    run = trainer(tmp_path / "run")
    tuned = run.train(resume=True)
    assert [row["step"] for row in run.history] == [1, 2, 3, 4, 5, 6]
    weights = torch.cat([p.detach().flatten() for p in tuned.model.parameters()]).numpy()
    np.testing.assert_allclose(weights, expected["trained"], **CLOSE)
