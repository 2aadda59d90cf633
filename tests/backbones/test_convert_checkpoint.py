import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from dnaembed.backbones import _load, convert_checkpoint, load_backbone
from dnaembed.backbones._checkpoint import file_sha256
from tests.helpers.random_models import embed

SHARED = Path(__file__).resolve().parents[3] / "shared" / "dnabert2_tokenizer"


def test_converted_weights_are_those_of_the_source(published, backbone, tmp_path):
    source = published(prefix="bert.", head=True)
    out = tmp_path / "converted"
    convert_checkpoint(source, out)
    ours = "README.md config.json model.safetensors special_tokens_map.json tokenizer.json"
    assert {file.name for file in out.iterdir()} == {*ours.split(), "tokenizer_config.json"}
    weights = load_file(out / "model.safetensors")
    expected = backbone.model.state_dict()
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
    fields = json.loads((out / "config.json").read_text())
    assert fields["model_type"] == "dnabert"
    assert fields["pad_token_id"] == 3
    assert "auto_map" not in fields
    assert torch.equal(embed(load_backbone(out), ["ACGTT"]), embed(backbone, ["ACGTT"]))


def test_the_card_tells_the_source(published, tmp_path, monkeypatch):
    source = published()
    sha256 = file_sha256(source / "pytorch_model.bin")
    convert_checkpoint(source, tmp_path / "one")
    card = (tmp_path / "one" / "README.md").read_text()
    assert f"sha256 of `pytorch_model.bin`: `{sha256}`" in card
    assert "not that of a published checkpoint" in card
    assert "Apache License 2.0" in card
    assert str(tmp_path) not in card
    monkeypatch.setitem(_load.PUBLISHED_WEIGHTS, "zhihan1996/DNABERT-S", sha256)
    convert_checkpoint(source, tmp_path / "two")
    card = (tmp_path / "two" / "README.md").read_text()
    assert card.startswith("---\nlicense: apache-2.0\n")
    assert "# zhihan1996/DNABERT-S, converted" in card
    assert "the digest of the published weights" in card


def test_nothing_is_written_when_the_source_is_bad(published, tmp_path):
    source = published()
    good = (source / "config.json").read_text()
    (source / "config.json").write_text(good.replace('"gelu"', '"relu"'))
    load_backbone("default").save(tmp_path / "kmer")
    expected = "a DNABERT-2 or DNABERT-S checkpoint is expected"
    for bad, message in ((source, "hidden_act"), (tmp_path / "kmer", expected)):
        with pytest.raises(ValueError, match=message):
            convert_checkpoint(bad, tmp_path / "out")
        assert not (tmp_path / "out").exists()
    (source / "config.json").write_text(good)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("precious")
    with pytest.raises(FileExistsError, match="exists and is not empty"):
        convert_checkpoint(source, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]


@pytest.mark.slow
def test_a_folder_as_published_of_the_full_size(data, tmp_path):
    if not SHARED.is_dir():
        pytest.skip("the published tokenizer and config are not here")
    source = tmp_path / "published"
    source.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(SHARED / name, source / name)
    generator = torch.Generator().manual_seed(0)
    shapes = json.loads((data / "dnabert2_117m_keys.json").read_text())
    weights = {n: 0.05 * torch.randn(shape, generator=generator) for n, shape in shapes.items()}
    torch.save(weights, source / "pytorch_model.bin")
    backbone = load_backbone(source)
    assert sum(p.numel() for p in backbone.model.parameters()) == 116_477_952
    read = "ACGTAGCATCGGATCTATCTATCGACACTTGGTTATCGATCTACGAGCATCTCGTTAGC"
    tokens = [1, 5, 194, 32, 757, 1239, 2092, 294, 24, 359, 88, 93, 32, 75, 77, 19, 2]
    first, second = backbone.featurize([read, "ACGTNNNACGT"])
    assert first.tolist() == tokens
    assert second.tolist() == [1, 5, 6, 1049, 0, 0, 0, 5, 6, 1049, 2]
    expected = embed(backbone, [read, "ACGTNNNACGT"])
    assert expected.shape == (2, 768)
    np.testing.assert_allclose(embed(backbone, [read])[0], expected[0], atol=1e-5)

    convert_checkpoint(source, tmp_path / "converted")
    converted = load_backbone(tmp_path / "converted")
    assert torch.equal(embed(converted, [read]), embed(backbone, [read]))
