import csv

import numpy as np
import pytest
import torch

from dnaembed.backbones import DnaBertConfig
from dnaembed.benchmark import transformer_speed
from dnaembed.benchmark.transformer_speed import _CountDone, authors_loop, flops, measure
from dnaembed.embedding._engine import EmbedOptions, embed_sequences


def test_the_loop_embeds_as_ours(tiny_dnabert, reads):
    ours = embed_sequences(tiny_dnabert, reads, EmbedOptions())
    assert authors_loop(tiny_dnabert, [*reads, *reads]) == pytest.approx(
        np.concatenate([ours, ours]), abs=1e-5
    )


def test_operations_done_are_those_of_the_formula_for_short_reads(tiny_dnabert, reads):
    tokens = [len(ids) for ids in tiny_dnabert.featurize(reads)]
    with _CountDone() as count:
        embed_sequences(tiny_dnabert, reads, EmbedOptions())
    assert count.flops == flops(tiny_dnabert.model.config, tokens)


def test_table(tmp_path, monkeypatch):
    config = DnaBertConfig(
        vocab_size=32,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
    )
    before = torch.get_num_threads()
    rows = measure(4, threads=[1], config=config, lengths=(60, 200))
    assert torch.get_num_threads() == before
    assert [row["path"] for row in rows[:4]] == ["authors' loop", "float32", "bfloat16", "int8"]
    assert [row["reads"] for row in rows[4:]] == ["333 of 60 bp", "100 of 200 bp"]
    assert float(rows[1]["largest difference"]) < 1e-4
    assert all(float(row["least cosine"]) > 0.99 for row in rows[:4])

    monkeypatch.setattr(transformer_speed, "measure", lambda n, **_: rows)
    assert transformer_speed.main(["-o", str(tmp_path / "speed.csv")]) == 0
    with (tmp_path / "speed.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(rows)
