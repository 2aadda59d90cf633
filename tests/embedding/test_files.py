"""Files of any size: the rows are those of `transform`, whatever happens on the way."""

import io
from pathlib import Path

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from dnaembed import DNABertSEmbedder
from dnaembed.cli import main
from dnaembed.embedding import _files
from dnaembed.io import SequenceFileError, read_embeddings
from dnaembed.io._parts import PartedEmbeddings
from dnaembed.training import ContrastiveFineTuner
from tests.helpers.commands import fasta
from tests.helpers.dna import random_dna


@pytest.fixture(autouse=True)
def many_small_parts(monkeypatch):
    monkeypatch.setattr(_files, "PART_BASES", 1500)


def write_fasta(path, sequences):
    return Path(fasta(path, [f"r{i}" for i in range(len(sequences))], sequences))


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("default", {"window_size": 100}),
        ("default", {"n_jobs": 2, "normalize": True, "batch_tokens": 3}),
        ("tiny", {}),
        ("tiny", {"n_jobs": 2, "strand": "both"}),
        ("tiny", {"window_size": 90}),
    ],
)
def test_rows_are_those_of_transform(tmp_path, tiny_dnabert_folder, model, options):
    sequences = random_dna(60, alphabet="ACGTN")
    model = tiny_dnabert_folder if model == "tiny" else model
    embedder = DNABertSEmbedder(model, device="cpu", cache=None, **options)
    path = write_fasta(tmp_path / "x.fa", sequences)
    rows = embedder.embed_file(path, tmp_path / "x.npy")
    assert isinstance(rows, np.memmap)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, embedder.fit_transform(sequences), atol=2e-6)
    assert read_embeddings(tmp_path / "x.npy")[0] == [f"r{i}" for i in range(60)]


def test_float16_and_streams(tmp_path):
    sequences = random_dna(20)
    path = write_fasta(tmp_path / "x.fa", sequences)
    embedder = DNABertSEmbedder(device="cpu")
    rows = embedder.embed_file(path, tmp_path / "x.npy")
    half = embedder.embed_file(io.BytesIO(path.read_bytes()), tmp_path / "h.npy", dtype="float16")
    assert half.dtype == np.float16
    np.testing.assert_allclose(half, rows, atol=1e-3)
    twice = embedder.embed_file([path, path], tmp_path / "t.npy", duplicate_ids="allow")
    np.testing.assert_allclose(twice, np.vstack([rows, rows]), atol=1e-6)


def test_nothing_is_embedded_twice(tmp_path, monkeypatch):
    sequences, done, embed_strands = random_dna(60), [], _files.embed_strands

    def stopping(backbone, part, options):
        done.extend(part)
        if len(done) in (20, 41):
            raise KeyboardInterrupt
        return embed_strands(backbone, part, options)

    path = write_fasta(tmp_path / "x.fa", sequences)
    monkeypatch.setattr(_files, "embed_strands", stopping)
    monkeypatch.setattr(_files, "PART_BASES", 1)
    embedder = DNABertSEmbedder(device="cpu", n_jobs=1, cache=None)
    for n_done in (20, 41):
        with pytest.raises(KeyboardInterrupt):
            embedder.embed_file(path, tmp_path / "x.npy")
        assert len(done) == n_done
    rows = embedder.embed_file(path, tmp_path / "x.npy")
    assert done == [*sequences[:20], *sequences[19:40], *sequences[39:]]
    np.testing.assert_allclose(rows, embedder.fit_transform(sequences), atol=2e-6)


def test_a_changed_input_is_noticed(tmp_path, monkeypatch):
    sequences = random_dna(60)
    path, output = write_fasta(tmp_path / "x.fa", sequences), tmp_path / "x.npy"
    broken = path.read_text() + ">bad\nAC*GT\n"
    path.write_text(broken)
    embedder = DNABertSEmbedder(device="cpu", cache=None)
    with pytest.raises(SequenceFileError, match=r"'bad' .number 61.: '\*' at position 3"):
        embedder.embed_file(path, output)
    # The part that was done is another now; or there is less of it.
    mended = broken.replace("AC*GT", "ACGGT")
    for changed in (mended.replace("A", "C", 2), mended[:300]):
        path.write_text(changed)
        with pytest.raises(SequenceFileError, match=r"are not those that .* was made from"):
            embedder.embed_file(path, output)
    assert not output.exists()
    # A mended rest is no reason to begin again.
    path.write_text(mended)
    rows = embedder.embed_file(path, output)
    np.testing.assert_allclose(rows, embedder.fit_transform([*sequences, "ACGGT"]), atol=2e-6)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"dtype": "int8"}, ValueError, 'dtype must be "float32" or "float16"'),
        ({"duplicate_ids": "maybe"}, ValueError, 'duplicate_ids must be "error" or "allow"'),
        ({"output": "x.tsv"}, ValueError, r"ends in \.npy"),
        ({"paths": []}, ValueError, "At least one sequence file is required"),
        ({"paths": "no.fa"}, FileNotFoundError, r"no\.fa"),
        ({"embedder": {"strand": "left"}}, ValueError, "'strand' parameter"),
        ({"embedder": {"fine_tuner": ContrastiveFineTuner()}}, NotFittedError, "not fitted yet"),
    ],
)
def test_bad_parameters(tmp_path, options, error, message):
    path = write_fasta(tmp_path / "x.fa", ["ACGT"])
    output = tmp_path / options.pop("output", "x.npy")
    embedder = DNABertSEmbedder(**options.pop("embedder", {}))
    with pytest.raises(error, match=message):
        embedder.embed_file(options.pop("paths", path), output, **options)
    assert [p.name for p in tmp_path.iterdir()] == ["x.fa"]


def test_rows_and_settings_that_changed_are_noticed_by_every_command(tmp_path, monkeypatch, capsys):
    """Nothing earlier is thrown away but by --restart, and no manifest speaks for other rows."""
    path, output = write_fasta(tmp_path / "x.fa", random_dna(40)), tmp_path / "x.npy"

    def run(*words, said=""):
        status = main([str(word) for word in words])
        err = capsys.readouterr().err
        assert said in err.splitlines()[-1]
        return status

    embed = ["embed", path, "-o", output]
    path.write_text(f"{path.read_text()}>bad\nAC!T\n")
    assert run(*embed, said="record 'bad'") == 1
    write_fasta(path, random_dna(40))
    with monkeypatch.context() as patch:
        patch.setattr(PartedEmbeddings, "join", interrupted)
        assert run(*embed, said="interrupted") == 130
    kept = sorted((tmp_path / "x.npy.parts").glob("*.part"))
    assert kept
    assert run(*embed, "--dtype", "float16", said="start again with --restart") == 1
    assert sorted((tmp_path / "x.npy.parts").glob("*.part")) == kept
    assert run(*embed, "--strand", "both", "--restart") == 0
    cluster = ["cluster", "--embeddings", output, "-k", "2", "-o", tmp_path / "x.tsv"]
    assert run(*cluster) == 0
    np.save(output, np.load(output)[::-1])
    assert run(*cluster, said="part 0: its rows are not those that its manifest names") == 1
    (tmp_path / "x.manifest.json").unlink()
    assert run(*cluster) == 0


def interrupted(*_):
    raise KeyboardInterrupt
