"""A tiny DNABERT, and folders laid out like the published checkpoints."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from dnaembed.backbones import train_bpe_tokenizer
from dnaembed.backbones._checkpoint import file_sha256
from tests.helpers.random_models import random_dnabert

DATA = Path(__file__).resolve().parent.parent / "data"
SIZES = {"vocab_size": 60, "hidden_size": 48, "num_hidden_layers": 3}
SIZES |= {"num_attention_heads": 6, "intermediate_size": 64}


@pytest.fixture(scope="session")
def data():
    return DATA


@pytest.fixture(scope="session")
def tokenizer():
    rng, shares = np.random.default_rng(0), [0.3, 0.2, 0.2, 0.29, 0.01]
    pieces = ("".join(rng.choice(list("ACGTN"), 500, p=shares)) for _ in range(20))
    return train_bpe_tokenizer(pieces, vocab_size=60)


@pytest.fixture(scope="session")
def make_backbone(tokenizer):
    """Build a small backbone with random weights."""
    return lambda **options: random_dnabert(tokenizer, **SIZES | options)


@pytest.fixture
def backbone(make_backbone):
    return make_backbone()


@pytest.fixture
def saved(backbone, tmp_path):
    backbone.save(tmp_path / "saved")
    return tmp_path / "saved"


@pytest.fixture
def hub_cache(tmp_path):
    """Lay a folder out as the hub's download cache does; return it, and how to load from there."""

    def lay_out(name, folder):
        repository = tmp_path / "cache" / f"models--{name.replace('/', '--')}"
        snapshot = repository / "snapshots" / ("0123456789" * 4)
        for part in (snapshot, repository / "blobs", repository / "refs"):
            part.mkdir(parents=True)
        (repository / "refs" / "main").write_text(snapshot.name)
        for file in folder.iterdir():
            blob = shutil.copyfile(file, repository / "blobs" / file_sha256(file))
            (snapshot / file.name).symlink_to(Path("../../blobs") / blob.name)
        return snapshot, {"cache_dir": tmp_path / "cache", "local_files_only": True}

    return lay_out


@pytest.fixture
def published(tmp_path, backbone):
    """Write a folder like the published ones: bert config, tokenizer, pickled weights."""

    def write(*, prefix="", pooler=True, head=False, edit_config=None, edit_weights=None):
        folder = tmp_path / "published"
        folder.mkdir()
        config = backbone.model.config
        fields = {name: getattr(config, name) for name in SIZES} | {
            "model_type": "bert",
            "architectures": ["BertModel"],
            "auto_map": {"AutoModel": "bert_layers.BertModel"},
            "hidden_act": "gelu",
            "pad_token_id": 0,
            "max_position_embeddings": 512,
            "position_embedding_type": "absolute",
        }
        (folder / "bert_layers.py").write_text("raise RuntimeError('remote code was run')\n")
        (folder / "config.json").write_text(json.dumps(fields | (edit_config or {})))
        tokenizer = json.loads(backbone.tokenizer.to_str())
        # The published file asks for both; neither must have an effect.
        tokenizer["truncation"] = {"direction": "Right", "max_length": 16, "stride": 0}
        tokenizer["truncation"]["strategy"] = "LongestFirst"
        tokenizer["padding"] = {"strategy": {"Fixed": 16}, "direction": "Right"}
        tokenizer["padding"] |= {"pad_id": 0, "pad_type_id": 0, "pad_token": "[UNK]"}
        (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
        weights = {prefix + name: t.clone() for name, t in backbone.model.state_dict().items()}
        hidden = config.hidden_size
        if pooler:
            weights[f"{prefix}pooler.dense.weight"] = torch.ones(hidden, hidden)
            weights[f"{prefix}pooler.dense.bias"] = torch.ones(hidden)
        if head:
            weights["cls.predictions.bias"] = torch.ones(config.vocab_size)
            weights["cls.predictions.decoder.weight"] = torch.ones(config.vocab_size, hidden)
        if edit_weights is not None:
            edit_weights(weights)
        torch.save(weights, folder / "pytorch_model.bin")
        return folder

    return write
