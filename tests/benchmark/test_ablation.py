"""The ablation on toy genomes: every loss is run, rows are kept, a killed run goes on."""

import csv

import numpy as np
import pytest

from dnaembed.benchmark import ablation

RECIPE = """
[model]
k = [3]
hidden_size = 8
intermediate_size = 8
deep_size = 4
[pairs]
min_length = 100
max_length = 300
[training]
n_steps = 3
batch_size = 6
[linear]
size = 2
"""


@pytest.fixture
def genomes(tmp_path):
    folder = tmp_path / "genomes"
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows = ["path\tlabel\tdomain\tsplit\tgenus\tphylum"]
    for i in range(7):
        bases = "".join(rng.choice(list("ACGT"), 200_000, p=rng.dirichlet(np.full(4, 5.0))))
        (folder / f"{i}.fa").write_text(f">g{i}\n{bases}\n")
        rows.append(f"{i}.fa\tspecies {i}\tbacteria\t{'train' if i < 4 else 'dev'}\tg{i}\tp")
    (folder / "catalog.tsv").write_text("\n".join(rows) + "\n")
    return folder


def test_rows_and_going_on(tmp_path, genomes, monkeypatch):
    recipe, output = tmp_path / "r.toml", tmp_path / "out" / "ablation.csv"
    recipe.write_text(RECIPE)
    losses = ["weighted_simclr", "mi_mix"]
    arguments = [str(genomes), "--config", str(recipe), "-o", str(output), "--losses", *losses]
    assert ablation.main([*arguments, "--seeds", "0"]) == 0
    first = output.read_text()
    rows = list(csv.DictReader(first.splitlines()))
    assert [row["loss"] for row in rows] == losses
    assert all(-1 <= float(row["ari clean"]) <= 1 for row in rows)
    assert all(0 <= float(row["f1@1"]) <= 1 for row in rows)
    assert {row["ari viruses"] for row in rows} == {""}  # there are none

    def trained(*args, **kwargs):
        raise AssertionError("trained again")

    monkeypatch.setattr(ablation, "ContrastiveTrainer", trained)
    assert ablation.main([*arguments, "--seeds", "0"]) == 0
    assert output.read_text() == first
    with pytest.raises(AssertionError, match="trained again"):
        ablation.main([*arguments, "--seeds", "0", "1"])
