"""A third architecture, made with public names only: what its author does not write works."""

import json

import numpy as np
import pytest
import torch
from torch import nn
from transformers import AutoModel, PretrainedConfig, PreTrainedModel

from dnaembed import DNABertSEmbedder
from dnaembed.backbones import Backbone, Mixing, _protocol, load_backbone, register_backbone
from dnaembed.composition import kmer_counts
from tests.helpers.random_models import embed

READS = ["ACGTTGCA", "GGGCATTT", "NNNN", "ATATATCC"]


class DimerConfig(PretrainedConfig):
    model_type = "dimer"

    def __init__(self, *, size=4, window_size=None, **kwargs):
        if not isinstance(size, int):
            raise TypeError("size must be an integer.")
        self.size, self.window_size = size, window_size
        super().__init__(**kwargs)


class DimerModel(PreTrainedModel):
    config_class = DimerConfig

    def __init__(self, config):
        super().__init__(config)
        self.project = nn.Linear(10, config.size)
        self.post_init()


class DimerBackbone(Backbone):
    model_class = DimerModel
    other_model_types = ("old-dimer",)
    strand_invariant, n_mixing_layers, default_budget = True, 1, 512

    @property
    def embedding_size(self):
        return self.model.config.size

    def featurize(self, sequences):
        return list(kmer_counts(sequences, 2))

    def cost(self, features):
        return 1

    def collate(self, features):
        return {"counts": torch.from_numpy(np.stack(features).astype(np.float32))}

    def embed(self, batch, mixing=None):
        self.check_mixing(mixing)
        rows = nn.functional.normalize(batch["counts"], dim=1)
        return self.model.project(rows if mixing is None else mixing.mix(rows))


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    monkeypatch.setattr(_protocol, "_BACKBONES", dict(_protocol._BACKBONES))
    assert register_backbone(DimerBackbone) is DimerBackbone


def make(seed=0, **sizes):
    return DimerBackbone.create(sizes, iter(()), seed=seed)


def test_it_is_saved_loaded_and_embedded_with(tmp_path):
    backbone = make(size=6, window_size=50)
    assert backbone.fine_tuning_rate(True) == backbone.fine_tuning_rate(False) == 1e-5
    backbone.save(tmp_path / "dimer")
    again = load_backbone(tmp_path / "dimer")
    assert type(again) is DimerBackbone
    assert not again.model.training
    assert (again.embedding_size, again.window_size) == (6, 50)
    assert again.fingerprint() == backbone.fingerprint()
    rows = DNABertSEmbedder(tmp_path / "dimer", cache=None).fit_transform(READS)
    np.testing.assert_allclose(rows, embed(backbone, READS), atol=1e-6)
    assert type(AutoModel.from_pretrained(tmp_path / "dimer")) is DimerModel
    assert "# dimer model" in (tmp_path / "dimer" / "README.md").read_text()


def test_only_fields_of_its_own_configuration_are_read(tmp_path):
    make().save(tmp_path / "dimer")
    file = tmp_path / "dimer" / "config.json"
    odd = {"auto_map": {"AutoModel": "code.M"}, "model_type": "old-dimer"}
    file.write_text(json.dumps(json.loads(file.read_text()) | odd))
    config = load_backbone(tmp_path / "dimer").model.config
    assert not hasattr(config, "auto_map")
    file.write_text(json.dumps({"model_type": "dimer", "size": "4"}))
    with pytest.raises(ValueError, match=r"config\.json: size must be an integer"):
        load_backbone(tmp_path / "dimer")


def test_new_models_follow_from_their_seed_and_leave_the_generators_alone():
    state = torch.get_rng_state()
    prints = [make(seed=seed, size=size).fingerprint() for seed, size in ((0, 4), (0, 4), (1, 4))]
    assert prints[0] == prints[1] != prints[2]
    assert torch.equal(torch.get_rng_state(), state)
    assert make(size=5).fingerprint() not in prints


@pytest.mark.parametrize("shape", [(3,), (3, 2), (3, 2, 4)])
def test_rows_of_any_shape_are_mixed(shape):
    rows = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mixed = Mixing(0, torch.tensor([1, 2, 0]), torch.tensor([1.0, 0.25, 0.0])).mix(rows)
    expected = torch.stack([rows[0], 0.25 * rows[1] + 0.75 * rows[2], rows[0]])
    torch.testing.assert_close(mixed, expected)  # of one dtype, too
