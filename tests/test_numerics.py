"""Sequences and embeddings at the edges: defined results or clear errors, and never NaN."""

from pathlib import Path

import numpy as np
import pytest
import torch

from dnaembed import DNABertSEmbedder, FewShotSpeciesClassifier, KmerEmbedder, SpeciesClusterer
from dnaembed.benchmark import clustering_scores, few_shot_scores
from dnaembed.cli import main
from dnaembed.metrics import min_similarity_from_labels, retrieval_score
from dnaembed.utils._rows import unit_length
from tests.helpers.dna import random_sequence
from tests.helpers.seeded_jobs import tiny_transformer

EMBEDDERS = ["default", "transformer", "canonical", "raw"]
READS = {
    "all N": ["N" * 500] * 4,
    "homopolymers": [base * 500 for base in "ACGT"],
    "one base": list("ACGTN"),
    "identical": ["ACGTTGCA" * 60] * 4,
    "mixed": ["N" * 10, "A", "ACGT" * 100, "T" * 99],
}
CLUSTERERS = {
    "K-means": {"n_clusters": 2},
    "graph": {"method": "graph", "min_bin_size": 2},
    "K-medoid": {"min_similarity": 0.7, "min_bin_size": 2},
}
RNG = np.random.default_rng(0)
CLOUD = RNG.normal(size=(12, 5))
EMBEDDINGS = {
    "zeros": np.zeros((12, 5)),
    "some zeros": np.where(np.arange(12)[:, None] % 3, CLOUD, 0),
    "identical": np.ones((12, 5)),
    "many identical columns": np.ones((12, 40)),
    "a column": np.ones((12, 1)),
    "huge": CLOUD * 1e100,
    "huge in single precision": (CLOUD * 1e30).astype(np.float32),
    "tiny": CLOUD * 1e-200,
    "subnormal": np.full((12, 5), 5e-324),
    "half precision": (CLOUD * 1e4).astype(np.float16),
    "two rows": np.eye(2),
}
Y = np.arange(12) % 2


@pytest.fixture(scope="module")
def transformer_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "tiny"
    tiny_transformer().save(folder)
    return folder


@pytest.fixture
def make(transformer_folder):
    def make(name, **options):
        if name in ("canonical", "raw"):
            return KmerEmbedder(method=name)
        model = transformer_folder if name == "transformer" else name
        return DNABertSEmbedder(model, cache=None, device="cpu", **options)

    return make


# K-means says that it found fewer clusters than asked for: the user should know.
FEWER = "ignore:Number of distinct clusters:sklearn.exceptions.ConvergenceWarning"
equal_rows_may_warn = pytest.mark.filterwarnings(FEWER)


def check_clusterer(clusterer, X, **fit):
    clusterer.fit(X, **fit)
    n_clusters = clusterer.n_clusters_
    assert np.isfinite(clusterer.cluster_centers_).all()
    assert np.isfinite(getattr(clusterer, "bin_limits_", 0)).all()
    assert 0 <= getattr(clusterer, "min_similarity_", 0) <= 1
    for labels in (clusterer.labels_, clusterer.predict(X, **fit)):
        assert set(labels) <= set(range(-1, n_clusters))


def check_classifier(classifier, X, y):
    classifier.fit(X, y)
    probabilities = classifier.predict_proba(X)
    assert probabilities.sum(axis=1) == pytest.approx(1)
    for scores in (classifier.novelty_scores(X), classifier.confidence(X), classifier.temperature_):
        assert np.isfinite(scores).all()
        assert np.min(scores) >= 0
    assert len(classifier.predict(X)) == len(y)


@pytest.mark.parametrize("reads", READS)
@pytest.mark.parametrize("name", EMBEDDERS)
def test_embedders(make, name, reads):
    rows = make(name).fit_transform(READS[reads])
    assert np.isfinite(rows).all()
    for read, row in zip(READS[reads], rows, strict=True):
        alone = make(name).fit_transform([read])[0]
        np.testing.assert_allclose(row, alone, rtol=1e-4, atol=1e-5)
    if reads == "all N" and name in ("canonical", "raw"):
        assert not rows.any()


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", EMBEDDERS[:2])
def test_half_precision(make, name, dtype, normalize):
    reads = [read for some in READS.values() for read in some]
    rows = make(name, dtype=dtype, normalize=normalize).fit_transform(reads)
    assert np.isfinite(rows).all()
    exact = make(name, normalize=normalize).fit_transform(reads)
    assert np.abs(rows - exact).max() <= 0.05 * np.abs(exact).max()


@pytest.mark.parametrize("name", ["default", "raw"])
def test_five_million_bases(make, name):
    genome = random_sequence(5_000_000)
    rows = make(name).fit_transform([genome, "A" * 5_000_000, "N" * 5_000_000, genome[:50_000]])
    assert np.isfinite(rows).all()
    # What a piece says of a random genome, the genome says as well.
    near, far = np.linalg.norm(rows[0] - rows[3]), np.linalg.norm(rows[0] - rows[1])
    assert near < far
    if name == "default":
        half = make(name, dtype="float16").fit_transform([genome, "A" * 5_000_000])
        assert np.abs(half - rows[:2]).max() < 0.02


@pytest.fixture(scope="module")
def overflowing(tmp_path_factory):
    """A model that overflows on all but the shortest reads."""
    backbone = tiny_transformer()
    with torch.no_grad():
        for parameter in backbone.model.parameters():
            parameter.mul_(1e20)
    folder = tmp_path_factory.mktemp("overflow") / "model"
    backbone.save(folder)
    return folder


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_overflow_names_the_model_and_the_sequence(overflowing, dtype):
    embedder = DNABertSEmbedder(overflowing, dtype=dtype, device="cpu")
    expected = rf"^sequence 0: the model '{overflowing}' gives NaN or infinity in {dtype}"
    for _ in range(2):  # nothing of it is kept in the cache
        with pytest.raises(FloatingPointError, match=expected) as caught:
            embedder.fit_transform(["ACGTTGCA" * 50, "ACGTTGCA" * 50, "A"])
        assert ("set dtype='float32'" in str(caught.value)) == (dtype == "float16")


@pytest.mark.parametrize(
    "command",
    [
        "embed reads.fa -o out.npy",
        "embed reads.fa -o out.tsv",
        "cluster reads.fa -k 2 -o out.tsv",
        "bin reads.fa -o out --min-length 9",
        "classify reads.fa --train reads.fa --labels y.tsv -o out.tsv",
        "classify reads.fa --train reads.fa --labels y.tsv -o out.tsv --consensus 99",
    ],
)
def test_overflow_is_one_line_of_every_command(overflowing, command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("reads.fa").write_text(f">first\n{'ACGTTGCA' * 50}\n>second\n{'TTGACCAA' * 50}\n")
    Path("y.tsv").write_text("first\ta\nsecond\tb\n")
    assert main([*command.split(), "--model", str(overflowing), "--quiet"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert f"record 'first': the model '{overflowing}' gives NaN or infinity" in lines[0]
    assert not Path("out.tsv").exists()


@equal_rows_may_warn
@pytest.mark.parametrize("reads", READS.values(), ids=READS)
@pytest.mark.parametrize("name", ["default", "canonical"])
class TestOddReads:
    @pytest.mark.parametrize("method", CLUSTERERS)
    def test_clusters(self, make, name, method, reads):
        options = CLUSTERERS[method]
        check_clusterer(SpeciesClusterer(embedder=make(name), random_state=0, **options), reads)

    @pytest.mark.parametrize("options", [{"calibrate": True}, {"unknown": -1}, {"scale": False}])
    def test_species(self, make, name, reads, options):
        classifier = FewShotSpeciesClassifier(make(name), **options)
        check_classifier(classifier, reads, Y[: len(reads)])


@equal_rows_may_warn
@pytest.mark.parametrize("rows", EMBEDDINGS)
class TestOddEmbeddings:
    @pytest.mark.parametrize("method", CLUSTERERS)
    def test_clusters(self, method, rows):
        X = EMBEDDINGS[rows]
        for abundance in (None, np.zeros((len(X), 2)), np.full((len(X), 2), 1e300)):
            clusterer = SpeciesClusterer(random_state=0, **CLUSTERERS[method])
            check_clusterer(clusterer, X, abundance=abundance)

    @pytest.mark.parametrize("options", [{"calibrate": True}, {}, {"scale": False}])
    def test_species(self, rows, options):
        if options == {"scale": False} and "huge" in rows:
            pytest.skip("a solver without scaling warns that it did not converge")
        X = EMBEDDINGS[rows]
        check_classifier(FewShotSpeciesClassifier(**options), X, Y[: len(X)])

    def test_scores(self, rows):
        X = EMBEDDINGS[rows]
        if len(X) < 12:
            pytest.skip("one row per species")
        assert -1 <= min_similarity_from_labels(X, Y) <= 1 + 1e-6
        assert 0 <= retrieval_score(X, Y) <= 1
        assert all(-1 <= v <= 1 for v in clustering_scores(X, Y, n_repeats=1).values())
        if "huge" not in rows:
            assert 0 <= few_shot_scores(X, Y, shots=[1], n_test=2, n_repeats=1)[1] <= 1


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(value):
    X = CLOUD.copy()
    X[3, 2] = value
    for estimator in (SpeciesClusterer(2), SpeciesClusterer(), FewShotSpeciesClassifier()):
        with pytest.raises(ValueError, match=r"NaN|infinity"):
            estimator.fit(X, Y)
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        min_similarity_from_labels(X, Y)
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        SpeciesClusterer(2).fit(CLOUD, abundance=X[:, 2:])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_unit_length(dtype):
    limits = np.finfo(dtype)
    directions = CLOUD / np.abs(CLOUD).max(axis=1, keepdims=True)
    expected = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    tiny = 1e-4 if dtype == np.float16 else 1e-30
    for size in (float(limits.max) * 0.005, 1, tiny):
        rows = unit_length((directions * size).astype(dtype))
        assert rows.dtype == dtype
        # A tiny number of half precision has fewer digits.
        atol = 4 * limits.eps if size != 1e-4 else 1e-2
        np.testing.assert_allclose(rows, expected, atol=atol)
    assert not unit_length(np.zeros((3, 2), dtype)).any()
