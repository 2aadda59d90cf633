import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnaembed import KmerEmbedder, SpeciesClusterer
from dnaembed.backbones import shared_backbone
from dnaembed.backbones._load import bundled_models
from dnaembed.species import bin_confidence, bin_contigs, same_species_probability
from dnaembed.species._bins import numbers_of, reasons_of
from tests.helpers.processes import run_python

CONTIGS = ["ACGGC" * 60, "AC", "ATTAT" * 60, "CCGGA" * 70, "TTATA" * 60, "ACGT"]
LONG = [0, 2, 3, 4]


def clusterer_of_two():
    return SpeciesClusterer(2, embedder=KmerEmbedder(k=1), random_state=0)


def test_short_contigs_are_in_no_bin():
    clusterer = clusterer_of_two()
    bins = bin_contigs(iter(CONTIGS), clusterer, min_length=300)
    assert bins[[1, 5]].tolist() == [-1, -1]
    np.testing.assert_array_equal(bins[LONG], clusterer.labels_)
    assert bins[0] == bins[3] != bins[2] == bins[4]
    # A fitted clusterer takes others, and is not fitted again.
    centers = clusterer.cluster_centers_
    assert bin_contigs(["GGC" * 100, "G"], clusterer, min_length=300).tolist() == [bins[0], -1]
    assert clusterer.cluster_centers_ is centers


def test_rows_of_short_contigs_are_not_looked_at():
    embeddings = np.full((6, 4), np.nan)
    embeddings[LONG] = KmerEmbedder(k=1).fit_transform([CONTIGS[i] for i in LONG])[:, :1]
    coverage = np.full((6, 2), np.nan)
    coverage[LONG] = [[1, 50], [90, 2], [1, 50], [90, 2]]
    clusterer = SpeciesClusterer(min_similarity=0.9, abundance_weight=0.5, min_bin_size=1)
    known = {"embeddings": embeddings, "abundance": pd.DataFrame(coverage)}
    bins = bin_contigs(CONTIGS, clusterer, **known, min_length=300)
    assert bins.tolist() == [0, -1, 1, 0, 1, -1]


def test_with_coverage_bins_take_in_short_contigs():
    rng = np.random.default_rng(0)
    rows = np.repeat(np.eye(2, 8), 20, axis=0) + rng.normal(0, 0.05, (40, 8))
    coverage = np.repeat([[5.0, 80.0], [60.0, 1.0]], 20, axis=0)
    coverage *= np.exp(rng.normal(0, 0.1, (40, 2)))
    contigs = ["A" * 2500] * 40
    for i, length in ((3, 1200), (30, 1000), (35, 999)):
        contigs[i] = "A" * length
    bins = bin_contigs(contigs, embeddings=rows, abundance=coverage)
    assert bins[3] == bins[0] != bins[30] == bins[39]
    assert bins[35] == -1
    alone = bin_contigs(contigs, embeddings=rows)
    assert alone[[3, 30, 35]].tolist() == [-1, -1, -1]


def test_bins_of_embeddings_take_sequences():
    clusterer = clusterer_of_two()
    rows = KmerEmbedder(k=1).fit_transform(CONTIGS)
    bins = bin_contigs(CONTIGS, clusterer, embeddings=rows, min_length=300)
    np.testing.assert_array_equal(bin_contigs(CONTIGS, clusterer, min_length=300), bins)


def test_what_is_expected_of_contigs():
    with pytest.raises(ValueError, match=r"of 2,500 bp or more .* longest of 6 has 350"):
        bin_contigs(CONTIGS)
    for name in ("embeddings", "abundance"):
        with pytest.raises(ValueError, match=f"{name} must have one row for each of the 6 contigs"):
            bin_contigs(CONTIGS, min_length=300, **{name: np.ones((4, 2))})


def test_long_circular_contigs_are_left_alone():
    rows = np.repeat(np.eye(2, 8), 15, axis=0)
    contigs = ["A" * 2500] * 30
    contigs[0] = contigs[20] = "A" * 200_000
    circular = np.arange(30) % 20 < 2  # 0, 1, 20, 21
    clusterer = SpeciesClusterer(random_state=0)
    bins = bin_contigs(contigs, clusterer, embeddings=rows, circular=circular)
    assert bins[[0, 20]].tolist() == [2, 3]
    assert bins[[1, 21]].tolist() == [bins[2], bins[29]] != [-1, -1]
    assert clusterer.n_clusters_ == 2
    alone = ["A" * 200_000, "C" * 300_000]
    bins = bin_contigs(alone, embeddings=np.eye(2), circular=[True, True])
    assert bins.tolist() == [0, 1]


def test_confidence():
    rng = np.random.default_rng(0)
    rows = np.repeat(np.eye(3, 8), 20, axis=0) + rng.normal(0, 0.02, (60, 8)) + 0.3
    bins = np.repeat([0, 1, 2], 20)
    bins[5], bins[6] = 1, -1
    lengths = np.full(60, 5000)
    confidence = bin_confidence(rows, bins, lengths)
    assert np.isnan(confidence[6])
    others = np.delete(confidence, [5, 6])
    assert 0 <= confidence[5] < others.min() <= others.max() <= 1
    assert (bin_confidence(rows, bins, lengths, n_profiles=5)[:5] > confidence[:5]).all()
    assert np.isnan(bin_confidence(rows, np.full(60, -1), lengths)).all()
    assert bin_confidence(rows[:1], [0], [5000]).tolist() == [1]


SIMILARITY, LENGTH = st.floats(-1, 1), st.integers(1, 10**6)


@given(SIMILARITY, SIMILARITY, LENGTH, LENGTH, st.floats(0, 1), st.sampled_from(bundled_models()))
def test_same_species_probability(a, b, m, n, prior, model):
    low, high = same_species_probability(sorted([a, b]), m, n, model=model, prior=prior)
    assert 0 <= low <= high <= 1
    assert same_species_probability(max(a, b), [n], m, model=model, prior=prior) == [high]


def test_models_whose_similarities_mean_something(tmp_path):
    for name in bundled_models():
        assert numbers_of(name)["fingerprint"] == shared_backbone(name).fingerprint()
    with pytest.raises(ValueError, match=r"lengths_b must be from 1 to inf, got 0.0 at 1\."):
        same_species_probability([0.1, 0.2], 9, [5, 0])
    with pytest.raises(ValueError, match="similarities must be from -1 to 1, got nan at 0"):
        same_species_probability(np.nan, 9, 9)
    with pytest.raises(ValueError, match="is not known: no file"):
        bin_confidence(np.eye(2), [0, 0], [9, 9], model=tmp_path)


def test_reasons_of_having_no_bin():
    labels, kept = np.array([0, -1, -1, -1]), np.array([0, 2, 3])
    unlike = "unlike the contigs of any bin"
    assert reasons_of(labels, kept, None) == ["", "too short", unlike, unlike]
    coverage = np.array([[0.0], [np.nan], [0], [1]])
    assert reasons_of(labels, kept, coverage) == ["", "too short", "no coverage", unlike]


# --- a small community that each release bins as before ---

COMMUNITY = Path(__file__).parents[1] / "data" / "community_bins.json"
BIN_IT = """
import json, sys
import numpy as np
from dnaembed import SpeciesClusterer
from dnaembed.datasets import load_demo_reads
from dnaembed.species import bin_contigs

reads = load_demo_reads()
species = np.unique(reads.labels, return_inverse=True)[1]
rng = np.random.default_rng(0)
coverage = np.exp(rng.normal(2, 1, (10, 3)))[species] * np.exp(rng.normal(0, 0.2, (400, 3)))
found = {}
for name, abundance in (("sequence", None), ("coverage", coverage)):
    clusterer = SpeciesClusterer(random_state=0)
    found[name] = bin_contigs(reads.sequences, clusterer, abundance=abundance).tolist()
print(json.dumps(found))
"""


def test_bins_after_an_upgrade():
    """To be written anew only where better bins are meant: ``COMMUNITY.write_text(output)``."""
    output = run_python("-c", BIN_IT, OMP_NUM_THREADS="2")
    assert json.loads(output) == json.loads(COMMUNITY.read_text())
