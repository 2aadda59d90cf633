"""What a damaged or odd model folder does: load, or end in one clear error."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dnaembed.backbones import DnaBertBackbone, load_backbone
from tests.helpers.random_models import embed

READS = ["ACGTTGCA" * 12, "GGCATNTTA"]


# The folder's bert_layers.py raises when it is imported, and auto_map points to it.
@pytest.mark.parametrize("pooler", [True, False])
@pytest.mark.parametrize("head", [True, False])
@pytest.mark.parametrize(
    "prefix", ["", "bert.", "module.", "dnabert2.", "module.dnabert2.bert.", "bert.module."]
)
def test_published_layouts(published, backbone, prefix, head, pooler):
    again = load_backbone(published(prefix=prefix, head=head, pooler=pooler))
    assert isinstance(again, DnaBertBackbone)
    assert again.model.config.model_type == "dnabert"
    assert again.model.config.pad_token_id == 3
    assert torch.equal(embed(again, READS), embed(backbone, READS))
    (ids,) = again.featurize(["ACGTAGGATTC" * 50])  # without the truncation to 16 of the file
    assert len(ids) > 100
    assert ids[-1] == 2


def as_safetensors(folder):
    """Replace the pickle by safetensors."""
    weights = torch.load(folder / "pytorch_model.bin", weights_only=True)
    (folder / "pytorch_model.bin").unlink()
    save_file(weights, folder / "model.safetensors")
    return folder / "model.safetensors"


def test_safetensors_of_a_published_layout(published, backbone):
    folder = published(prefix="bert.", head=True)
    as_safetensors(folder)
    assert torch.equal(embed(load_backbone(folder), READS), embed(backbone, READS))


def test_the_old_pickle_format_is_refused(published):
    folder = published()
    weights = torch.load(folder / "pytorch_model.bin", weights_only=True)
    torch.save(weights, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    with pytest.raises(ValueError, match="not a valid torch weight file"):
        load_backbone(folder)


def test_beside_safetensors_a_pickle_is_not_looked_at(published, backbone):
    folder = published()
    (folder / "pytorch_model.bin").write_bytes(b"no pickle")
    save_file(backbone.model.state_dict(), folder / "model.safetensors")
    assert torch.equal(embed(load_backbone(folder), READS), embed(backbone, READS))


@pytest.mark.parametrize("keep", [0.0, 0.01, 0.5, 0.999])
@pytest.mark.parametrize("kind", ["bin", "safetensors"])
def test_cut_off_weights(published, keep, kind):
    folder = published()
    file = folder / "pytorch_model.bin"
    if kind == "safetensors":
        file = as_safetensors(folder)
    content = file.read_bytes()
    file.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(ValueError, match=file.name):
        load_backbone(folder)


@pytest.mark.parametrize(
    "content",
    [[1, 2], {"a": 3}, {5: torch.ones(1)}, {"a": torch.ones(4).to_sparse()},
     {"a": torch.empty(10**6, 10**6, device="meta")}],
)  # fmt: skip
def test_other_things_than_tensors(published, content):
    folder = published()
    torch.save(content, folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"pytorch_model\.bin: a (table of tensors|plain tensor)"):
        load_backbone(folder)


NORM = "embeddings.LayerNorm.weight"


def other(**tensors):
    return lambda weights: weights.update(tensors)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda w: w.pop(NORM), f'Missing key.* "{NORM}"'),
        (lambda w: w.clear(), "Missing key.*\\.\\.\\."),
        # An ordinary BERT: positions, and separate query, key and value.
        (other(positions=torch.ones(9, 48)), 'Unexpected key.*"positions"'),
        (other(**{NORM: torch.ones(49)}), f"size mismatch for {NORM}"),
        (other(**{NORM: torch.ones(48, dtype=torch.int8)}), NORM),
        (other(**{f"bert.{NORM}": torch.ones(48)}), f"two tensors are candidates for {NORM}"),
        (other(**{NORM: torch.full((48,), torch.nan)}), f"{NORM} holds NaN or infinity"),
    ],
)  # fmt: skip
def test_weights_that_do_not_fit(published, edit, message):
    with pytest.raises(ValueError, match=rf"pytorch_model\.bin: .*{message}"):
        load_backbone(published(edit_weights=edit))


def test_shapes_are_compared_before_anything_is_read(published, monkeypatch):
    folder = published(edit_weights=other(**{NORM: torch.ones(49)}))
    monkeypatch.delattr(torch, "isfinite")
    with pytest.raises(ValueError, match="size mismatch"):
        load_backbone(folder)


def test_weights_stay_when_the_file_goes(published, backbone):
    folder = published()
    again, file = load_backbone(folder), folder / "pytorch_model.bin"
    file.write_bytes(bytes(file.stat().st_size))
    assert torch.equal(embed(again, READS), embed(backbone, READS))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ({"model_type": "llama"}, "model_type must be one of .*dnabert.*, got 'llama'"),
        ({"model_type": None}, "model_type must be one of .*, got None"),
        ({"model_type": ["bert"]}, "model_type must be one of"),
        ({"hidden_act": "silu"}, "hidden_act='gelu' is expected, got 'silu'"),
        ({"vocab_size": 50}, "has the number 5., but the model's vocab_size is 50"),
        ({"num_hidden_layers": 4}, r"Missing key.*encoder\.layer\.3\."),
        ({"num_hidden_layers": 2}, r"Unexpected key.*encoder\.layer\.2\."),
        ({"hidden_size": 96}, "size mismatch"),
    ],
)
def test_odd_configurations(published, edit, message):
    with pytest.raises(ValueError, match=message):
        load_backbone(published(edit_config=edit))


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "pytorch_model.bin"])
def test_missing_files_are_named(published, name):
    folder = published()
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=name.replace(".", r"\.")):
        load_backbone(folder)


def test_our_config_cannot_ask_for_code(backbone, tmp_path):
    folder = tmp_path / "model"
    backbone.save(folder)
    fields = json.loads((folder / "config.json").read_text())
    fields |= dict.fromkeys(("attn_implementation", "_attn_implementation"), "somebody/kernel")
    fields["auto_map"] = {"AutoModel": "code.Model"}
    (folder / "config.json").write_text(json.dumps(fields))
    again = load_backbone(folder)
    assert again.model.config._attn_implementation == "sdpa"
    assert not hasattr(again.model.config, "auto_map")


# What torch says when a damaged byte is the number of the pickle's protocol.
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_damaged_bytes_end_in_a_value_error(published):
    """The errors of zipfile and of torch's unpickler are many; all must come out as ours."""
    file = published() / "pytorch_model.bin"
    content = file.read_bytes()
    start = content.index(b"\x80\x02")  # the pickle, after the header of its zip entry
    end = content.rindex(b"PK\x01\x02")  # the last entry of the table of contents
    rng = np.random.default_rng(0)
    messages = []
    for _ in range(100):
        damaged = bytearray(content)
        low = start if rng.random() < 0.7 else end
        for place in rng.integers(low, min(low + 1500, len(content)), size=rng.integers(1, 4)):
            damaged[place] = rng.integers(256)
        file.write_bytes(damaged)
        try:
            load_backbone(file.parent)
        except (ValueError, FileNotFoundError) as error:
            messages.append(str(error))
    assert len(messages) > 60
    assert all(str(file.parent) in message for message in messages)
