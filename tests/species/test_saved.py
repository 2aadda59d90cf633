import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file, save_file

from dnaembed import KmerEmbedder, SpeciesClusterer
from dnaembed.io import SequenceFileError
from dnaembed.species._saved import (
    EmbeddingSource,
    _digest,
    check_source,
    load_clusters,
    save_clusters,
    source_of_file,
)
from tests.helpers.benchmarks import embedding_mixture

SOURCE = EmbeddingSource("0123456789abcdef", 5000, True, "folder/of model")


def fitted(**parameters):
    X, _ = embedding_mixture(300, 16, 4)
    return SpeciesClusterer(random_state=0, **parameters).fit(X), X


WAYS = [{"n_clusters": 4}, {}, {"min_similarity": 0.7}, {"min_similarity": 1.0}]


@pytest.mark.parametrize("parameters", WAYS)
@pytest.mark.parametrize("source", [SOURCE, None])
def test_what_is_saved_assigns_as_before(tmp_path, parameters, source):
    clusterer, X = fitted(**parameters)
    save_clusters(tmp_path / "saved", clusterer, source)
    loaded, found = load_clusters(tmp_path / "saved")
    assert found == source
    new = np.concatenate([X, -X[:5], embedding_mixture(50, 16, 4, seed=1)[0]])
    np.testing.assert_array_equal(loaded.predict(new), clusterer.predict(new))
    assert loaded.n_clusters_ == clusterer.n_clusters_
    assert loaded.n_clusters == clusterer.n_clusters
    with pytest.raises(ValueError, match="16 features"):
        loaded.predict(new[:, :5])


def test_samples_are_matched_by_name(tmp_path):
    X, y = embedding_mixture(300, 16, 4)
    coverage = pd.DataFrame(np.eye(4)[y][:, :3] * 50 + 1, columns=["a", "b", "c"])
    clusterer = SpeciesClusterer(random_state=0).fit(X, abundance=coverage)
    save_clusters(tmp_path / "saved", clusterer, None)
    loaded, _ = load_clusters(tmp_path / "saved")
    expected = clusterer.predict(X, abundance=coverage)
    for found in (clusterer, loaded):
        shuffled = coverage[["c", "a", "b"]]
        np.testing.assert_array_equal(found.predict(X, abundance=shuffled), expected)
        np.testing.assert_array_equal(found.predict(X, abundance=coverage.to_numpy()), expected)
        with pytest.raises(ValueError, match="was fitted with abundance, got none"):
            found.predict(X)
        other = coverage.rename(columns={"c": "d"})
        with pytest.raises(ValueError, match=r"samples 'a', 'b', 'd', but .* 'b', 'c'"):
            found.predict(X, abundance=other)
    assert not hasattr(clusterer.fit(X, abundance=coverage.to_numpy()), "abundance_names_")


@pytest.mark.parametrize(
    ("change", "agrees"),
    [({"model": "x"}, True), ({"fingerprint": "x"}, False), ({"window_size": None}, False)],
)
def test_sources_agree_by_what_changes_embeddings(change, agrees):
    assert SOURCE.agrees_with(replace(SOURCE, **change)) is agrees
    assert not SOURCE.agrees_with(replace(SOURCE, both_strands=False))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "clusters"
    save_clusters(path, fitted(n_clusters=4)[0], SOURCE)
    return path


@pytest.mark.parametrize("content", [b"", b"id\tcluster\nr1\t0\n", bytes(100), b"\x93NUMPY" * 50])
def test_other_files(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(SequenceFileError, match="x is not a file of --save, or it is damaged"):
        load_clusters(tmp_path / "x")


def coverage(widths):
    return {"abundance_means": np.ones(2), "abundance_widths": widths}


def test_missing_file_and_weights_of_a_model(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_clusters(tmp_path / "x")
    save_file({"centers": np.eye(3)}, tmp_path / "x")
    with pytest.raises(SequenceFileError, match="x holds no clusters that were saved by --save"):
        load_clusters(tmp_path / "x")


@pytest.mark.parametrize(
    ("changes", "tensors", "message"),
    [
        ({"version": 99}, {}, "was saved by a later version"),
        ({"n_features": 17}, {}, r"where \(4, 17\) numbers are expected"),
        ({"n_features": "many"}, {}, "is damaged: invalid literal"),
        ({"embedding": {"fingerprint": "x"}}, {}, "is damaged: EmbeddingSource"),
        ({"version": None}, {}, "is damaged"),
        ({}, {"centers": np.full((4, 16), np.nan)}, "is damaged"),
        ({}, {"centers": np.ones(16)}, "is damaged"),
        ({}, {"centers": np.ones((0, 16))}, "there is no cluster"),
        ({}, {"bin_limits": np.ones(3)}, r"limits of shape \(3,\)"),
        ({}, {"bin_limits": np.full(4, np.nan)}, "limits"),
        ({}, {"centers": np.ones((4, 16), dtype=np.int64)}, "centres of .* type int64"),
        ({"n_clusters": "four"}, {}, "is damaged: The 'n_clusters' parameter"),
        ({"n_features": 1e999}, {}, "is damaged: cannot convert float infinity"),
        ({"abundance_weight": "all"}, {}, "is damaged: The 'abundance_weight' parameter"),
        ({"embedding": {"fingerprint": 3, "window_size": 0, "both_strands": 1}}, {}, "not text"),
        ({}, {"abundance_means": np.ones(2)}, "is damaged: 'abundance_widths'"),
        ({"n_features": 16 - 128}, coverage(np.zeros(2)), "scales that are not positive"),
        ({"abundance_names": ["a"]}, coverage(np.ones(2)), "names of the samples do not fit"),
        ({}, coverage(np.ones(3)), r"abundances of shape \(3,\)"),
    ],
)
def test_contents_that_make_no_sense(tmp_path, saved, changes, tensors, message):
    content = load_file(saved) | tensors
    good = {"version": 1, "n_features": 16, "n_clusters": 4, "embedding": None}
    text = json.dumps(good | {"abundance_weight": 0.5} | changes)
    metadata = {"format": "dnaembed clusters", "settings": text, "sha256": _digest(text, content)}
    save_file(content, tmp_path / "x", metadata=metadata)
    with pytest.raises(SequenceFileError, match=message):
        load_clusters(tmp_path / "x")


def test_clusters_of_sequences_take_embeddings(tmp_path):
    reads = ["ACGGC" * 40, "ATTAT" * 40, "CCGGA" * 40, "TTATA" * 40]
    clusterer = SpeciesClusterer(2, embedder=KmerEmbedder(k=2), random_state=0).fit(reads)
    save_clusters(tmp_path / "saved", clusterer, None)
    loaded, _ = load_clusters(tmp_path / "saved")
    found = loaded.predict(KmerEmbedder(k=2).fit_transform(reads))
    np.testing.assert_array_equal(found, clusterer.labels_)


def test_source_of_file(tmp_path, caplog):
    rows, path = np.ones((3, 2)), tmp_path / "rows.npy"
    manifest = tmp_path / "rows.manifest.json"
    assert source_of_file(path, rows) is None
    settings = {"model": "0123", "window_size": None, "both_strands": False}
    note = {"rows": 3, "n_columns": 2, "settings": settings}
    manifest.write_text(json.dumps(note))
    assert source_of_file(path, rows) == EmbeddingSource("0123", None, False)
    assert source_of_file(path, rows[:2]) is None
    assert source_of_file(tmp_path / "rows.tsv", rows) is None
    assert not caplog.text
    for text in ("{", "[]", json.dumps({"rows": 3})):
        manifest.write_text(text)
        assert source_of_file(path, rows) is None
        assert "rows.manifest.json is not a manifest of dnaembed embed" in caplog.text
        caplog.clear()


def test_sources_are_compared(saved, caplog):
    clusterer, source = load_clusters(saved)
    check_source(saved, clusterer, source, SOURCE, 16)
    assert not caplog.text
    with pytest.raises(ValueError, match=r"was made with the model .* but these embeddings with"):
        check_source(saved, clusterer, source, EmbeddingSource("other", None, False), 16)
    with pytest.raises(ValueError, match="of 16 columns, but these have 5"):
        check_source(saved, clusterer, None, SOURCE, 5)
    check_source(saved, clusterer, source, None, 16)
    assert "Nothing says whether" in caplog.text
