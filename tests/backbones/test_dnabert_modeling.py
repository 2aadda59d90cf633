import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModel

from dnaembed.backbones import DnaBertBackbone, DnaBertConfig, DnaBertModel, Mixing
from dnaembed.backbones.dnabert import alibi_slopes
from dnaembed.backbones.dnabert._backbone import encode_packed
from tests.helpers.random_models import embed

# Of the reference implementation's values; see the README of the parity files.
TOLERANCE = 2e-5


def reference_model(data, name):
    file = data / f"{name}.weights.safetensors"
    with safe_open(file, framework="pt") as handle:
        fields = json.loads(handle.metadata()["config"])
    config = DnaBertBackbone.read_config(fields)
    model = DnaBertModel(config).eval()
    weights = {k: v for k, v in load_file(file).items() if not k.startswith("pooler.")}
    model.load_state_dict(weights, strict=True)
    return model


def masked_mean(hidden, mask):
    return (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)


def largest_difference(ours, golden):
    return float(np.abs(ours.numpy() - golden).max())


@pytest.mark.parametrize("name", ["encoder_12heads", "encoder_8heads_long"])
def test_padded_and_packed_are_the_reference(data, name):
    golden = np.load(data / f"{name}.npz")
    model = reference_model(data, name)
    ids, mask = (torch.from_numpy(golden[field]) for field in ("input_ids", "attention_mask"))
    inside = mask.bool()
    assert mask.sum(1).unique().numel() > 1  # there is padding
    with torch.inference_mode():
        hidden = model(ids, mask).last_hidden_state
        packed = encode_packed(model, ids[inside], mask.sum(1))
    expected = golden["last_hidden_state"]
    assert largest_difference(hidden * mask[..., None], expected) < TOLERANCE
    assert largest_difference(masked_mean(hidden, mask), golden["mean_embedding"]) < TOLERANCE
    assert largest_difference(packed, expected[inside.numpy()]) < TOLERANCE


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_mixing_is_that_of_the_reference(data, layer):
    batch = np.load(data / "encoder_12heads.npz")
    golden = np.load(data / "mi_mix_forward.npz")
    model = reference_model(data, "encoder_12heads")
    mask = torch.from_numpy(batch["attention_mask"])
    mixing = Mixing(layer, torch.from_numpy(golden["perm"]), torch.from_numpy(golden["lam"]))
    with torch.inference_mode():
        hidden = model(torch.from_numpy(batch["input_ids"]), mask, mixing=mixing).last_hidden_state
    mixed_mask = mask * mask[mixing.permutation]
    np.testing.assert_array_equal(mixed_mask, golden[f"mix_layer{layer}_mask"])
    embedding = masked_mean(hidden, mixed_mask)
    assert largest_difference(embedding, golden[f"mix_layer{layer}_mean_embedding"]) < TOLERANCE


def test_names_and_shapes_are_the_published_ones_without_pooler(data):
    published = json.loads((data / "dnabert2_117m_keys.json").read_text())
    with torch.device("meta"):
        model = DnaBertModel(DnaBertConfig())
    ours = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    pooler = {name: shape for name, shape in published.items() if name.startswith("pooler.")}
    assert len(pooler) == 2
    assert ours | pooler == published
    assert model.num_parameters() == 116_477_952


@pytest.mark.parametrize("n_heads", [1, 2, 3, 5, 6, 7, 16, 24])
def test_slopes_for_any_number_of_heads(n_heads):
    slopes = alibi_slopes(n_heads)
    assert len(slopes) == len(slopes.unique()) == n_heads
    assert ((slopes > 0) & (slopes < 1)).all()
    assert alibi_slopes(4).tolist() == [0.25, 0.0625, 0.015625, 0.00390625]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_close_and_finite(make_backbone, dtype):
    reads = ["ACGTTGCA" * 60, "GGCATTTA" * 9]
    exact, half = make_backbone(), make_backbone()
    half.model.to(dtype)
    expected, got = embed(exact, reads), embed(half, reads)
    assert got.dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(got, expected).min() > 0.99


def test_transformers_load_our_folders_and_write_what_we_load(backbone, tmp_path):
    backbone.save(tmp_path / "model")
    config = AutoConfig.from_pretrained(tmp_path / "model")
    assert type(config) is DnaBertConfig
    assert config.pad_token_id == 3
    model = AutoModel.from_pretrained(tmp_path / "model", dtype=torch.bfloat16)
    assert type(model) is DnaBertModel
    assert model.dtype == torch.bfloat16
    ours = AutoModel.from_pretrained(tmp_path / "model").state_dict()
    for name, tensor in backbone.model.state_dict().items():
        assert torch.equal(ours[name], tensor)
    backbone.model.save_pretrained(tmp_path)
    backbone.tokenizer.save(str(tmp_path / "tokenizer.json"))
    again = type(backbone).from_folder(tmp_path)
    assert again.fingerprint() == backbone.fingerprint()
