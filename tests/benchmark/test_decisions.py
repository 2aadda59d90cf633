import csv

import numpy as np
import pytest

from dnaembed import KmerEmbedder
from dnaembed.benchmark import decisions


@pytest.fixture
def genomes(tmp_path):
    """Eight made-up species of as many genera, told apart by how often they use each base."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "genomes"
    folder.mkdir()
    lines = ["path\tsplit\tdomain\tlabel\tgenus"]
    for i in range(8):
        p = rng.dirichlet([3.0] * 4)
        genome = "".join(rng.choice(list("ACGT"), 100_000, p=p))
        (folder / f"s{i}.fa").write_text(f">s{i}\n{genome}\n")
        lines.append(f"s{i}.fa\tdev\tbacteria\tspecies {i}\tgenus {i}")
    (folder / "catalog.tsv").write_text("\n".join(lines) + "\n")
    return folder


def test_measure(genomes, tmp_path):
    binning, novelty = decisions.measure(genomes, KmerEmbedder(k=3), seeds=[0], n_reads=14)
    assert {row["abundance"] for row in binning} == {"even", "lognormal"}
    even = {row["method"]: row for row in binning if row["abundance"] == "even"}
    assert all(row["species"] == "5" for row in even.values())
    assert int(even["graph (default)"]["f1>0.5"]) >= 3
    assert all(int(row["f1>0.9"]) <= int(row["f1>0.5"]) <= 5 for row in binning)
    assert len(novelty) == 3 * 4
    scores = {(row["shots"], row["score"]): float(row["auroc"]) for row in novelty}
    assert scores["5", "novelty_scores"] > 0.8
    decisions._write(tmp_path / "new" / "binning.csv", binning)
    with (tmp_path / "new" / "binning.csv").open() as file:
        assert [dict(row) for row in csv.DictReader(file)] == binning


def test_held_out_genera_are_whole():
    genera = np.repeat(list("abcdef"), 5)
    out = decisions.held_out(genera, 1 / 3, seed=0)
    assert out.sum() == 10
    assert not set(genera[out]) & set(genera[~out])
    np.testing.assert_array_equal(out, decisions.held_out(genera, 1 / 3, seed=0))


def test_separation_by_hand():
    known, new = np.arange(100.0), np.arange(100.0) + 100
    assert decisions.separation(known, new) == {"auroc": "1.000", "fpr95": "0.000"}
    assert decisions.separation(known, known)["auroc"] == "0.500"
    assert float(decisions.separation(known, known)["fpr95"]) == pytest.approx(0.95)


def test_calibration_error_by_hand():
    right = np.array([True, True, False, False])
    assert decisions.calibration_error(np.full(4, 0.5), right) == 0
    assert decisions.calibration_error(np.ones(4), right) == pytest.approx(0.5)
    assert decisions.calibration_error(np.array([1.0, 1, 0.5, 0.5]), right) == pytest.approx(0.25)


def test_made_up_coverage_differs_between_species():
    labels = np.repeat(["a", "b"], 50)
    coverage = decisions.made_up_coverage(labels, 0)
    assert coverage.shape == (100, 5)
    logs = np.log(coverage)
    assert logs[:50].std(axis=0).max() < 0.5
    assert np.abs(logs[:50].mean(axis=0) - logs[50:].mean(axis=0)).max() > 0.5
