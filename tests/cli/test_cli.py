"""The command line, in process: outputs, exit statuses, one line on bad input."""

import gzip
import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
import pytest

from dnaembed import DNABertSEmbedder, SpeciesClusterer
from dnaembed.backbones import DnaBertConfig, KmerProfileConfig
from dnaembed.benchmark import PROTOCOLS
from dnaembed.cli import _options as options
from dnaembed.cli import main
from dnaembed.cli._bin import Binning
from dnaembed.cli._main import parser
from dnaembed.cli._train import Training, Tuning
from dnaembed.embedding import _engine, _files
from dnaembed.io import read_embeddings, read_sequences
from dnaembed.training import ContrastiveFineTuner, TrainingConfig
from dnaembed.training._recipe import DEFAULTS
from tests.helpers.commands import fails, fasta, species_like
from tests.helpers.dna import random_dna

ARCHITECTURES = [c.model_type for c in (DnaBertConfig, KmerProfileConfig)]
COMMANDS = [
    "embed", "merge", "map", "cluster", "bin", "classify", "benchmark", "train", "adapt", "convert",
    "info", "demo",
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples(command, capsys):
    assert main([command, "--help"]) == 0
    out = capsys.readouterr().out
    assert f"Usage: dnaembed {command} " in out
    assert f"examples:\n  dnaembed {'embed' if command == 'merge' else command}" in out


def test_all_take_the_shared_options():
    commands = parser().commands
    assert list(commands) == COMMANDS
    for shared, names in {
        "--quiet -q --debug": " ".join(COMMANDS),
        "--model --device --strand --seed": "embed map cluster bin classify demo",
        "--jobs -j --threads -t": "embed map cluster bin classify demo benchmark",
        "--skip-empty --allow-duplicate-ids": "embed map cluster classify benchmark adapt",
        "--skip-empty --prefix": "bin",  # its contigs need names of their own
    }.items():
        for name in names.split():
            options = {option for parameter in commands[name].params for option in parameter.opts}
            assert set(shared.split()) <= options


def test_choices_are_what_is_registered(capsys):
    for words, names in {
        "train g -o r --architecture": set(ARCHITECTURES),
        "benchmark r l -o b --protocol": set(PROTOCOLS) - {"lineage"},
    }.items():
        assert main([*words.split(), "x"]) == 2
        line = capsys.readouterr().err.splitlines()[-1]
        assert words.split()[-1] in line
        assert {name.strip("'.") for name in line.split(" is not one of ")[1].split(", ")} == names


@pytest.mark.parametrize(
    ("command", "group", "defaults"),
    [
        ("train", Training, {**asdict(TrainingConfig()), **DEFAULTS["training"]}),
        ("adapt", Tuning, ContrastiveFineTuner().get_params()),
    ],
)
def test_options_and_their_defaults_are_those_of_the_library(
    command, group, defaults, capsys, monkeypatch
):
    assert {field.name for field in fields(group)} <= set(defaults)
    assert {field.name for field in fields(Binning)} <= set(SpeciesClusterer().get_params())
    monkeypatch.setenv("COLUMNS", "200")
    assert main([command, "--help"]) == 0
    said = re.findall(r"--([a-z-]+) .*\(default: ([\w.]+)", capsys.readouterr().out)
    given = [(name, text) for name, text in said if not text.startswith(("as", "all"))]
    numbers = {name.replace("-", "_"): text for name, text in given}
    for name, text in numbers.items():
        expected = defaults.get({"steps": "n_steps"}.get(name, name), text)
        if expected not in ("auto", None):
            assert text == str(expected) or float(text) == expected, name
    assert {"steps", "batch_size", "learning_rate"} <= set(numbers)


def test_help_version_and_no_arguments(capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f" {command} " in out for command in COMMANDS)
    assert main([]) == 2
    assert capsys.readouterr().out.split() == out.split()
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("dnaembed ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("fly", ["No such command 'fly'"]),
        ("claster", ["Did you mean 'cluster'?"]),
        ("embed", ["Missing", "READS"]),
        ("embed r.fa", ["Missing option", "--output"]),
        ("bin c.fa -o x --min-bin-sise 3", ["No such option", "--min-bin-size"]),
        ("embed r.fa -o", ["dnaembed embed: error: Option", "requires an argument"]),
        ("cluster r.fa -o x -k 0", ["-k", "--n-clusters", "expected 1 or more, got 0."]),
        ("cluster r.fa -o x -k two", ["--n-clusters", "expected a whole number, got two."]),
        ("bin c.fa -o x --min-similarity 2", ["--min-similarity", "1 or less, got 2."]),
        ("embed r.fa -o x.npy --strand left", ["'--strand': 'left' is not one of", "'both'"]),
        ("embed r.fa -o x.npy --seed -1", ["--seed", "expected 0 or more, got -1."]),
        ("classify q.fa -o x", ["Missing option", "--train"]),
        ("bin c.fa -o x --resolution 0", ["--resolution", "expected 0.001 or more, got 0."]),
        (
            "bin c.fa -o x --abundance-weight all",
            ["--abundance-weight", "expected a number, got all."],
        ),
        (
            "bin c.fa -o x --abundance-weight 1.5",
            ["--abundance-weight", "expected 1 or less, got 1.5."],
        ),
        (
            "classify --train t --labels t q.fa -o x --consensus 0",
            ["--consensus", "expected 1 or more, got 0."],
        ),
        ("train g -o r --steps 0", ["--steps", "expected 1 or more, got 0."]),
        ("embed r.fa -o x --seed 4294967296", ["expected 4294967295 or less"]),
        ("adapt r.fa -o m --min-reads -1", ["--min-reads", "expected 0 or more, got -1."]),
    ],
)
def test_wrong_arguments(words, said, capsys):
    """The last line names the option, what was expected and what was given."""
    argv = words.split()
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    usage, *_, line = err.splitlines()
    command = "dnaembed" if "command" in line else f"dnaembed {argv[0]}"
    assert usage.startswith(f"Usage: {command} ")
    assert line.startswith(f"{command}: error: ")
    line = line.replace("'", "")  # versions of typer differ in them
    assert [text for text in said if text.replace("'", "") not in line] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("cluster --resolutoin 3", "Did you mean --resolution of dnaembed bin?"),
        ("map x --colour gc", "Did you mean --color?"),
        ("cluster x --N-cluster=3", "Did you mean --n-clusters?"),
        ("cluster x -K 3", "Did you mean -k?"),
        ("cluster x --out y", "Did you mean --output?"),
        ("--versoin", "Did you mean --version?"),
        ("embed x --nothing-like-it", "No such option: --nothing-like-it."),
    ],
)
def test_hint_at_the_option_that_was_meant(words, said, capsys):
    assert main(words.split()) == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith(said)


def test_commands_take_folders_and_patterns_and_name_their_files(tmp_path, model, capsys):
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("b.fa", "a.fa"):
        fasta(folder / name, [f"{name}{i}" for i in range(2)], random_dna(2))
    for place in (folder, folder / "*.fa", folder / "a.f?"):
        assert main(["embed", str(place), "-o", str(tmp_path / "x.tsv"), *model]) == 0
        names = ["a.fa0", "a.fa1", "b.fa0", "b.fa1"][: 2 if "?" in str(place) else 4]
        assert read_embeddings(tmp_path / "x.tsv")[0] == names
        for command in ("embed", "cluster -k 2", "map --method pca"):
            assert main([*command.split(), str(place), "-o", str(tmp_path / "y.tsv"), *model]) == 0
            files = "a.fa (1 of 1" if "?" in str(place) else "a.fa, b.fa (2 of 2"
            assert f"Reading from {place}: {files} files).\n" in capsys.readouterr().err
            (tmp_path / "y.tsv").rename(tmp_path / f"{len(list(tmp_path.iterdir()))}")


def test_embed_writes_rows_in_input_order(tmp_path, reads_file, model, tiny_dnabert_folder):
    expected_ids, sequences = read_sequences(reads_file)
    expected = DNABertSEmbedder(tiny_dnabert_folder, device="cpu").fit_transform(sequences)
    for suffix in (".npy", ".tsv", ".parquet"):
        assert main(["embed", reads_file, "-o", str(tmp_path / f"x{suffix}"), *model]) == 0
        ids, rows = read_embeddings(tmp_path / f"x{suffix}")
        assert ids == expected_ids
        np.testing.assert_allclose(rows, expected, atol=1e-5)
    assert (tmp_path / "x.ids.txt").read_text().splitlines() == ids


def test_embed_streams_chunks_of_bounded_size(tmp_path, reads_file, model, monkeypatch):
    assert main(["embed", reads_file, "-o", str(tmp_path / "whole.tsv"), *model]) == 0
    sizes = []
    embed_sequences = _engine.embed_sequences

    def counted(backbone, sequences, *args, **how):
        sizes.append((len(sequences), sum(map(len, sequences))))
        return embed_sequences(backbone, sequences, *args, **how)

    monkeypatch.setattr(_engine, "embed_sequences", counted)
    monkeypatch.setattr(options, "CHUNK_SEQUENCES", 5)
    monkeypatch.setattr(options, "CHUNK_BASES", 1500)
    assert main(["embed", reads_file, "-o", str(tmp_path / "pieces.tsv"), *model]) == 0
    assert len(sizes) >= 5
    assert all(n <= 5 and bases <= 1500 for n, bases in sizes)
    ids, pieces = read_embeddings(tmp_path / "pieces.tsv")
    whole_ids, whole = read_embeddings(tmp_path / "whole.tsv")
    assert ids == whole_ids
    np.testing.assert_allclose(pieces, whole, atol=1e-5)


def test_embed_options_of_reading(tmp_path, model, capsys):
    path = fasta(tmp_path / "r.fa", ["a", "b", "a"], ["ACGT" * 20, "", "GGCA" * 20])
    argv = ["embed", path, "-o", str(tmp_path / "x.npy"), *model]
    assert re.search(r"'b' \(number 2\) is empty.* --skip-empty", fails(capsys, *argv))
    line = fails(capsys, *argv, "--skip-empty")
    assert re.search("record number 1 and record number 3.* --allow-duplicate-ids", line)
    assert not (tmp_path / "x.npy").exists()
    assert main([*argv, "--skip-empty", "--allow-duplicate-ids"]) == 0
    assert read_embeddings(tmp_path / "x.npy")[0] == ["a", "a"]


@pytest.mark.parametrize("command", ["embed", "cluster", "bin"])
def test_bad_files(tmp_path, command, capsys):
    path = tmp_path / "reads.fa"
    path.write_bytes(gzip.compress(b">a\n" + b"ACGT" * 99, mtime=0)[:-9])
    output = {"embed": "x.npy", "cluster": "x.tsv", "bin": "x"}[command]
    line = fails(capsys, command, str(path), "-o", str(tmp_path / output))
    assert line.startswith(f"dnaembed {command}: error: {path} is truncated")
    assert list(tmp_path.iterdir()) == [path]


def test_bad_places(tmp_path, reads_file, model, capsys):
    absent, good = str(tmp_path / "absent.fa"), str(tmp_path / "x.npy")
    for reads, output, more, said in (
        (absent, good, (), f"{absent}: No such file or directory"),
        (reads_file, str(tmp_path / "x.docx"), (), "expected .npy, .tsv, .csv or .parquet"),
        (reads_file, good, ("--model", "no/such/model"), "no/such/model"),
        (reads_file, good, (*model[:2], "--device", "moon"), "moon"),
        (reads_file, good, (*model, "--jobs", "0"), "--jobs is 0"),
        (reads_file, str(tmp_path / "x.tsv"), ("--shard", "1/2"), "output that ends in .npy"),
        (reads_file, str(tmp_path / "x.tsv"), ("--dtype", "float16"), "output that ends in .npy"),
    ):
        assert said in fails(capsys, "embed", reads, "-o", output, *more)


def test_debug_shows_the_traceback(tmp_path, monkeypatch):
    argv = ["embed", str(tmp_path / "absent.fa"), "-o", str(tmp_path / "x.npy")]
    for setting, more in (("0", ["--debug"]), ("1", [])):
        monkeypatch.setenv("DNAEMBED_DEBUG", setting)
        with pytest.raises(FileNotFoundError):
            main([*argv, *more])
    monkeypatch.setenv("DNAEMBED_DEBUG", "0")
    assert main(argv) == 1


def test_interruption(tmp_path, reads_file, model, monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(_files, "embed_file", interrupted)
    assert main(["embed", reads_file, "-o", str(tmp_path / "x.npy"), *model]) == 130
    assert capsys.readouterr().err.endswith("dnaembed embed: interrupted\n")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["reads.fa"]


def test_messages_quiet_and_in_a_thread(reads_file, tmp_path, model, capsys):
    argv = ["embed", reads_file, "-o", str(tmp_path / "x.npy"), *model]
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(main, argv).result() == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert f"Wrote {argv[3]}: 24 x " in err
    assert main([*argv, "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_shards_merge_into_what_one_run_gives(tmp_path, model, capsys):
    reads = fasta(tmp_path / "reads.fa", [f"r{i}" for i in range(150)], random_dna(150))
    whole, merged = tmp_path / "whole.npy", tmp_path / "merged.npy"
    assert main(["embed", reads, "-o", str(whole), *model]) == 0
    parts = [str(tmp_path / f"part{i}.npy") for i in (2, 1)]
    for i, part in zip((2, 1), parts, strict=True):
        assert main(["embed", reads, "-o", part, "--shard", f"{i}/2", *model]) == 0
    assert main(["merge", str(merged), *parts]) == 0
    assert read_embeddings(merged)[0] == read_embeddings(whole)[0]
    np.testing.assert_allclose(np.load(merged), np.load(whole), atol=1e-5)
    capsys.readouterr()
    line = fails(capsys, "merge", str(merged), parts[0])
    assert "Of 2 shards, number 1 is missing; the first is " in line


def test_reads_that_are_too_few_or_too_short(tmp_path, reads_file, model, capsys):
    more = reads_file, "-o", str(tmp_path / "x"), *model
    assert "99" in fails(capsys, "cluster", "-k", "99", *more)
    said = "sequence of 2,500 bp or more is expected, but the longest of 24 has 3"
    line = fails(capsys, "bin", *more)
    assert said in line
    assert line.endswith(": lower --min-length.")  # the parameter has no name here
    assert "x.tsv would be a folder" in fails(capsys, "bin", reads_file, "-o", f"{tmp_path}/x.tsv")
    assert list(tmp_path.glob("x*")) == []


@pytest.fixture
def labelled(tmp_path):
    path = tmp_path / "known.tsv"
    path.write_text("".join(f"r{i}\tspecies {'AB'[i // 12]}\n" for i in range(24)))
    return str(path)


@pytest.fixture
def classify(tmp_path, reads_file, labelled, model):
    """Call sequences by their names; return the rows of the table, the first of them its header."""

    def run(ids, sequences, *options):
        query, output = fasta(tmp_path / "q.fa", ids, sequences), tmp_path / "calls.tsv"
        argv = ["classify", "--train", reads_file, "--labels", labelled, query, *options]
        assert main([*argv, "-o", str(output), *model]) == 0
        return [line.split("\t") for line in output.read_text().splitlines()]

    return run


def test_classify(classify, monkeypatch):
    monkeypatch.setattr(options, "CHUNK_SEQUENCES", 4)
    header, *rows = classify([f"q{i}" for i in range(10)], species_like(5, seed=1))
    assert header == ["id", "species", "probability"]
    calls = ["species A"] * 5 + ["species B"] * 5
    assert [row[:2] for row in rows] == [[f"q{i}", name] for i, name in enumerate(calls)]
    assert all(0.5 <= float(row[2]) <= 1 for row in rows)


def test_classify_unknown(classify, capsys):
    query = list("abcd"), [*species_like(1, seed=1), "GT" * 200, "GGGT" * 125]
    n_short = sum(len(sequence) < 500 for sequence in query[1])
    header, *rows = classify(*query, "--unknown", "--calibrate")
    assert f"{n_short} sequences have under 500 known bp" in capsys.readouterr().err
    assert header == ["id", "species", "probability", "confidence"]
    assert all(0 < float(row[3]) <= float(row[2]) <= 1 for row in rows)
    _, *rows = classify(*query, "--unknown", "--false-unknown-rate", "0.9")
    assert {row[1] for row in rows[2:]} <= {"unknown", "species A", "species B"}


def test_classify_by_windows(classify):
    a, b = species_like(1, low=1200, high=1201, seed=1)
    header, *rows = classify(["a", "b", "both"], [a, b, a + b], "--consensus", "400")
    assert header == ["id", "species", "probability", "agreement", "windows", "flag"]
    assert [row[4] for row in rows] == ["3", "3", "6"]
    assert [row[1] for row in rows[:2]] == ["species A", "species B"]
    assert [row[5] for row in rows] == ["", "", "possible_chimera"]


def test_classify_bad_labels(tmp_path, reads_file, labelled, model, capsys):
    def run(*options):
        output = str(tmp_path / "calls.tsv")
        argv = ["--train", reads_file, "--labels", labelled, reads_file, "-o", output]
        line = fails(capsys, "classify", *argv, *model, *options)
        assert not (tmp_path / "calls.tsv").exists()
        return line

    text = Path(labelled).read_text()
    Path(labelled).write_text(text.replace("species A", "unknown"))
    assert "unknown='unknown' is one of the species" in run("--unknown")
    Path(labelled).write_text("r0\tA\nr1\tB\n")
    assert f"{labelled}: no label for 22 of 24 sequences: 'r2', 'r3', 'r4', ..." in run()
    Path(labelled).write_text("".join(f"r{i}\tA\n" for i in range(24)))
    assert "at least 2 species are needed, got 'A' alone" in run()


def test_process_reads_standard_input_and_reports_its_status(tmp_path, model):
    argv = [sys.executable, "-m", "dnaembed", "embed", "-", "-o"]

    def run(*more, **options):
        return subprocess.run([*argv, *more], capture_output=True, cwd=tmp_path, **options)

    assert run("x.npy", *model, input=b">a\nACGTACGT\n", check=True).stdout == b""
    assert len(np.load(tmp_path / "x.npy")) == 1
    done = run("y.npy", input=b"no", check=False)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode().splitlines() == [
        "dnaembed embed: error: standard input is neither FASTA nor FASTQ: it starts with 'no', "
        "where '>' or '@' is expected."
    ]


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals and pipes")
def test_reader_of_the_output_may_leave(tmp_path, tiny_dnabert_folder):
    words = [sys.executable, "-m", "dnaembed", "info", tiny_dnabert_folder]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(words, **pipes, cwd=tmp_path)
    process.stdout.close()
    _, err = process.communicate()
    assert process.returncode == 141
    assert err == b""


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals and pipes")
# Of SIGTERM and SIGHUP.
@pytest.mark.parametrize("number", [15, pytest.param(1, marks=pytest.mark.slow)])
def test_terminated_process_leaves_nothing(tmp_path, model, number):
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "dnaembed", "embed", "-", "-o", "x.npy", *model],
        stdin=reader,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # nohup ignores SIGHUP
    )
    os.close(reader)
    os.write(writer, b">a\nACGT\n")
    while not list(tmp_path.glob("x.npy.parts/lock")):  # it has begun
        assert process.poll() is None
    process.send_signal(number)
    os.close(writer)
    process.communicate()
    assert process.returncode in (128 + number, -number)
    assert list(tmp_path.iterdir()) == []
