"""What to check on a machine with a GPU; nothing here runs without one."""

import logging
from copy import deepcopy

import numpy as np
import pytest
import torch

from dnaembed import DNABertSEmbedder
from dnaembed.backbones.dnabert import alibi_slopes
from dnaembed.backbones.dnabert._flex_attention import FlexAttention, flex_is_usable
from dnaembed.embedding import _engine
from dnaembed.embedding._engine import EmbedOptions, embed_sequences
from dnaembed.training import ContrastiveTrainer, ReadPairs, TrainingConfig
from tests.helpers.dna import random_dna
from tests.helpers.plain_attention import attend_plainly
from tests.helpers.random_models import random_dnabert

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    # What torch's compiler says of itself, and of a card that could do more.
    pytest.mark.filterwarnings("default"),
]

DTYPES = ["float32", "float16", "bfloat16"]
# From float32 on the CPU, embeddings being about 1 in size.
BOUNDS = {"float32": 1e-4, "float16": 1e-2, "bfloat16": 1e-1}
DEVICES = [f"cuda:{index}" for index in range(torch.cuda.device_count())]


@pytest.fixture(scope="module")
def backbone(tiny_dnabert):
    """Heads of 64 columns, as the real ones, in float32 on the CPU."""
    sizes = {"hidden_size": 256, "num_hidden_layers": 3, "intermediate_size": 512}
    return random_dnabert(tiny_dnabert.tokenizer, **sizes, initializer_range=0.05)


def on(backbone, device, dtype="float32"):
    moved = deepcopy(backbone)
    moved.model.to(device, getattr(torch, dtype))
    return moved


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_kernel_is_plain_attention(device, dtype):
    device = torch.device(device)
    assert flex_is_usable(device, 4, 64, getattr(torch, dtype))
    slopes = alibi_slopes(4).to(device)
    bound = {"float32": 1e-5, "float16": 4e-3, "bfloat16": 3e-2}[dtype]
    for lengths in ([5, 1, 300, 229], [128, 256], [3000], [1000, 2, 1500]):
        query, key, value = torch.randn(3, sum(lengths), 4, 64, device=device)
        expected = attend_plainly(query, key, value, lengths, slopes)
        packed = (x.to(getattr(torch, dtype)) for x in (query, key, value))
        with torch.inference_mode():
            attention = FlexAttention(torch.tensor(lengths), slopes, sum(lengths), device)
            context = attention(*packed)
        assert (context.float() - expected).abs().max() < bound


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("device", DEVICES)
def test_embeddings_are_those_of_the_cpu(backbone, dtype, device):
    reads = random_dna(40, low=20, high=4000, alphabet="ACGTN")
    expected = embed_sequences(backbone, reads, EmbedOptions())
    there = on(backbone, device, dtype)
    for budget in (None, 3000):
        rows = embed_sequences(there, reads, EmbedOptions(budget=budget))
        assert rows.dtype == np.float32
        assert np.abs(rows - expected).max() < BOUNDS[dtype]


def test_batches_made_ahead_in_parts_do_not_matter(backbone, monkeypatch):
    reads = random_dna(60, low=20, high=2000)
    there = on(backbone, "cuda")
    expected = embed_sequences(there, reads, EmbedOptions())
    monkeypatch.setattr(_engine, "_PART_BASES", 5000)
    for n_jobs in (None, 2):
        rows = embed_sequences(there, reads, EmbedOptions(budget=2000), n_jobs=n_jobs)
        assert np.abs(rows - expected).max() < 1e-4


def test_lack_of_memory_halves_the_batch(backbone, caplog):
    there = on(backbone, "cuda")
    reads = random_dna(400, low=1500, high=2000)
    expected = embed_sequences(there, reads, EmbedOptions(budget=4096))
    torch.cuda.empty_cache()
    _, total = torch.cuda.mem_get_info()
    # Room for the tokens of some batches, not of the one that holds all.
    room = torch.cuda.memory_allocated() + (256 << 20)
    torch.cuda.set_per_process_memory_fraction(min(1.0, room / total))
    try:
        with caplog.at_level(logging.WARNING, logger="dnaembed"):
            rows = embed_sequences(there, reads, EmbedOptions(budget=10**9))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert any(message.startswith("Out of memory with") for message in caplog.messages)
    assert np.abs(rows - expected).max() < 1e-4


def test_the_embedder_takes_the_gpu_by_itself(tiny_dnabert_folder, reads):
    embedder = DNABertSEmbedder(tiny_dnabert_folder, cache=None).fit(reads)
    assert embedder.backbone_.model.device.type == "cuda"
    cpu = DNABertSEmbedder(tiny_dnabert_folder, cache=None, device="cpu", dtype="float32")
    rows = embedder.transform(reads)
    assert np.abs(rows - cpu.fit_transform(reads)).max() < BOUNDS["bfloat16"]


def test_training_in_bfloat16(backbone):
    trained = deepcopy(backbone)
    source = ReadPairs(random_dna(12, low=300, high=500), min_length=80, max_length=120)
    config = TrainingConfig(n_steps=3, batch_size=4, mixed_precision="bf16")
    ContrastiveTrainer(trained, source, config, device="cuda").train()
    assert trained.fingerprint() != backbone.fingerprint()
    assert all(parameter.isfinite().all() for parameter in trained.model.parameters())
