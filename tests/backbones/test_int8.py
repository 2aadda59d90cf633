import copy
import json
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file
from torch.nn.functional import cosine_similarity

from dnaembed import DNABertSEmbedder
from dnaembed.backbones import (
    DnaBertBackbone,
    DnaBertModel,
    KmerProfileBackbone,
    KmerProfileConfig,
    KmerProfileModel,
)
from dnaembed.backbones._int8 import Int8Linear


def embed(backbone, sequences):
    with torch.inference_mode():
        return backbone.embed(backbone.pack(backbone.featurize(sequences)))


def random_linear(n_in, n_out, bias=True, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return torch.nn.Linear(n_in, n_out, bias=bias)


@pytest.fixture
def rounded(backbone):
    twin = copy.deepcopy(backbone)
    twin.quantize()
    return twin


@pytest.fixture
def sequences():
    rng = np.random.default_rng(0)
    return ["".join(rng.choice(list("ACGT"), n)) for n in (2000, 400, 90, 3, 1)]


@given(st.integers(2, 70), st.integers(1, 40), st.integers(1, 9), st.booleans(), st.integers(0, 99))
def test_error_is_that_of_rounding(n_in, n_out, n, bias, seed):
    linear = random_linear(n_in, n_out, bias, seed)
    rows = torch.randn(n, n_in, generator=torch.Generator().manual_seed(seed)) * 10.0
    with torch.no_grad():
        expected = linear(rows)
        got = Int8Linear(linear)(rows)
        # Half a step of the rows, and half a step of the rest of the weights.
        weights = linear.weight.abs()
        largest_row = rows.abs().amax(dim=1, keepdim=True)
        largest_weight = weights.amax(dim=1)
        bound = largest_row * weights.sum(dim=1) / 254
        bound += rows.abs().sum(dim=1, keepdim=True) * largest_weight / 254**2
    assert ((got - expected).abs() <= bound * 1.01 + 1e-5).all()


def test_whole_numbers_are_exact_in_any_shape_and_number_of_rows():
    linear = random_linear(5, 4)
    with torch.no_grad():
        linear.weight.copy_(torch.arange(20).view(4, 5) % 7 - 3)
        linear.weight[:, 0] = 127
        rows = torch.arange(3 * 900 * 5).view(3, 900, 5) % 11 - 5.0
        rows[..., 0] = -127
        torch.testing.assert_close(Int8Linear(linear)(rows), linear(rows))
        zeros = torch.zeros(2, 5)
        torch.testing.assert_close(Int8Linear(linear)(zeros), linear(zeros))


@pytest.mark.parametrize("name", ["encoder_12heads", "encoder_8heads_long"])
def test_embeddings_are_nearly_the_same(data, tokenizer, name):
    file = data / f"{name}.weights.safetensors"
    with safe_open(file, framework="pt") as handle:
        config = DnaBertBackbone.read_config(json.loads(handle.metadata()["config"]))
    model = DnaBertModel(config).eval()
    weights = {k: v for k, v in load_file(file).items() if not k.startswith("pooler.")}
    model.load_state_dict(weights)
    exact = DnaBertBackbone(model, tokenizer)
    rounded = copy.deepcopy(exact)
    rounded.quantize()
    assert (exact.precision, rounded.precision) == (torch.float32, torch.int8)
    layers = [module for module in rounded.model.modules() if isinstance(module, Int8Linear)]
    assert len(layers) == 4 * config.num_hidden_layers
    rng = np.random.default_rng(0)
    batch = exact.pack([rng.integers(5, config.vocab_size, n) for n in (700, 200, 40, 9)])
    with torch.inference_mode():
        expected, got = exact.embed(batch), rounded.embed(batch)
    assert not torch.equal(got, expected)
    assert cosine_similarity(got, expected).min() > 0.999


def test_rounded_models_travel_and_are_neither_saved_nor_rounded_again(
    backbone, rounded, sequences, tmp_path
):
    again = pickle.loads(pickle.dumps(rounded))
    assert again.fingerprint() == rounded.fingerprint() != backbone.fingerprint()
    assert torch.equal(embed(again, sequences), embed(rounded, sequences))
    with pytest.raises(ValueError, match="load the model with dtype='float32'"):
        rounded.save(tmp_path / "model")
    assert not (tmp_path / "model").exists()
    with pytest.raises(ValueError, match=r"on the CPU in float32 is expected, .* torch\.int8"):
        rounded.quantize()


def test_the_embedder_rounds_and_remembers_that_it_did(backbone, sequences, tmp_path):
    backbone.save(tmp_path / "model")
    embedders = {
        dtype: DNABertSEmbedder(model=tmp_path / "model", device="cpu", dtype=dtype)
        for dtype in ("float32", "int8")
    }
    rows = {dtype: e.fit_transform(sequences) for dtype, e in embedders.items()}
    for _ in range(2):  # computed, then from the cache
        assert not (rows["int8"] == rows["float32"]).all()
        cosine = cosine_similarity(*(torch.from_numpy(rows[name]) for name in rows))
        assert cosine.min() > 0.99
        rows = {dtype: e.transform(sequences) for dtype, e in embedders.items()}
    again = pickle.loads(pickle.dumps(embedders["int8"]))
    assert (again.transform(sequences) == rows["int8"]).all()
    with pytest.raises(ValueError, match="load the model with dtype='float32'"):
        again.save_model(tmp_path / "rounded")


class Tuner:
    def get_params(self, deep=True):
        return {}

    def fine_tune(self, backbone, sequences, y=None, *, random_state=None):
        return backbone


def test_what_cannot_be_rounded(backbone, tmp_path):
    backbone.save(tmp_path / "model")
    embedder = DNABertSEmbedder(model=tmp_path / "model", dtype="int8", fine_tuner=Tuner())
    with pytest.raises(ValueError, match="dtype='int8' cannot be fine-tuned"):
        embedder.fit(["ACGT"])
    with pytest.raises(ValueError, match="dtype='int8' is for transformers, not for a kmer"):
        DNABertSEmbedder(dtype="int8", device="cpu").fit(["ACGT"])
    config = KmerProfileConfig(k=[3], num_hidden_layers=0, linear_size=0)
    with pytest.raises(ValueError, match="is for transformers"):
        KmerProfileBackbone(KmerProfileModel(config)).quantize()
