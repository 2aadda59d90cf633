"""The scripts of docs/benchmarks run on tiny inputs and write tables like those of the docs."""

import io

import numpy as np
import pytest
import torch

from dnaembed import KmerEmbedder, reverse_complement
from dnaembed.backbones import DnaBertConfig
from dnaembed.composition import kmer_counts
from dnaembed.datasets import load_demo_reads
from dnaembed.embedding._engine import EmbedOptions, embed_sequences
from dnaembed.io import iter_sequences
from dnaembed.training import ContrastiveFineTuner
from tests.helpers.benchmarks import BENCHMARKS, load_benchmark
from tests.helpers.random_models import SIZES, random_profile
from tests.helpers.toys import read_rows as table

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
"""
SCRIPTS = sorted(path.stem for path in BENCHMARKS.glob("[a-z]*.py"))


@pytest.fixture(scope="module")
def genomes(tmp_path_factory):
    """Made-up species of as many genera, told apart by how often they use each base."""
    folder = tmp_path_factory.mktemp("genomes")
    rng = np.random.default_rng(0)
    rows = ["path\tlabel\tdomain\tsplit\tgenus\tphylum"]
    for i in range(12):
        genome = "".join(rng.choice(list("ACGT"), 150_000, p=rng.dirichlet(np.full(4, 3.0))))
        (folder / f"{i}.fa").write_text(f">g{i}\n{genome}\n")
        split = "train" if i < 4 else "dev"
        rows.append(f"{i}.fa\tspecies {i}\tbacteria\t{split}\tg{i}\tp")
    (folder / "catalog.tsv").write_text("\n".join(rows) + "\n")
    return folder


def committed_columns(name):
    return list(table(BENCHMARKS.parent / "results" / name)[0])


@pytest.mark.parametrize("name", SCRIPTS)
def test_help_names_the_script(name, capsys):
    with pytest.raises(SystemExit):
        load_benchmark(name).main(["--help"])
    assert "--output" in capsys.readouterr().out


def test_ablation_continues(genomes, tmp_path, monkeypatch):
    ablation = load_benchmark("ablation")
    recipe, output = tmp_path / "r.toml", tmp_path / "ablation.csv"
    recipe.write_text(RECIPE)
    arguments = [str(genomes), "--config", str(recipe), "-o", str(output)]
    arguments += ["--losses", "weighted_simclr", "mi_mix", "--seeds", "0"]
    assert ablation.main(arguments) == 0
    first, rows = output.read_text(), table(output)
    assert list(rows[0]) == committed_columns("ablation.csv")
    assert all(-1 <= float(row["ari clean"]) <= 1 for row in rows)
    monkeypatch.setattr(ablation, "ContrastiveTrainer", None)
    assert ablation.main(arguments) == 0  # nothing is trained again
    assert output.read_text() == first


def test_binning_coverage(genomes, tmp_path):
    script = load_benchmark("binning_coverage")
    path = tmp_path / "coverage.csv"
    options = ["--seeds", "0", "--species", "3", "-o", str(path)]
    assert script.main([str(genomes), *options]) == 0
    rows = table(path)
    assert list(rows[0]) == committed_columns("binning_coverage.csv")
    assert [row["samples"] for row in rows] == ["0", "1", "3", "5", "10", "1", "3", "5", "10"]
    truth, lengths = np.array(list("aabbc")), np.array([6, 4, 9, 1, 5])
    assert script.recovered(truth, np.array([0, 0, 1, -1, 1]), lengths) == [1, 1, 1]
    assert script.recovered(truth, np.array([0, 0, 1, -1, -1]), lengths) == [2, 2, 1]


def test_decisions(genomes, tmp_path):
    decisions = load_benchmark("decisions")
    tables = decisions.measure(genomes, KmerEmbedder(k=3), seeds=[0], n_reads=14)
    for name, rows in zip(("binning.csv", "novelty.csv"), tables, strict=True):
        decisions._write(tmp_path / name, rows)
        assert list(table(tmp_path / name)[0]) == committed_columns(name)
    known = np.arange(100.0)
    assert decisions.separation(known, known + 100) == {"auroc": "1.000", "fpr95": "0.000"}
    right = np.array([True, True, False, False])
    assert decisions.calibration_error(np.ones(4), right) == pytest.approx(0.5)


def test_fine_tuning_continues(genomes, tmp_path):
    fine_tuning = load_benchmark("fine_tuning")
    random_profile(k=[2], hidden_size=8, deep_size=4).save(tmp_path / "model")
    output = tmp_path / "fine_tuning.csv"

    def run(tuner):
        options = {"seeds": [0], "n_reads": 8, "n_repeats": 1, "model": str(tmp_path / "model")}
        return fine_tuning.run_fine_tuning(genomes, output, fine_tuner=tuner, **options)

    rows = run(ContrastiveFineTuner(n_steps=2, batch_size=4, min_reads=0))
    assert table(output) == rows == run("not used again")
    assert list(rows[0]) == committed_columns("fine_tuning.csv")
    codes = np.repeat([0, 1, 2], 7)
    known = fine_tuning.labelled_reads(codes, 5, seed=3)
    assert np.bincount(codes[known]).tolist() == [5, 5, 5]
    with pytest.raises(ValueError, match="5 shots leave nothing to test on: a species has 5"):
        fine_tuning.labelled_reads(codes[2:], 5, seed=3)


def test_the_loop_counts_as_the_compiled_counter():
    reads = ["ACGTTGCANNACGTAAGT", "ACG", "TTTTTTTT"]
    expected = KmerEmbedder(method="raw", dtype="float64").fit_transform(reads)
    loop = load_benchmark("embedder_speed").python_loop_tnf
    assert loop(reads) == pytest.approx(expected, abs=1e-12)


CLUSTERING = ["--kmeans-rows", "800", "--bin-rows", "0", "--only", ": K-means"]


@pytest.mark.slow  # several processes
@pytest.mark.parametrize(
    ("script", "name", "options"),
    [
        ("embedder_speed", "speed_embedders.csv", ["--reads", "4", "--repeats", "1"]),
        ("file_speed", "speed_files.csv", ["--reads", "40", "--repeats", "1", "--stream", "1"]),
        ("clustering_speed", "speed_clusters.csv", CLUSTERING),
        ("peer_speed", "speed_peers.csv", ["--only", "peers", "--bases", "100000"]),
    ],
)
def test_speed_of_tiny_inputs(script, name, options, tmp_path):
    assert load_benchmark(script).main(["-o", str(tmp_path / name), *options]) == 0
    rows = table(tmp_path / name)
    assert list(rows[0]) == committed_columns(name)
    if script == "file_speed":
        # bfloat16 only where the processor multiplies it
        cases = {row["case"] for row in rows} | {"embed_file in bfloat16"}
        assert cases == set(load_benchmark(script)._WORK)
    if script == "clustering_speed":
        assert [row["rows"] for row in rows] == ["400", "800", "100"]


def test_files_are_read_to_the_end():
    file_speed = load_benchmark("file_speed")
    records = list(iter_sequences(file_speed.GeneratedReads(1000, 70)))
    assert [name for name, _ in records] == [f"read_{i}" for i in range(1000)]
    assert {len(sequence) for _, sequence in records} == {70}
    for work in file_speed._WORK.values():
        source = io.BytesIO(b">a\nACGTACGT\n>b\nGGGATTACA\n")
        source.name = "reads"
        work(source)
        assert source.closed or source.read() == b""


@pytest.mark.parametrize("peer", ["authors_loop", "padded_batches"])
def test_peers_embed_as_ours(peer, tiny_dnabert, reads):
    ours = embed_sequences(tiny_dnabert, reads, EmbedOptions())
    rows = getattr(load_benchmark("transformer_speed"), peer)(tiny_dnabert, reads)
    assert rows == pytest.approx(ours, abs=1e-5)


def test_transformer_speed():
    speed = load_benchmark("transformer_speed")
    config = DnaBertConfig(vocab_size=32, **SIZES)
    rows = speed.measure(4, threads=[1], config=config, lengths=(60, 200))
    assert [row["path"] for row in rows[:3]] == ["authors' loop", "padded batches", "float32"]
    assert all(float(row["largest difference"]) < 1e-4 for row in rows[1:3])
    assert list(speed._COLUMNS) == committed_columns("speed_transformer.csv")
    assert set(rows[2]) == set(speed._COLUMNS)


def test_gpu_script_on_the_cpu(tiny_dnabert_folder, tmp_path, capsys):
    gpu, output = load_benchmark("gpu"), tmp_path / "gpu.csv"
    options = ["--device", "cpu", "--model", tiny_dnabert_folder, "--megabases", "0.002"]
    assert gpu.main(["-o", str(output), *options, "--lengths", "200", "--repeats", "1"]) == 0
    rows = table(output)
    assert len(rows) == 2 + len(gpu.CASES)
    assert all(float(row["least cosine"]) > 0.99 and not row["note"] for row in rows[1:])
    with pytest.raises(SystemExit):
        gpu.main(["-o", str(output), "--device", "cuda:99"])
    assert "cuda:99" in capsys.readouterr().err


def test_speed_runs_each_part(tmp_path, monkeypatch):
    speed, commands = load_benchmark("speed"), []
    monkeypatch.setattr(speed.subprocess, "run", lambda command, check: commands.append(command))
    assert speed.main(["-o", str(tmp_path), "--only", "files"]) == 0
    script, _, output = commands[0][1:]
    assert script == str(BENCHMARKS / "file_speed.py")
    assert output == str(tmp_path / "speed_files.csv")
    assert "torch" in (tmp_path / "speed_machine.txt").read_text()
    assert {f"{part}.py" for part in speed.PARTS.values()} <= {p.name for p in BENCHMARKS.iterdir()}


def test_rivals():
    rivals = load_benchmark("_rivals")
    z1, z2 = torch.tensor([[0.0], [2.0]]), torch.tensor([[1.0], [2.0]])
    # Distances squared: positives 1 and 0, negatives 4 (0 to 2) and 1 (2 to 1).
    negative = -(np.log(1 - np.exp(-4)) + np.log(1 - np.exp(-1))) / 2
    loss = rivals.bernoulli_loss(z1, z2, torch.tensor([0, 1]), 3.0)
    assert float(loss) == pytest.approx((0.5 + 3 * negative) / 4, rel=1e-5)
    reads = load_demo_reads().sequences
    basis = rivals.tnf_k_basis(4)
    assert basis.T @ basis == pytest.approx(np.eye(103), abs=1e-12)
    # Of a circular molecule all laws hold exactly, so that the basis spans its frequencies.
    circles = [read + read[:3] for read in ("ACGTTGCATTGAC", "TTTACCGACG")]
    counts = kmer_counts([*circles, *map(reverse_complement, circles)], 4, canonical=False)
    frequencies = (counts[:2] + counts[2:]) / (2 * counts[:2].sum(axis=1, keepdims=True)) - 1 / 256
    assert frequencies @ basis @ basis.T == pytest.approx(frequencies, abs=1e-12)
    rows = rivals.TnfK().fit_transform([*reads[:9], "NNN"])
    others = rivals.TnfK().transform(list(map(reverse_complement, reads[:9])))
    assert rows[:9] == pytest.approx(others, abs=1e-6)
    assert not rows[9].any()


def test_words_of_two_letters():
    search = load_benchmark("search")
    sequence = "ACGTTGCATTGACCAGTCCA"
    swapped = sequence.translate(str.maketrans("AG", "GA"))  # both purines
    three = [sequence, reverse_complement(sequence), swapped]
    purines, amines = (search.word_counts(three, letters) for letters in ("AG", "AC"))
    for counts in (purines, amines):
        np.testing.assert_array_equal(counts[0], counts[1])
        assert counts[0].sum() == sum(len(sequence) - k + 1 for k in range(6, 11))
    np.testing.assert_array_equal(purines[0], purines[2])
    assert (amines[0] != amines[2]).any()


@pytest.mark.slow
def test_changes_of_the_search(genomes, tmp_path):
    search = load_benchmark("search")
    store = search.open_store(tmp_path / "store", [genomes])
    genera = search.genera_of([genomes], store.labels)
    assert genera.tolist() == [0, 1, 2, 3]
    reads = ["ACGTTGCATTGACCA" * 50, "GGGGCATCATTTACG" * 40]
    for name in list(search.CHANGES)[:7]:
        change = search.CHANGES[name]
        how = {"seed": 0, "steps": 1, "teacher": "kmer-profile-1"}
        backbone = search.train(store, genera, change, **how)
        rows = embed_sequences(backbone, reads, EmbedOptions())
        other = [reverse_complement(read) for read in reads]
        assert rows.shape == (2, 128)
        np.testing.assert_allclose(
            embed_sequences(backbone, other, EmbedOptions()), rows, atol=1e-5
        )
