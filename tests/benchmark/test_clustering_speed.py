import csv

import numpy as np
import pytest
from sklearn.preprocessing import normalize

from dnaembed.benchmark import clustering_speed
from dnaembed.benchmark._mixture import embedding_mixture
from dnaembed.benchmark.clustering_speed import cases, dense_kmedoid, main, measure
from dnaembed.species._kmedoid import modified_kmedoid


def test_mixture_lies_as_embeddings_do():
    X, y = embedding_mixture(4000, 384, 40, seed=3)
    assert X.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(X, axis=1), 1, atol=1e-6)
    assert set(y) <= set(range(40))
    sizes = np.bincount(y)
    assert sizes.max() > 5 * np.median(sizes)
    # As measured on the bundled model's embeddings of reads of species it had not seen.
    assert np.linalg.norm(X.mean(axis=0)) == pytest.approx(0.78, abs=0.05)
    within = [np.linalg.norm(X[y == i].mean(axis=0)) for i in np.flatnonzero(sizes > 50)]
    assert np.median(within) == pytest.approx(0.88, abs=0.03)
    again, _ = embedding_mixture(4000, 384, 40, seed=3)
    np.testing.assert_array_equal(X, again)


def test_peer_is_the_same_algorithm():
    X, _ = embedding_mixture(600, 32, 8)
    X = normalize(X.astype(np.float64))
    ours = modified_kmedoid(X, 0.88, min_bin_size=10, max_iter=1000).labels
    peer = dense_kmedoid(X, 0.88)
    np.testing.assert_array_equal(ours == -1, peer == -1)
    pairs = set(zip(ours.tolist(), peer.tolist(), strict=True))
    assert len(pairs) == len(set(ours)) == len(set(peer)) > 2


def test_cases_have_halves_first():
    listed = cases(1_000_000, 100_000)
    assert len(set(listed)) == len(listed)
    for task, method in (("clusters", "K-means"), ("bins", "graph, exact neighbours")):
        rows = [c.rows for c in listed if (c.task, c.method) == (task, method)]
        assert rows[0] * 2 == rows[1]
        assert rows[1] == {"clusters": 1_000_000, "bins": 100_000}[task]
    assert all((c.task, c.method) in clustering_speed._METHODS for c in listed)
    assert {c.task for c in cases(0, 1000)} == {"bins", "neighbours"}


@pytest.mark.parametrize("case", [c for c in cases(400, 800) if "approx" not in c.method])
def test_each_case(case):
    X, y = embedding_mixture(case.rows, 48, case.n_species)
    result = measure(case, X, y)
    assert result["seconds"] >= 0
    if case.task == "neighbours":
        assert result["recall of neighbours"] == 1
    else:
        assert (result["groups"] > 0) == (result["grouped"] > 0)
        assert result["groups"] == case.n_species or case.task != "clusters"
        assert -0.5 <= result["ari"] <= 1
        assert ("inertia a row" in result) == (case.task == "clusters")


def test_inertia_of_clusters():
    X, _ = embedding_mixture(500, 16, 4)
    labels = np.arange(500) % 3
    means = np.stack([X[labels == i].mean(axis=0) for i in range(3)])
    expected = ((X - means[labels]) ** 2).sum(axis=1).mean()
    assert clustering_speed._inertia(X, labels) == pytest.approx(expected, abs=1e-5)


@pytest.mark.slow  # several processes
def test_table(tmp_path):
    output = tmp_path / "speed.csv"
    argv = ["-o", str(output), "--kmeans-rows", "4000", "--bin-rows", "0", "--only", ": K-means"]
    assert main(argv) == 0
    with output.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["rows"] for row in rows] == ["2000", "4000", "500"]
    assert list(rows[0]) == list(clustering_speed.COLUMNS)
    assert float(rows[1]["times half the rows"]) > 0
    assert all(50 < float(row["peak MB"]) < 10_000 for row in rows)
