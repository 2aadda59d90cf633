"""The benchmark as a whole: chance is chance, perfect is perfect, and nothing is done twice."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.utils import Bunch

from dnaembed import DNABertSEmbedder, KmerEmbedder
from dnaembed.benchmark import (
    PROTOCOLS,
    BenchmarkResult,
    benchmark,
    default_embedders,
    plot_bars,
    plot_few_shot,
)
from dnaembed.benchmark._benchmark import check_embedders, identity
from dnaembed.datasets import load_demo_reads

N_SPECIES, N_EACH = 12, 40


class Told(TransformerMixin, BaseEstimator):
    """Knows a fixed vector for each sequence."""

    n_calls = 0

    def __init__(self, vectors=None):
        self.vectors = vectors

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def transform(self, X):
        Told.n_calls += len(X) > 1
        return np.array([self.vectors[x] for x in X])


@pytest.fixture(scope="module")
def reads():
    """Species of three genera, of 100 bp sequences that say nothing."""
    rng = np.random.default_rng(0)
    n = N_SPECIES * N_EACH
    sequences = ["".join(rng.choice(list("ACGT"), 100)) for _ in range(n)]
    species = np.repeat([f"s{i:02}" for i in range(N_SPECIES)], N_EACH)
    genus = np.repeat(["g0", "g1", "g2"], n // 3)
    return Bunch(sequences=sequences, labels=species, lineage={"genus": genus})


@pytest.fixture(scope="module")
def vectors(reads):
    """Vectors by embedder: of the species, with its genus in it; and of nothing."""
    rng = np.random.default_rng(1)
    _, genus = np.unique(reads.lineage["genus"], return_inverse=True)
    _, species = np.unique(reads.labels, return_inverse=True)
    perfect = np.hstack([np.eye(3)[genus], 0.2 * np.eye(N_SPECIES)[species]])
    noise = rng.standard_normal((len(species), 15))
    rows = {"perfect": perfect, "random": noise}
    return {k: dict(zip(reads.sequences, v.tolist(), strict=True)) for k, v in rows.items()}


def test_perfect_and_random_and_shuffled(reads, vectors):
    labels = np.random.default_rng(2).permutation(reads.labels)
    sets = {"toy": reads, "shuffled": Bunch(sequences=reads.sequences, labels=labels)}
    result = benchmark(sets, {name: Told(v) for name, v in vectors.items()}, n_repeats=2)
    near, lucky = pytest.approx, 1 / N_SPECIES
    expected = {  # of perfect embeddings, of random ones, of either if labels are shuffled
        "clustering ari": (near(1, abs=0.1), near(0, abs=0.03), near(0, abs=0.03)),
        "clustering purity": (near(1, abs=0.1), near(0.1, abs=0.1), None),
        "clustering completeness": (near(1, abs=0.1), near(0.1, abs=0.1), None),
        "clustering nmi": (near(1, abs=0.1), near(0.1, abs=0.1), None),
        "few_shot f1@1": (1, None, None),
        "few_shot f1@20": (1, near(lucky, abs=0.06), near(lucky, abs=0.08)),
        "binning f1>0.5": (N_SPECIES, 0, 0),
        "binning f1>0.9": (N_SPECIES, 0, 0),
        "binning recall>0.9": (N_SPECIES, None, None),
        "binning genomes>90%<5%": (N_SPECIES, 0, None),
        "binning purity_bp": (1, None, None),
        "binning completeness_bp": (1, None, None),
        "retrieval species": (1, near(lucky, abs=0.05), near(lucky, abs=0.06)),
        "retrieval silhouette": (near(1), near(-0.2, abs=0.25), None),
        "lineage genus ari": (near(1, abs=0.1), near(0, abs=0.05), None),
        "lineage genus retrieval": (1, near(3 / 11, abs=0.1), None),
    }
    for score, (perfect, random, shuffled) in expected.items():
        assert result.mean("perfect", "toy", score) == perfect, score
        assert random is None or result.mean("random", "toy", score) == random, score
        for embedder in vectors:
            found = result.mean(embedder, "shuffled", score)
            assert shuffled is None or found == shuffled, score
            assert math.isnan(found) == score.startswith("lineage")  # which was not given


def test_what_is_there_is_not_done_again(reads, vectors, tmp_path):
    embedders = {"perfect": Told(vectors["perfect"])}
    options = {"protocols": ["retrieval", "clustering"], "cache": tmp_path / "cache"}
    Told.n_calls = 0
    first = benchmark({"toy": reads}, embedders, **options)
    assert Told.n_calls == 1
    (described,) = first.about["sets"]["toy"]
    n = N_SPECIES * N_EACH
    assert described | {"n_reads": n, "n_labels": N_SPECIES, "bases": 100 * n} == described
    assert {"dnaembed", "numpy", "scikit-learn", "python"} <= set(first.about["versions"])
    json.dumps(first.about)
    again = benchmark({"another name": reads}, {"another": embedders["perfect"]}, **options)
    assert Told.n_calls == 1
    assert [r["value"] for r in again.records] == [r["value"] for r in first.records]
    assert again.sets == ["another name"]

    # Other labels and options are other scores of the same rows.
    other = Bunch(sequences=reads.sequences, labels=np.roll(reads.labels, 1))
    rolled = benchmark({"toy": other}, embedders, **options)
    assert [r["value"] for r in rolled.records] != [r["value"] for r in first.records]
    benchmark({"toy": reads}, embedders, **options, n_repeats=2)
    assert Told.n_calls == 1
    benchmark({"toy": reads}, {"perfect": Told(vectors["random"])}, **options)
    assert Told.n_calls == 2


@pytest.mark.filterwarnings("ignore:.*Exception while loading results")
def test_a_killed_run_goes_on(reads, vectors, tmp_path, monkeypatch):
    embedders = {name: Told(v) for name, v in vectors.items()}
    protocols = ["clustering", "retrieval"]
    whole = benchmark({"toy": reads}, embedders, protocols=protocols)

    def killed(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setitem(PROTOCOLS, "retrieval", killed)
        with pytest.raises(KeyboardInterrupt):
            benchmark({"toy": reads}, embedders, protocols=protocols, cache=tmp_path)
    kept = sorted(tmp_path.rglob("output.pkl"))
    assert len(kept) == 2  # the first embedder's rows and clusters
    for n_calls in (1, 2):  # first the other embedder's; then all, since what is kept is damaged
        Told.n_calls = 0
        resumed = benchmark({"toy": reads}, embedders, protocols=protocols, cache=tmp_path)
        assert Told.n_calls == n_calls
        assert scores(resumed) == scores(whole)
        for path in tmp_path.rglob("output.pkl"):
            path.write_bytes(path.read_bytes()[:-20])


def scores(result):
    return [r for r in result.records if r["protocol"] != "embedding"]


def test_a_protocol_of_ones_own(reads, vectors, monkeypatch):
    monkeypatch.setitem(PROTOCOLS, "size", lambda rows, reads, seed, options: {"rows": len(rows)})
    result = benchmark({"toy": reads}, {"p": Told(vectors["perfect"])}, protocols="size")
    assert result.mean("p", "toy", "size rows") == len(reads.sequences)


def test_processes_change_nothing():
    sets = {"demo": load_demo_reads()}
    embedders = {"raw": KmerEmbedder(2, method="raw"), "canonical": KmerEmbedder(2)}
    options = {"protocols": ["clustering"], "n_repeats": 2}
    serial, parallel = (benchmark(sets, embedders, **options, n_jobs=n) for n in (1, 2))
    assert scores(serial) == scores(parallel)


def test_sets_may_be_pairs_or_frames():
    X, y = load_demo_reads(return_X_y=True)
    pair = list(X), np.array(y)
    frame = pd.DataFrame({"sequence": X, "length": 1, "label": y})
    sets = {"bunch": load_demo_reads(), "pair": pair, "frame": frame}
    result = benchmark(sets, {"k": KmerEmbedder(2)}, protocols=["clustering"], n_repeats=1)
    assert len({result.mean("k", name, "clustering ari") for name in sets}) == 1
    with pytest.raises(KeyError, match=r"'ari' is none of .*clustering ari"):
        result.mean("k", "pair", "ari")


def test_draws_have_mean_and_spread(reads, vectors):
    parts = [slice(start, None, 2) for start in (0, 1, 7)]
    draws = [Bunch(sequences=reads.sequences[part], labels=reads.labels[part]) for part in parts]
    result = benchmark({"toy": draws}, {"r": Told(vectors["random"])}, protocols=["retrieval"])
    values = result.values("r", "toy", "retrieval species")
    row = result.to_frame(summary=True).set_index("score").loc["species"]
    assert row["mean"] == pytest.approx(np.mean(values))
    assert row["std"] == pytest.approx(np.std(values, ddof=1))
    assert row["n"] == len(values) == 3
    assert [r["seed"] for r in result.records if r["score"] == "species"] == [0, 1, 2]


def test_embedders_learn_from_training_reads_only():
    demo = load_demo_reads()
    species = sorted(set(demo.labels.tolist()))
    known = np.isin(demo.labels, species[:5])

    # A class that cannot be pickled, and so not looked up in a cache, works as well.
    class Learner(Told):
        seen: list = []  # noqa: RUF012

        def fit(self, X, y=None):
            Learner.seen.append((list(X), None if y is None else list(y)))
            return self

        def transform(self, X):
            return KmerEmbedder(2).fit_transform(X)

    sequences = np.array(demo.sequences)
    test = Bunch(sequences=sequences[~known].tolist(), labels=demo.labels[~known])
    training = (sequences[known].tolist(), demo.labels[known])
    benchmark({"demo": test}, {"l": Learner()}, training=training, protocols="retrieval")
    assert Learner.seen == [(training[0], training[1].tolist())]
    Learner.seen.clear()
    benchmark({"demo": test}, {"l": Learner()}, protocols="retrieval")
    assert Learner.seen == [(test.sequences, None)]


def test_default_embedders_on_the_demo():
    demo = load_demo_reads()
    result = benchmark({"demo": demo}, protocols=["clustering"], n_repeats=3)
    assert result.embedders == list(default_embedders(supervised=False))
    raw = result.mean("raw TNF", "demo", "clustering ari")
    for better in ("canonical TNF", "bundled model"):
        assert result.mean(better, "demo", "clustering ari") > raw
    assert all(result.mean(e, "demo", "embedding seconds") > 0 for e in result.embedders)
    assert result.mean("raw TNF", "demo", "embedding columns") == 256


def test_supervised_defaults_fit_on_training_reads():
    demo = load_demo_reads()
    lda = default_embedders(model=None)["LDA of 4+5-mers"]
    training = (demo.sequences[::2], demo.labels[::2])
    result = benchmark({"demo": demo}, {"lda": lda}, training=training, protocols=["clustering"])
    assert result.mean("lda", "demo", "clustering ari") > 0.3
    assert result.about["n_training"] == 200
    for n_reads, enough in ((63, False), (64, True)):
        names = check_embedders(None, supervised=False, n_reads=n_reads)
        assert ("PCA of 4+5-mers" in names) == enough


def test_embedders_in_many_forms():
    def check(embedders):
        return check_embedders(embedders, supervised=False, n_reads=9)

    canonical = KmerEmbedder()
    assert check([("c", canonical)]) == {"c": canonical}
    assert list(check(canonical)) == ["KmerEmbedder"]
    assert isinstance(check("default")["bundled model"], DNABertSEmbedder)
    assert list(check(["some/model"])) == ["some/model"]
    assert check({"m": "some/model"})["m"].model == "some/model"
    with pytest.raises(ValueError, match="Two embedders have the name 'a'"):
        check([("a", canonical), ("a", canonical)])
    with pytest.raises(TypeError, match="Embedder 'a' must be the name of a model or have fit"):
        check({"a": 3})
    with pytest.raises(ValueError, match="At least one embedder"):
        check([])


def test_digest_follows_parameters_and_weights(tiny_dnabert_folder):
    model = DNABertSEmbedder(tiny_dnabert_folder)
    kmers = [KmerEmbedder(2), KmerEmbedder(3)]
    pipelines = [make_pipeline(KmerEmbedder(2), PCA(n)) for n in (2, 3)]
    others = [model, make_pipeline(model, PCA(2)), DNABertSEmbedder()]
    digests = list(map(identity, [*kmers, *pipelines, *others]))
    assert len(set(digests)) == len(digests)
    assert identity(KmerEmbedder(2)) == digests[0]
    assert identity(KmerEmbedder(2).fit(["ACGT"])) == digests[0]


@pytest.mark.parametrize(
    ("sets", "options", "message"),
    [
        ({}, {}, "sets must be a mapping of names"),
        ([], {}, "sets must be a mapping"),
        ({"a": []}, {}, "Set 'a' is empty"),
        (
            {"a": Bunch(sequences=["ACGT"] * 2, labels=["x", "x"])},
            {},
            "Set 'a' has one label",
        ),
        ({"a": Bunch(sequences=["ACGT"] * 2, labels=["x"])}, {}, "inconsistent numbers"),
        (None, {"protocols": ["guessing"]}, "protocols must be some of"),
        (None, {"protocols": []}, "protocols must be some of"),
        (None, {"training": (["ACGT"], ["a", "b"])}, "inconsistent numbers"),
    ],
)
def test_wrong_arguments(sets, options, message):
    if sets is None:
        sets = {"a": Bunch(sequences=["ACGT"] * 2, labels=["x", "y"])}
    with pytest.raises(ValueError, match=message):
        benchmark(sets, KmerEmbedder(2), **options)


def test_an_error_names_the_embedder(reads):
    broken = make_pipeline(KmerEmbedder(2), PCA(500))
    with pytest.raises(ValueError, match="n_components=500") as error:
        benchmark({"toy": reads}, {"too many": broken}, protocols=["retrieval"])
    assert error.value.__notes__ == ["in embedder 'too many'"]


def record(embedder, set_name, score, value, seed=0):
    protocol, score = score.split(" ")
    names = ("embedder", "set", "protocol", "score", "seed", "value")
    return dict(zip(names, (embedder, set_name, protocol, score, seed, value), strict=True))


@pytest.fixture
def result():
    values = {"a": [0.5, 0.7, 2.0, 3.0], "b": [0.2, 0.1, 8.0, 4.0]}
    scores = ("clustering ari",) * 2 + ("embedding seconds",) * 2
    cells = [(name, i, value) for name, own in values.items() for i, value in enumerate(own)]
    records = [record(name, "x|y", scores[i], value, i % 2) for name, i, value in cells]
    return BenchmarkResult(records, {"versions": {"dnaembed": "0"}, "x": float("nan")})


def test_tables(result):
    assert result.to_markdown(["ari", "seconds"]).splitlines() == [
        "**x|y**",
        "",
        "| embedder | clustering ari | embedding seconds |",
        "|---|---|---|",
        "| a | **0.600 ± 0.141** | **2.500 ± 0.707** |",
        "| b | 0.150 ± 0.071 | 6.000 ± 2.828 |",
    ]
    assert "seconds" not in result.to_markdown()
    frame = result.to_frame()
    assert frame.columns.tolist() == ["embedder", "set", "protocol", "score", "seed", "value"]
    assert len(frame) == 8
    summary = result.to_frame(summary=True)
    assert summary["mean"].tolist() == pytest.approx([0.6, 2.5, 0.15, 6.0])


def test_files(result, tmp_path):
    result.to_csv(tmp_path / "scores.csv")
    assert pd.read_csv(tmp_path / "scores.csv").equals(result.to_frame())
    result.to_csv(tmp_path / "summary.csv", summary=True)
    assert len((tmp_path / "summary.csv").read_text().splitlines()) == 5
    result.to_json(tmp_path / "results.json")
    content = json.loads((tmp_path / "results.json").read_text())
    assert content["records"] == result.records
    assert content["about"] == {"versions": {"dnaembed": "0"}, "x": None}


def test_bars_and_few_shot_curves():
    ari, shots = "clustering ari", "few_shot f1@"
    rows = [("a", "x", ari, 0.2), ("a", "x", ari, 0.4, 1), ("b", "x", ari, 0.5)]
    rows += [("b", "y", ari, 0.6), ("a", "x", f"{shots}1", 0.1), ("a", "x", f"{shots}10", 0.3)]
    drawn = BenchmarkResult([record(*row) for row in [*rows, ("b", "x", f"{shots}1", 0.7)]])
    ax = plot_bars(drawn, "clustering ari")
    assert [p.get_height() for p in ax.patches] == pytest.approx([0.3, 0, 0.5, 0.6])
    assert [t.get_text() for t in ax.get_xticklabels()] == ["x", "y"]
    colours = {p.get_facecolor() for p in ax.patches}
    assert colours == {to_rgba("#332288"), to_rgba("#88CCEE")}
    ax = plot_few_shot(drawn, "x")
    curves = {line.get_label(): line.get_xydata().tolist() for line in ax.lines}
    assert curves == {"a": [[1, 0.1], [10, 0.3]], "b": [[1, 0.7]]}
    assert [t.get_text() for t in ax.get_xticklabels()] == ["1", "10"]
    assert plot_few_shot(drawn, "y").get_legend() is None
