"""``dnaembed train``: from a folder of genomes to a model, with interruptions."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from dnaembed.backbones import load_backbone
from dnaembed.cli import main
from dnaembed.training import TrainingConfig
from dnaembed.training._recipe import DEFAULTS, merge_recipes, read_recipe

DNABERT = """
[model]
architecture = "dnabert"
vocab_size = 16
hidden_size = 8
num_hidden_layers = 1
num_attention_heads = 2
intermediate_size = 8
"""
RECIPE = """
[model]
architecture = "kmer_profile"
k = [3]
hidden_size = 16
intermediate_size = 16
deep_size = 8
linear_size = 4

[pairs]
min_length = 100
max_length = 300
error_rate = [0.0, 0.05]
error_model = { substitution = 1.0, insertion = 0.0, deletion = 0.0 }

[training]
n_steps = 6
batch_size = 8
checkpoint_every = 2
log_every = 1
"""


@pytest.fixture(scope="module")
def genomes(tmp_path_factory):
    """Eight species of two genomes; the last three are of another split."""
    folder = tmp_path_factory.mktemp("data") / "genomes"
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows = ["path\tlabel\tdomain\tsplit"]
    for species in range(8):
        chain = rng.dirichlet(np.ones(4), 4).cumsum(1)
        for strain in range(2):
            letters, state = [], 0
            for u in rng.random(1500):
                state = min(3, int(np.searchsorted(chain[state], u)))
                letters.append("ACGT"[state])
            name = f"s{species}_{strain}.fa"
            (folder / name).write_text(f">{name}\n{''.join(letters)}\n")
            rows.append(f"{name}\tspecies {species}\tx\t{'train' if species < 5 else 'dev'}")
    (folder / "catalog.tsv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    return path


def train(genomes, output, *options):
    return main(["train", str(genomes), "-o", str(output), "--device", "cpu", "-q", *options])


def error_of(capsys):
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    return lines[0]


def test_a_run_leaves_a_model_and_its_history(tmp_path, genomes, recipe):
    run = tmp_path / "run"
    options = ["--config", str(recipe), "--split", "train", "--validation-split", "dev"]
    assert train(genomes, run, *options, "--eval-every", "3", "--seed", "4") == 0
    assert {path.name for path in run.iterdir()} == {
        *("best", "checkpoints", "genomes", "log.csv", "model", "recipe.json", "start"),
        *("training.json", "validation-genomes", "validation.csv"),
    }
    assert len((run / "log.csv").read_text().splitlines()) == 7
    assert len((run / "validation.csv").read_text().splitlines()) == 3
    config = TrainingConfig.from_dict(json.loads((run / "training.json").read_text())["config"])
    assert (config.n_steps, config.eval_every, config.seed) == (6, 3, 4)
    index = json.loads((run / "genomes" / "index.json").read_text())
    assert index["labels"] == [f"species {i}" for i in range(5)]
    before, after = load_backbone(run / "start"), load_backbone(run / "model")
    assert before.model.config.k == after.model.config.k
    assert before.fingerprint() != after.fingerprint()
    assert after.fingerprint() == load_backbone(run / "best" / "model").fingerprint()
    # The result is a model like any other.
    reads = str(genomes / "s0_0.fa")
    assert main(["embed", reads, "-o", str(tmp_path / "x.npy"), "--model", str(run / "model")]) == 0
    assert np.load(tmp_path / "x.npy").shape == (1, 12)


def test_interrupted_and_resumed_gives_the_same_bytes(tmp_path, genomes, recipe, monkeypatch):
    options = ["--config", str(recipe), "--split", "train"]
    assert train(genomes, tmp_path / "whole", *options) == 0

    from dnaembed.training import ContrastiveTrainer

    update = ContrastiveTrainer._update

    def stop(self, prepared):
        if self.step == 5:
            raise KeyboardInterrupt
        return update(self, prepared)

    monkeypatch.setattr(ContrastiveTrainer, "_update", stop)
    assert train(genomes, tmp_path / "parts", *options) == 130
    assert not (tmp_path / "parts" / "model").exists()
    monkeypatch.undo()
    assert train(genomes, tmp_path / "parts", *options, "--resume") == 0
    files = [tmp_path / run / "model" / "model.safetensors" for run in ("whole", "parts")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_transformer_from_scratch_and_from_a_model(tmp_path, genomes):
    recipe = tmp_path / "recipe.json"
    sizes = {"vocab_size": 32, "hidden_size": 16, "num_hidden_layers": 2}
    sizes |= {"num_attention_heads": 4, "intermediate_size": 16}
    pairs = {"min_length": 50, "max_length": 100}
    training = {"n_steps": 2, "batch_size": 4}
    recipe.write_text(json.dumps({"model": sizes, "pairs": pairs, "training": training}))
    options = ["--config", str(recipe)]
    assert train(genomes, tmp_path / "one", *options, "--architecture", "dnabert") == 0
    one = load_backbone(tmp_path / "one" / "model")
    assert one.model.config.num_hidden_layers == 2
    start = ["--model", str(tmp_path / "one" / "model"), "--learning-rate", "0"]
    # The model has its own sizes, and those of the recipe do not matter.
    assert train(genomes, tmp_path / "two", *options, *start, "--budget", "60") == 0
    weights = [
        load_file(tmp_path / name / "model" / "model.safetensors") for name in ("one", "two")
    ]
    assert all(weights[0][name].equal(weights[1][name]) for name in weights[0])


def test_none_in_toml(tmp_path):
    (tmp_path / "r.toml").write_text('[training]\nhead_size = "none"\n')
    assert read_recipe(tmp_path / "r.toml") == {"training": {"head_size": None}}


def test_linear_part_and_precision_of_the_result(tmp_path, genomes, recipe):
    text = RECIPE.replace("linear_size = 4", "linear_size = 0")
    recipe.write_text(f'{text}\n[linear]\nsize = 3\nn_batches = 2\n[output]\ndtype = "float16"\n')
    run = tmp_path / "run"
    assert train(genomes, run, "--config", str(recipe), "--split", "train") == 0
    before, after = load_backbone(run / "start"), load_backbone(run / "model")
    assert after.embedding_size == before.embedding_size + 3
    assert after.model.linear.any()
    weights = load_file(run / "model" / "model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}


def test_labels_in_place_of_a_catalogue(tmp_path, genomes, recipe):
    table = tmp_path / "labels.tsv"
    table.write_text("s0_0.fa\ta\ns1_0.fa\tb\n" + "".join(f"s{i}_1.fa\tc{i}\n" for i in range(5)))
    assert train(genomes, tmp_path / "run", "--config", str(recipe), "--labels", str(table)) == 0
    index = json.loads((tmp_path / "run" / "genomes" / "index.json").read_text())
    assert index["labels"][:2] == ["a", "b"]
    assert len(index["labels"]) == 7


def test_a_run_is_not_overwritten(tmp_path, genomes, recipe, capsys):
    run = tmp_path / "run"
    options = ["--config", str(recipe)]
    assert train(genomes, run, *options, "--steps", "2") == 0
    assert train(genomes, run, *options, "--steps", "2") == 1
    assert "holds a run; resume it, or use another folder" in error_of(capsys)
    assert train(genomes, run, *options, "--steps", "2", "--resume") == 1
    assert "holds a run that is complete: see" in error_of(capsys)
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    assert train(genomes, other, *options) == 1
    assert "holds something else than a run" in error_of(capsys)
    assert [path.name for path in other.iterdir()] == ["notes.txt"]


def test_resuming_with_other_values_is_refused(tmp_path, genomes, recipe, capsys):
    run = tmp_path / "run"
    options = ["--config", str(recipe)]
    assert train(genomes, run, *options) == 0
    (run / "model").rename(tmp_path / "gone")
    assert train(genomes, run, *options, "--resume", "--seed", "1") == 1
    assert "was begun with other values of seed" in error_of(capsys)
    assert train(genomes, run, *options, "--resume", "--temperature", "0.1") == 1
    assert "other values of ['temperature']" in error_of(capsys)
    assert train(genomes, run, *options, "--resume", "--workers", "2") == 0
    weights = [load_file(f / "model.safetensors") for f in (run / "model", tmp_path / "gone")]
    assert all(weights[0][name].equal(weights[1][name]) for name in weights[0])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "r.toml",
            "[model]\narchitecture = 'lstm'",
            "architecture must be one of dnabert, kmer_profile, ",
        ),
        ("r.toml", "[model]\nlayers = 3", "Unknown parameters of the model ['layers']; there are"),
        (
            "r.toml",
            "[model]\npath = 'x'\nsize = 3",
            "A model that exists takes no sizes, got ['size']",
        ),
        (
            "r.toml",
            f"{DNABERT}[linear]\nsize = 3",
            "Only a k-mer profile model has a linear part",
        ),
        ("r.toml", "[pairs]\nlength = 3", "Unknown parameters of pairs ['length']; there are"),
        ("r.toml", "[training]\nlr = 3", "Unknown training parameters ['lr']; there are"),
        ("r.toml", "[linear]\nwidth = 3", "Unknown parameters of the linear part ['width']; there"),
        ("r.toml", "[output]\ndtype = 'int8'", "output takes a dtype out of ['bfloat16', 'float16"),
        ("r.toml", "[train]\nx = 1", "r.toml: unknown sections ['train']; there are"),
        ("r.toml", "x = 1", "r.toml: a recipe has sections"),
        ("r.toml", "x = ", "r.toml: Invalid value"),
        ("r.json", "{", "r.json: Expecting property name"),
        ("r.json", "[]", "r.json: a recipe has sections"),
        ("r.yaml", "", "r.yaml: a recipe is a .toml or a .json file"),
    ],
)
def test_wrong_recipes(tmp_path, genomes, capsys, name, text, message):
    (tmp_path / name).write_text(text)
    assert train(genomes, tmp_path / "run", "--config", str(tmp_path / name)) == 1
    assert message in error_of(capsys)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model", "x", "--architecture", "dnabert"], "give one of --model, --architecture"),
        (["--config", "nowhere.toml"], "nowhere.toml: No such file"),
        (["--split", "nowhere"], "No genomes found in"),
    ],
)
def test_wrong_options(tmp_path, genomes, capsys, options, message):
    assert train(genomes, tmp_path / "run", *options) == 1
    assert message in capsys.readouterr().err


def test_later_recipes_win():
    one = {"model": {"architecture": "dnabert", "hidden_size": 8}, "training": {"n_steps": 3}}
    merged = merge_recipes(DEFAULTS, one, {"training": {"batch_size": 2}})
    assert merged["model"] == {"architecture": "dnabert", "hidden_size": 8}
    assert merged["training"]["n_steps"] == 3
    assert merged["training"]["batch_size"] == 2
    assert DEFAULTS["training"]["batch_size"] == 256
    assert merge_recipes(DEFAULTS, {"model": {"path": "x"}})["model"] == {"path": "x"}


def test_recipes_in_both_languages_are_the_same(tmp_path, recipe):
    content = read_recipe(recipe)
    (tmp_path / "recipe.json").write_text(json.dumps(content))
    assert read_recipe(tmp_path / "recipe.json") == content


@pytest.mark.slow
def test_torchrun_trains_what_one_process_trains(tmp_path, genomes, recipe):
    # Each process draws its own dropout; all else is that of the whole batch.
    recipe.write_text(RECIPE.replace("[pairs]", "dropout = 0.0\n[pairs]"))
    options = ["--config", str(recipe), "--device", "cpu", "--validation-split", "dev"]
    options += ["--split", "train", "--eval-every", "3", "--seed", "4"]
    assert train(genomes, tmp_path / "one", *options) == 0
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command = ["-m", "dnaembed", "train", str(genomes), "-o", str(tmp_path / "two"), *options]
    done = subprocess.run(
        [*torchrun, "--nproc-per-node", "2", *command],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    # Both processes took part, one wrote, and the model is that of one process but for rounding.
    runs = [tmp_path / name for name in ("one", "two")]
    names = [sorted(path.name for path in run.iterdir()) for run in runs]
    assert names[0] == names[1]
    for table in ("log.csv", "validation.csv"):
        lines = [(run / table).read_text().splitlines() for run in runs]
        assert len(lines[0]) == len(lines[1])
        columns = lines[0][0].split(",")
        for name in ("loss", "gradient_norm", "validation_loss"):
            if name in columns:
                i = columns.index(name)
                one, two = ([float(line.split(",")[i]) for line in rows[1:]] for rows in lines)
                assert two == pytest.approx(one, rel=1e-4)
    one, two = (load_file(run / "model" / "model.safetensors") for run in runs)
    start = load_file(tmp_path / "one" / "start" / "model.safetensors")
    assert any(not tensor.equal(start[name]) for name, tensor in one.items())
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-3, atol=1e-5)
