from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dnaembed.training import ReadPairs, add_linear_part, fit_profile_statistics
from dnaembed.training._fit_profile import discriminants
from tests.helpers.random_models import embed, random_profile


@pytest.fixture(scope="module")
def source():
    """Reads of six species that differ in composition."""
    rng = np.random.default_rng(0)
    reads, labels = [], []
    for label in range(6):
        shares = rng.dirichlet([8] * 4)
        reads += ["".join(rng.choice(list("ACGT"), 1500, p=shares)) for _ in range(5)]
        labels += [label] * 5
    return ReadPairs(reads, labels, min_length=300, max_length=700)


def make(**options):
    return random_profile(**{"k": [2, 3], "hidden_size": 8, "deep_size": 4} | options)


def profiles(backbone, source):
    batch = source.sample(3, 200)
    counts = backbone.collate(backbone.featurize([*batch.view1, *batch.view2]))["counts"]
    return backbone.model.profile(counts)[0].numpy(), np.tile(batch.labels, 2)


def test_profiles_are_standardised(source):
    backbone = make(linear_size=0)
    fit_profile_statistics(backbone, source, n_batches=4, n_pairs=100)
    rows, _ = profiles(backbone, source)
    np.testing.assert_allclose(rows.mean(axis=0), 0, atol=0.2)
    np.testing.assert_allclose(rows.std(axis=0), 1, atol=0.2)


def test_constant_columns_stay_finite():
    backbone = make(linear_size=0)
    source = ReadPairs(["A" * 100, "A" * 90], min_length=10, max_length=50)
    fit_profile_statistics(backbone, source, n_batches=1, n_pairs=4)
    assert embed(backbone, ["ACGT"]).isfinite().all()


def test_linear_part_tells_species_apart_better_than_the_profile(source):
    backbone = make(num_hidden_layers=0, linear_size=3)
    fit_profile_statistics(backbone, source, n_batches=6, n_pairs=100)

    def ratio(rows, labels):
        means = np.array([rows[labels == i].mean(axis=0) for i in range(6)])
        within = np.mean((rows - means[labels]) ** 2)
        return np.mean((means - rows.mean(axis=0)) ** 2) / within

    rows, labels = profiles(backbone, source)
    linear = rows @ backbone.model.linear.numpy().T
    assert ratio(linear, labels) > 2 * ratio(rows, labels)


def test_a_linear_part_leaves_the_network_as_it_is(source):
    backbone = make(linear_size=0)
    fit_profile_statistics(backbone, source, n_batches=2, n_pairs=50)
    both = add_linear_part(backbone, source, size=3, weight=0.5, n_batches=2, n_pairs=50)
    deep, combined = (embed(model, ["ACGTTGACCA" * 20, "NNNN"]) for model in (backbone, both))
    torch.testing.assert_close(combined[:, :4], torch.nn.functional.normalize(deep, dim=1))
    assert combined.shape == (2, 7)
    np.testing.assert_allclose(combined[:, 4:].norm(dim=1).numpy(), 0.5, rtol=1e-5)
    again = add_linear_part(both, source, size=2, n_batches=2, n_pairs=50)
    assert again.embedding_size == 6


def test_discriminants_solve_the_known_case():
    within = np.diag([1.0, 4.0, 1.0])
    between = np.diag([1.0, 16.0, 2.0])
    found = discriminants(within, between, 2, shrinkage=0.0)
    assert np.abs(found).argmax(axis=0).tolist() == [1, 2]
    assert (found.max(axis=0) > 0).all()
    with pytest.raises(ValueError, match="4 directions"):
        discriminants(within, between, 4, 0.1)


def test_a_linear_part_needs_labels(source):
    sample = source.sample
    unlabelled = SimpleNamespace(sample=lambda *how: replace(sample(*how), labels=None))
    with pytest.raises(ValueError, match="labels of all pairs"):
        add_linear_part(make(linear_size=0), unlabelled, size=2, n_batches=1, n_pairs=10)
