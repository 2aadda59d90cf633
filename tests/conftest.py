"""What several test modules need: random DNA and small models, made on the spot."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers of pytest-xdist share the cores: with more threads each, they wait for each other.
    # Before torch is loaded, which looks at this once.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from hypothesis import settings

from dnaembed import clear_memory_cache
from dnaembed.backbones import _device, train_bpe_tokenizer
from tests.helpers.dna import random_dna
from tests.helpers.random_models import random_dnabert

# Compilation and shared machines make single examples slow; no test asserts a time.
settings.register_profile("dnaembed", deadline=None)
settings.load_profile("dnaembed")


@pytest.fixture(scope="session", autouse=True)
def _processors_alike():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_device, "cpu_multiplies_bfloat16", lambda: False)
        yield


@pytest.fixture
def empty_cache():
    clear_memory_cache()


@pytest.fixture
def two_threads():
    """Two cores for torch, even where the machine or the environment gives one."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def reads():
    return random_dna(12)


@pytest.fixture(scope="session")
def tiny_dnabert():
    """A transformer of random weights that treats every base differently."""
    return random_dnabert(train_bpe_tokenizer(random_dna(20), vocab_size=32))


@pytest.fixture(scope="session")
def tiny_dnabert_folder(tiny_dnabert, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tiny_dnabert.save(folder)
    return str(folder)
