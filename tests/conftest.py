"""What several test modules need: random DNA and small models, made on the spot."""

import numpy as np
import pytest
import torch
from hypothesis import settings

from dnaembed.backbones import DnaBertBackbone, DnaBertConfig, DnaBertModel, train_bpe_tokenizer

# Compilation and shared machines make single examples slow; no test asserts a time.
settings.register_profile("dnaembed", deadline=None)
settings.load_profile("dnaembed")


def random_dna(n, low=50, high=400, seed=0, alphabet="ACGT"):
    """Return n random sequences of low to high - 1 bases."""
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list(alphabet), rng.integers(low, high))) for _ in range(n)]


@pytest.fixture
def reads():
    return random_dna(12)


@pytest.fixture(scope="session")
def tiny_dnabert():
    """A transformer of random weights that treats every base differently."""
    tokenizer = train_bpe_tokenizer(random_dna(20), vocab_size=32)
    config = DnaBertConfig(
        vocab_size=32,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        initializer_range=0.3,
    )
    with torch.random.fork_rng():
        torch.random.manual_seed(0)
        model = DnaBertModel(config)
    return DnaBertBackbone(model.eval(), tokenizer)


@pytest.fixture(scope="session")
def tiny_dnabert_folder(tiny_dnabert, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tiny_dnabert.save(folder)
    return str(folder)
