"""The measurement of fine-tuning on toy genomes: honest shots, rows kept, a killed run goes on."""

import csv

import numpy as np
import pytest
import torch

from dnaembed.backbones import KmerProfileBackbone, KmerProfileConfig, KmerProfileModel
from dnaembed.benchmark import fine_tuning
from dnaembed.benchmark._rows import write_rows
from dnaembed.training import ContrastiveFineTuner


class SpyingFineTuner(ContrastiveFineTuner):
    """Notes how many reads and which labels it is given."""

    seen: list = []  # noqa: RUF012

    def fine_tune(self, backbone, X, y=None, *, random_state=None):
        self.seen.append((set(X), None if y is None else sorted(y)))
        return super().fine_tune(backbone, X, y, random_state=random_state)


@pytest.fixture
def genomes(tmp_path):
    folder = tmp_path / "genomes"
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows = ["path\tlabel\tdomain\tsplit\tgenus\tphylum"]
    for i in range(3):
        bases = "".join(rng.choice(list("ACGT"), 120_000, p=rng.dirichlet(np.full(4, 5.0))))
        (folder / f"{i}.fa").write_text(f">g{i}\n{bases}\n")
        rows.append(f"{i}.fa\tspecies {i}\tbacteria\tdev\tg{i}\tp")
    (folder / "catalog.tsv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture
def model(tmp_path):
    with torch.random.fork_rng():
        torch.random.manual_seed(0)
        network = KmerProfileModel(KmerProfileConfig(k=[2], hidden_size=8, deep_size=4))
    KmerProfileBackbone(network.eval()).save(tmp_path / "model")
    return str(tmp_path / "model")


def test_rows_and_going_on(tmp_path, genomes, model, monkeypatch):
    output = tmp_path / "out" / "fine_tuning.csv"
    tuner = SpyingFineTuner(n_steps=2, batch_size=4, min_reads=0)
    SpyingFineTuner.seen.clear()

    def run(*seeds):
        return fine_tuning.run_fine_tuning(
            genomes, output, model=model, seeds=seeds, n_reads=8, n_repeats=1, fine_tuner=tuner
        )

    rows = run(0)
    assert [row["set"] for row in rows] == ["clean", "errors", "short"]  # there are no viruses
    assert list(csv.DictReader(output.read_text().splitlines())) == rows
    for row in rows:
        assert all(-1 <= float(row[name]) <= 1 for name in ("ari", "ari adapted"))
        assert all(0 <= float(row[name]) <= 1 for name in ("f1@5", "f1@5 fine-tuned"))
    # Adapted without labels to all reads; fine-tuned on the labelled ones alone.
    for (everything, nothing), (shots, labels) in zip(
        SpyingFineTuner.seen[::2], SpyingFineTuner.seen[1::2], strict=True
    ):
        assert nothing is None
        assert labels == [0] * 5 + [1] * 5 + [2] * 5
        assert shots < everything

    first = output.read_text()
    run(0)
    assert len(SpyingFineTuner.seen) == 6
    assert output.read_text() == first
    assert [row["seed"] for row in run(0, 1)] == ["0"] * 3 + ["1"] * 3


def test_known_reads_are_not_tested():
    codes = np.repeat([0, 1, 2], 7)
    known = fine_tuning.labelled_reads(codes, 5, seed=3)
    assert np.bincount(codes[known]).tolist() == [5, 5, 5]
    assert len(set(known.tolist())) == 15
    rows = np.eye(3, dtype=np.float32)[codes]
    assert fine_tuning.few_shot_f1(rows, codes, known) == 1.0
    # Wrong rows of known reads only: these do not count as errors of the others.
    wrong = rows.copy()
    wrong[np.setdiff1d(np.arange(21), known)] = rows[0]
    assert fine_tuning.few_shot_f1(wrong, codes, known) == pytest.approx(1 / 6)
    with pytest.raises(ValueError, match="5 shots leave nothing to test on: a species has 5"):
        fine_tuning.labelled_reads(codes[2:], 5, seed=3)


def test_command(tmp_path, genomes, model):
    output = tmp_path / "fine_tuning.csv"
    rows = [dict.fromkeys(fine_tuning.COLUMNS, "0") | {"set": s} for s in fine_tuning._SETS]
    write_rows(output, fine_tuning.COLUMNS, rows)
    before = output.read_text()
    arguments = [str(genomes), "-o", str(output), "--model", model, "--seeds", "0"]
    assert fine_tuning.main(arguments) == 0
    assert output.read_text() == before
