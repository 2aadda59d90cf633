"""`train_model` and ``dnaembed train``: from genomes to a model, with interruptions."""

import json
import warnings
from itertools import product

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from dnaembed.backbones import load_backbone
from dnaembed.cli import main
from dnaembed.training import ContrastiveTrainer, TrainingConfig, train_model
from dnaembed.training._recipe import DEFAULTS, merge_recipes, read_recipe
from tests.helpers.processes import run_python
from tests.helpers.toys import ToySource

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
    source = ToySource(n_species=8, length=(1500, 1501))
    rng = np.random.default_rng(0)
    rows = ["path\tlabel\tdomain\tsplit"]
    for species, strain in product(range(8), range(2)):
        name = f"s{species}_{strain}.fa"
        (folder / name).write_text(f">{name}\n{source._read(rng, species)}\n")
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


def run_of(genomes, output, recipe, **options):
    return train_model(genomes, read_recipe(recipe), output, device="cpu", **options)


def same_weights(*folders):
    one, two = (load_file(folder / "model.safetensors") for folder in folders)
    return one.keys() == two.keys() and all(one[name].equal(two[name]) for name in one)


def labels_of(run):
    return json.loads((run / "genomes" / "index.json").read_text())["labels"]


def test_a_run_leaves_a_model_and_its_history(tmp_path, genomes, recipe):
    run = tmp_path / "run"
    options = ["--config", str(recipe), "--split", "train", "--validation-split", "dev"]
    recipe.write_text(RECIPE + "eval_every = 3\n")
    assert train(genomes, run, *options, "--seed", "4") == 0
    assert {path.name for path in run.iterdir()} == {
        *("best", "checkpoints", "genomes", "log.csv", "model", "recipe.json", "start"),
        *("training.json", "validation-genomes", "validation.csv"),
    }
    assert len((run / "log.csv").read_text().splitlines()) == 7
    assert len((run / "validation.csv").read_text().splitlines()) == 3
    config = TrainingConfig.from_dict(json.loads((run / "training.json").read_text())["config"])
    assert (config.n_steps, config.eval_every, config.seed) == (6, 3, 4)
    assert labels_of(run) == [f"species {i}" for i in range(5)]
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
    assert same_weights(tmp_path / "whole" / "model", tmp_path / "parts" / "model")


def test_several_folders_with_a_catalogue_each(tmp_path, genomes, recipe, capsys):
    """Genomes of one label are of one species wherever they lie; what is too short is counted."""
    more = tmp_path / "more"
    more.mkdir()
    for name, n in (("a", 90), ("b", 90), ("short", 3)):
        (more / f"{name}.fa").write_text(f">{name}\n{'ACGTTGCATTAG' * n}\n")
    rows = ["path\tlabel\tdomain\tsplit", "a.fa\tspecies 0\tx\ttrain", "b.fa\tnew\tx\ttrain"]
    (more / "catalog.tsv").write_text("\n".join([*rows, "short.fa\tshort\tx\ttrain"]) + "\n")
    with pytest.warns(UserWarning, match="1 of 13 genomes have no sequence of at least 500 bases"):
        run_of([genomes, more], tmp_path / "run", recipe, split="train", validation_split="dev")
    assert labels_of(tmp_path / "run") == [*(f"species {i}" for i in range(5)), "new"]
    before = json.loads((tmp_path / "run" / "recipe.json").read_text())
    assert before["genomes"] == [str(genomes), str(more)]
    options = ["--config", str(recipe), "--steps", "1"]
    with warnings.catch_warnings(action="default"):
        assert train(genomes, tmp_path / "two", str(more), *options) == 0
    assert "1 of 19 genomes have no sequence" in capsys.readouterr().err
    assert labels_of(tmp_path / "two")[-1] == "new"


def test_a_folder_that_is_not_there_is_named(tmp_path, genomes, recipe):
    missing = tmp_path / "nowhere"
    with pytest.raises(FileNotFoundError, match=f"{missing}: folder not found"):
        run_of([genomes, missing], tmp_path / "run", recipe)
    with pytest.raises(ValueError, match=f"No genomes found in {genomes} with split 'x'"):
        run_of(genomes, tmp_path / "run", recipe, split="x")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        ("linear", {"size": 5000}, "The linear part can have .* columns"),
        ("linear", {"size": 2, "weight": -1}, "linear_weight"),
        ("linear", {"size": "2"}, "size must be a number, got the text '2'"),
        ("training", {"n_steps": "20"}, "n_steps must be a number, got the text '20'"),
        ("pairs", {"min_length": "9"}, "min_length must be a number, got the text '9'"),
        ("model", {"hiden_size": 9}, "Did you mean 'hidden_size'"),
    ],
)
def test_a_refused_recipe_leaves_no_folder(tmp_path, genomes, recipe, section, values, message):
    wrong = read_recipe(recipe)
    wrong[section] = wrong.get(section, {}) | values
    with pytest.raises(ValueError, match=message):
        train_model(genomes, wrong, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_one_species_is_not_enough(tmp_path, genomes):
    one = tmp_path / "one"
    one.mkdir()
    (one / "a.fa").write_text(f">a\n{'ACGTTGCATTAG' * 90}\n")
    with pytest.raises(ValueError, match=r"two species are needed .* genomes are of"):
        train_model(one, None, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_transformer_from_scratch_and_from_a_model(tmp_path, genomes):
    sizes = {"vocab_size": 32, "hidden_size": 16, "num_hidden_layers": 2}
    sizes |= {"num_attention_heads": 4, "intermediate_size": 16, "architecture": "dnabert"}
    recipe = {"model": sizes, "pairs": {"min_length": 50, "max_length": 100}}
    recipe["training"] = {"n_steps": 2, "batch_size": 4, "budget": 60}
    one = train_model(genomes, recipe, tmp_path / "one", device="cpu")
    assert one.model.config.num_hidden_layers == 2
    (tmp_path / "recipe.json").write_text(json.dumps(recipe))
    # The model has its own sizes, and those of the recipe do not matter.
    options = ["--config", str(tmp_path / "recipe.json"), "--learning-rate", "0"]
    options += ["--model", str(tmp_path / "one" / "model")]
    assert train(genomes, tmp_path / "two", *options) == 0
    assert same_weights(tmp_path / "one" / "model", tmp_path / "two" / "model")


def test_linear_part_and_precision_of_the_result(tmp_path, genomes, recipe):
    text = RECIPE.replace("linear_size = 4", "linear_size = 0")
    recipe.write_text(f'{text}\n[linear]\nsize = 3\nn_batches = 2\n[output]\ndtype = "float16"\n')
    run = tmp_path / "run"
    after = run_of(genomes, run, recipe, split="train")
    before = load_backbone(run / "start")
    assert after.embedding_size == before.embedding_size + 3
    assert after.model.linear.any()
    weights = load_file(run / "model" / "model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}


def test_a_run_is_neither_overwritten_nor_resumed_with_other_values(tmp_path, genomes, recipe):
    run = tmp_path / "run"
    run_of(genomes, run, recipe)
    for resume in (False, True):
        with pytest.raises(FileExistsError, match="holds a run that is complete: see"):
            run_of(genomes, run, recipe, resume=resume)
    with pytest.raises(FileNotFoundError, match="The model of this run is "):
        load_backbone(run)
    (run / "model").rename(tmp_path / "gone")
    with pytest.raises(FileExistsError, match=r"holds a run; give resume \(--resume\)"):
        run_of(genomes, run, recipe)
    with pytest.raises(ValueError, match="was begun with other values of seed"):
        run_of(genomes, run, recipe, resume=True, seed=1)
    options = ["--config", str(recipe), "--resume"]
    assert train(genomes, run, *options, "--batch-size", "4") == 1
    recipe.write_text(RECIPE + "n_workers = 2\n")
    assert train(genomes, run, *options) == 0
    assert same_weights(run / "model", tmp_path / "gone")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="holds something other than a run"):
        run_of(genomes, tmp_path / "other", recipe)
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        ("model", {"architecture": "lstm"}, "architecture must be one of dnabert, kmer_profile"),
        ("model", {"layers": 3}, r"Unknown parameters of the model \['layers'\]. There are"),
        ("model", {"path": "x", "size": 3}, r"A model that exists takes no sizes, got \['size'\]"),
        ("pairs", {"length": 3}, r"of pairs \['length'\]. Did you mean 'min_length'"),
        ("training", {"lr": 3}, r"Unknown training parameters \['lr'\]. There are"),
        ("linear", {"width": 3}, r"Unknown parameters of the linear part \['width'\]. There"),
        ("output", {"dtype": "int8"}, r"output takes a dtype out of \['bfloat16', 'float16'"),
        ("linear", {"size": 3}, "Only a k-mer profile model has a linear part"),
    ],
)
def test_wrong_values(tmp_path, genomes, tiny_dnabert_folder, section, values, message):
    recipe = {"model": {"path": tiny_dnabert_folder}, section: values}
    with pytest.raises(ValueError, match=message):
        train_model(genomes, recipe, tmp_path / "run", device="cpu")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("r.toml", "[train]\nx = 1", r"unknown sections \['train'\]; there are"),
        ("r.toml", "x = 1", "a recipe has sections"),
        ("r.toml", "x = ", "Invalid value"),
        ("r.json", "{", "Expecting property name"),
        ("r.json", "[]", "a recipe has sections"),
        ("r.yaml", "", "a recipe is a .toml or a .json file"),
    ],
)
def test_wrong_files(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=f"{name}: {message}"):
        read_recipe(tmp_path / name)


def test_errors_take_one_line(tmp_path, genomes, capsys):
    assert train(genomes, tmp_path / "run", "--model", "x", "--architecture", "dnabert") == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "give one of --model, --architecture" in line


def test_later_recipes_win():
    one = {"model": {"architecture": "dnabert", "hidden_size": 8}, "training": {"n_steps": 3}}
    merged = merge_recipes(DEFAULTS, one, {"training": {"batch_size": 2}})
    assert merged["model"] == {"architecture": "dnabert", "hidden_size": 8}
    assert merged["training"]["n_steps"] == 3
    assert merged["training"]["batch_size"] == 2
    assert DEFAULTS["training"]["batch_size"] == 256
    assert merge_recipes(DEFAULTS, {"model": {"path": "x"}})["model"] == {"path": "x"}


def test_recipes_in_both_languages_are_the_same(tmp_path, recipe):
    recipe.write_text(RECIPE + 'head_size = "none"\n')
    content = read_recipe(recipe)
    assert content["training"]["head_size"] is None
    (tmp_path / "recipe.json").write_text(json.dumps(content))
    assert read_recipe(tmp_path / "recipe.json") == content


@pytest.mark.slow
def test_torchrun_trains_what_one_process_trains(tmp_path, genomes, recipe):
    # Each process draws its own dropout; all else is that of the whole batch.
    recipe.write_text(RECIPE.replace("[pairs]", "dropout = 0.0\n[pairs]") + "eval_every = 3\n")
    options = ["--config", str(recipe), "--device", "cpu", "--validation-split", "dev"]
    options += ["--split", "train", "--seed", "4"]
    assert train(genomes, tmp_path / "one", *options) == 0
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = ["-m", "dnaembed", "train", genomes, "-o", tmp_path / "two", *options]
    run_python(*torchrun, *command, OMP_NUM_THREADS="1")
    # One wrote, and the model is that of one process but for rounding.
    runs = [tmp_path / name for name in ("one", "two")]
    names = [sorted(path.name for path in run.iterdir()) for run in runs]
    assert names[0] == names[1]
    assert not same_weights(runs[0] / "start", runs[0] / "model")
    one, two = (load_file(run / "model" / "model.safetensors") for run in runs)
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-3, atol=1e-5)
