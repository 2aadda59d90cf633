"""The k-mer network of NeurIPS 2024."""

import numpy as np
import pytest
import torch
from sklearn.base import clone

from dnaembed.benchmark import KmerNet, clustering_scores
from dnaembed.benchmark._kmer_net import _network, _pairs, bernoulli_loss
from dnaembed.datasets import load_demo_reads


@pytest.fixture(scope="module")
def demo():
    return load_demo_reads()


@pytest.fixture(scope="module")
def net(demo):
    return KmerNet(n_epochs=25, batch_size=64, random_state=0).fit(demo.sequences, demo.labels)


def test_size_of_the_paper():
    assert sum(p.numel() for p in _network(512, 256).parameters()) == 263_936


def test_loss_by_hand():
    z1, z2 = torch.tensor([[0.0], [2.0]]), torch.tensor([[1.0], [2.0]])
    # Distances squared: positives 1 and 0, negatives 4 (0 to 2) and 1 (2 to 1).
    negative = -(np.log(1 - np.exp(-4)) + np.log(1 - np.exp(-1))) / 2
    loss = bernoulli_loss(z1, z2, torch.tensor([0, 1]), 3.0)
    assert float(loss) == pytest.approx((0.5 + 3 * negative) / 4, rel=1e-5)
    # Of one species: nothing is a negative.
    assert float(bernoulli_loss(z1, z2, torch.tensor([5, 5]), 3.0)) == pytest.approx(0.5 / 4)


def test_equal_rows_have_finite_gradients():
    z = torch.zeros(3, 2, requires_grad=True)
    bernoulli_loss(z, z.detach(), torch.arange(3), 200.0).backward()
    assert torch.isfinite(z.grad).all()


def test_pairs_are_of_one_species_and_not_of_one_read():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 5, 60)
    codes = codes[np.bincount(codes)[codes] > 1]
    first, second = _pairs(codes, rng)
    assert sorted(first) == sorted(second) == list(range(len(codes)))
    assert (codes[first] == codes[second]).all()
    assert (first != second).all()


def test_it_learns(demo, net):
    assert np.mean(net.losses_[-3:]) < 0.7 * net.losses_[0]
    untrained = KmerNet(n_epochs=1, learning_rate=1e-12, random_state=0)
    untrained.fit(demo.sequences, demo.labels)
    before, after = (
        clustering_scores(m.transform(demo.sequences), demo.labels)["ari"] for m in (untrained, net)
    )
    assert after > before + 0.1


def test_reproducible_and_alone(demo, net):
    state = torch.random.get_rng_state()
    some = slice(0, 80)
    first, again, other = (
        KmerNet(8, 4, n_epochs=2, batch_size=16, random_state=seed)
        .fit(demo.sequences[some], demo.labels[some])
        .transform(demo.sequences[:3])
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)
    assert torch.equal(state, torch.random.get_rng_state())
    assert first.shape == (3, 4)
    assert first.dtype == np.float32
    # A row does not depend on the others, nor on dropout.
    alone = net.transform(demo.sequences[:1])
    np.testing.assert_allclose(alone, net.transform(demo.sequences[:9])[:1], rtol=1e-4, atol=1e-5)


def test_parameters_and_targets(demo):
    assert clone(KmerNet(n_epochs=3)).get_params()["n_epochs"] == 3
    with pytest.raises(ValueError, match="requires y to be passed"):
        KmerNet().fit(demo.sequences, None)
    with pytest.raises(ValueError, match="At least two species with two sequences"):
        KmerNet().fit(demo.sequences[:3], ["a", "a", "b"])
    with pytest.raises(ValueError, match="batch_size"):
        KmerNet(batch_size=1).fit(demo.sequences, demo.labels)
