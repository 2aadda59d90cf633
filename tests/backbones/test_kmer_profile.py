import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dnaembed import DNABertSEmbedder, reverse_complement
from dnaembed.backbones import KmerProfileBackbone, Mixing, load_backbone
from dnaembed.composition import kmer_counts
from dnaembed.datasets import load_demo_reads
from tests.helpers.random_models import embed, random_profile


def make(seed=0, **options):
    sizes = {"k": [2, 3], "hidden_size": 16, "intermediate_size": 24, "deep_size": 5}
    backbone = random_profile(seed, **sizes | {"linear_size": 4} | options)
    generator = torch.Generator().manual_seed(seed)
    backbone.model.mean.uniform_(0, 0.3, generator=generator)
    backbone.model.scale.uniform_(1, 5, generator=generator)
    if backbone.model.config.linear_size:
        backbone.model.linear.normal_(generator=generator)
    return backbone


SEQUENCES = ["ACGTTGCATTGACCA", "GGGGCATCATTTACG", "NNNN", "ATATATATTTTAAAC"]
SHAPES = [
    ({}, 9),
    ({"linear_size": 0}, 5),
    ({"rank": 3}, 9),
    ({"num_hidden_layers": 0}, 4),
    ({"num_hidden_layers": 0, "linear_size": 0}, 42),
]


@given(st.lists(st.text("ACGTN", min_size=1, max_size=300), min_size=1, max_size=4))
def test_both_strands_have_the_same_embedding(sequences):
    backbone = make()
    assert backbone.strand_invariant
    other = [reverse_complement(sequence) for sequence in sequences]
    torch.testing.assert_close(embed(backbone, sequences), embed(backbone, other), rtol=0, atol=0)


def test_training_free_is_the_standardised_profile_of_roots():
    backbone = make(num_hidden_layers=0, linear_size=0)
    counts = kmer_counts(SEQUENCES, [2, 3]).astype(float)
    blocks = counts[:, :10], counts[:, 10:]
    roots = [np.sqrt(b / np.maximum(b.sum(axis=1, keepdims=True), 1)) for b in blocks]
    expected = (np.hstack(roots) - backbone.model.mean.numpy()) * backbone.model.scale.numpy()
    np.testing.assert_allclose(embed(backbone, SEQUENCES).numpy(), expected, rtol=1e-4, atol=1e-5)


def test_parts_have_fixed_norms():
    result = embed(make(linear_weight=0.5), SEQUENCES)
    torch.testing.assert_close(result[:, :5].norm(dim=1), torch.ones(4))
    torch.testing.assert_close(result[:, 5:].norm(dim=1), torch.full((4,), 0.5))


@pytest.mark.parametrize("layer", [0, 1, 2])
@pytest.mark.parametrize("linear_size", [0, 4])
def test_mixing(layer, linear_size):
    backbone = make(num_hidden_layers=3, linear_size=linear_size)
    assert backbone.n_mixing_layers == 3
    plain = embed(backbone, SEQUENCES)
    permutation = torch.tensor([1, 0, 3, 2])
    ones, zeros = torch.ones(4), torch.zeros(4)
    torch.testing.assert_close(embed(backbone, SEQUENCES, Mixing(layer, permutation, ones)), plain)
    half = embed(backbone, SEQUENCES, Mixing(layer, permutation, ones / 2))
    assert not torch.allclose(half, plain, atol=1e-3)
    if layer:  # everything that follows the mixed state is the other row's
        other = embed(backbone, SEQUENCES, Mixing(layer, permutation, zeros))
        torch.testing.assert_close(other, plain[permutation])


def test_mixing_the_profile_of_a_linear_model():
    backbone = make(num_hidden_layers=0, linear_size=0)
    plain = embed(backbone, SEQUENCES)
    permutation, share = torch.tensor([1, 2, 3, 0]), torch.tensor([1.0, 0.7, 0.5, 0.0])
    mixed = embed(backbone, SEQUENCES, Mixing(0, permutation, share))
    expected = share[:, None] * plain + (1 - share[:, None]) * plain[permutation]
    torch.testing.assert_close(mixed, expected)
    with pytest.raises(ValueError, match=r"from 0 to 0, got 1"):
        embed(backbone, SEQUENCES, Mixing(1, permutation, share))


def test_gradients_reach_the_network_and_not_the_statistics():
    backbone = make()
    backbone.embed(backbone.collate(backbone.featurize(SEQUENCES))).pow(3).sum().backward()
    model = backbone.model
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    assert {"mean", "scale", "linear"} == {name for name, _ in model.named_buffers()}


@pytest.mark.parametrize(("options", "size"), SHAPES)
def test_any_sizes_give_finite_rows_and_load_again(tmp_path, options, size):
    backbone = make(**options, dropout=0.3, window_size=7000)
    result = embed(backbone, SEQUENCES)
    assert result.shape == (4, size) == (4, backbone.embedding_size)
    assert result.dtype == torch.float32
    assert torch.isfinite(result).all()
    backbone.save(tmp_path / "model")
    loaded = load_backbone(tmp_path / "model")
    assert isinstance(loaded, KmerProfileBackbone)
    assert loaded.fingerprint() == backbone.fingerprint()
    assert (loaded.window_size, loaded.model.config.dropout) == (7000, 0.3)
    torch.testing.assert_close(embed(loaded, SEQUENCES), result, rtol=0, atol=0)
    assert f"embeddings of {size}" in (tmp_path / "model" / "README.md").read_text()


@pytest.mark.parametrize("model", ["kmer-profile-1", "kmer-profile-2"])
def test_bfloat16_hardly_moves_an_embedding(model):
    reads = load_demo_reads().sequences[::8]
    embedder = DNABertSEmbedder(model, normalize=True, cache=None)
    dtypes = ("float32", "bfloat16")
    rows = [embedder.set_params(dtype=dtype).fit_transform(reads) for dtype in dtypes]
    assert np.einsum("ij,ij->i", *rows).min() > 0.9999


def test_fingerprint_follows_weights_and_sizes():
    assert make(dropout=0.3, window_size=99).fingerprint() == make().fingerprint()
    changed = ({}, {"seed": 1}, {"linear_weight": 0.7})
    assert len({make(**options).fingerprint() for options in changed}) == 3
