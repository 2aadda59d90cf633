import csv

import numpy as np
import pytest
import torch

from dnaembed.backbones.dnabert import _flex_attention
from dnaembed.benchmark import gpu
from dnaembed.embedding._engine import EmbedOptions, embed_sequences

# Of the tiny model, whose embeddings are about 1 in size.
FARTHEST = {"float32": 1e-4, "float16": 2e-2, "bfloat16": 2e-1}


def test_every_case_is_a_row(tiny_dnabert_folder, tmp_path):
    output = tmp_path / "gpu.csv"
    options = ["--device", "cpu", "--model", tiny_dnabert_folder, "--megabases", "0.002"]
    options += ["--lengths", "200", "500"]
    assert gpu.main(["-o", str(output), *options, "--repeats", "1"]) == 0
    rows = list(csv.DictReader(output.read_text().splitlines()))
    assert len(rows) == 1 + 2 * (1 + len(gpu.CASES))
    assert "TFLOP/s in bfloat16" in rows[0]["note"]
    assert rows[1]["case"] == "authors' loop"
    assert rows[1]["times the authors' loop"] == "1"
    for row in rows[1:]:
        assert not row["note"]
        assert float(row["share of matrix products"]) > 0
        assert float(row["largest difference"]) < FARTHEST[row["dtype"]]
        assert float(row["least cosine"]) > 0.99


def test_the_loop_gives_what_we_give(tiny_dnabert, reads):
    ours = embed_sequences(tiny_dnabert, reads, EmbedOptions())
    assert gpu.authors_loop(tiny_dnabert, reads) == pytest.approx(ours, abs=1e-5)


def test_a_case_that_fails_is_a_row_and_the_model_stays(tiny_dnabert, monkeypatch):
    before = {name: tensor.clone() for name, tensor in tiny_dnabert.model.state_dict().items()}
    attention = tiny_dnabert.model.config._attn_implementation

    def fail(*args):
        assert not _flex_attention.SKIP_FAR
        raise torch.OutOfMemoryError("CUDA out of memory.\nmore")

    monkeypatch.setattr(gpu, "_ours", fail)
    rows = gpu.measure(
        tiny_dnabert,
        megabases=0.002,
        lengths=[500],
        cases=[gpu.Case("ours", skip_far=False)],
        repeats=1,
        matmul_size=64,
    )
    assert rows[-1]["note"] == "failed: CUDA out of memory."
    assert _flex_attention.SKIP_FAR
    assert tiny_dnabert.model.config._attn_implementation == attention
    assert tiny_dnabert.model.dtype == torch.float32
    for name, tensor in tiny_dnabert.model.state_dict().items():
        assert (tensor == before[name]).all()


def test_no_case_is_begun_when_the_time_is_up(tiny_dnabert):
    rows = gpu.measure(tiny_dnabert, megabases=0.002, lengths=[500], limit=0.0, matmul_size=64)
    assert [row["note"] for row in rows[1:]] == ["not run: the time was up"] * 10


def test_operations_are_those_of_the_weights_and_of_all_pairs(tiny_dnabert):
    config = tiny_dnabert.model.config
    per_token = sum(
        module.weight.numel()
        for module in tiny_dnabert.model.encoder.modules()
        if isinstance(module, torch.nn.Linear)
    )
    lengths = np.asarray([3, 50])
    pairs = (lengths**2).sum() * config.num_hidden_layers * config.hidden_size
    assert gpu.flops(config, lengths) == 2 * lengths.sum() * per_token + 4 * pairs


def test_a_device_that_is_not_there(tmp_path, capsys):
    with pytest.raises(SystemExit):
        gpu.main(["-o", str(tmp_path / "gpu.csv"), "--device", "cuda:99"])
    assert "cuda:99" in capsys.readouterr().err
