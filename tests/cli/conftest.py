import pytest

from tests.helpers.commands import fasta, species_like


@pytest.fixture
def model(tiny_dnabert_folder):
    return ["--model", tiny_dnabert_folder, "--device", "cpu"]


@pytest.fixture
def reads_file(tmp_path):
    return fasta(tmp_path / "reads.fa", [f"r{i}" for i in range(24)], species_like(12))
