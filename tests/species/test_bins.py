import numpy as np
import pandas as pd
import pytest

from dnaembed import KmerEmbedder, SpeciesClusterer
from dnaembed.species import bin_contigs

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
    bins = bin_contigs(
        CONTIGS, clusterer, embeddings=embeddings, abundance=pd.DataFrame(coverage), min_length=300
    )
    assert bins.tolist() == [0, -1, 1, 0, 1, -1]


def test_with_coverage_bins_take_in_short_contigs():
    rng = np.random.default_rng(0)
    rows = np.repeat(np.eye(2, 8), 20, axis=0) + rng.normal(0, 0.05, (40, 8))
    coverage = np.repeat([[5.0, 80.0], [60.0, 1.0]], 20, axis=0) * np.exp(
        rng.normal(0, 0.1, (40, 2))
    )
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


def test_by_default_bins_are_those_of_the_graph():
    rows = np.repeat(np.eye(2, 8), 15, axis=0)
    bins = bin_contigs(["A" * 2500] * 29 + ["A" * 2499], embeddings=rows)
    assert bins.tolist() == [0] * 15 + [1] * 14 + [-1]


def test_what_is_expected_of_contigs():
    with pytest.raises(ValueError, match=r"of 2500 bp or more .* longest of 6 has 350"):
        bin_contigs(CONTIGS)
    for name in ("embeddings", "abundance"):
        with pytest.raises(ValueError, match=f"{name} must have one row for each of the 6 contigs"):
            bin_contigs(CONTIGS, min_length=300, **{name: np.ones((4, 2))})
