"""Embedding in other processes: the same rows, the model once in each, no silence when one dies."""

import os
import pickle
import signal
from pathlib import Path
from unittest.mock import MagicMock

import joblib
import numpy as np
import pytest
from joblib.externals.loky.process_executor import TerminatedWorkerError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline

from dnaembed import DNABertSEmbedder
from dnaembed.backbones import _load, load_backbone, shared_backbone
from dnaembed.embedding import _engine
from dnaembed.embedding._engine import EmbedOptions, ModelName, embed_sequences, refer
from tests.helpers.dna import random_dna


class Shifted:
    """A fine-tuner that changes the weights a little, so that they are those of no folder."""

    def fine_tune(self, backbone, sequences, y=None, *, random_state=None):
        for tensor in backbone.model.state_dict().values():
            tensor += 0.01
        return backbone

    def get_params(self, deep=True):
        return {}


class Recording(DNABertSEmbedder):
    """Notes which process embedded how many sequences with which model."""

    def _compute(self, backbone, options, sequences, places):
        with Path(os.environ["DNAEMBED_TEST_NOTES"]).open("a") as notes:
            notes.write(f"{os.getpid()} {id(backbone)} {len(sequences)}\n")
        return super()._compute(backbone, options, sequences, places)


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(_engine, "_LEAST_CHUNK_BASES", 500)


def elsewhere(reference):
    """What another process gets of it."""
    return pickle.loads(pickle.dumps(reference))


# What is sent


def reference_to(folder, backbone=None, **name):
    return refer(backbone or shared_backbone(folder), ModelName(folder, **name), device="cpu")


def test_a_pretrained_model_is_sent_by_name_and_loaded_once(tiny_dnabert_folder, monkeypatch):
    backbone = shared_backbone(tiny_dnabert_folder)
    reference = reference_to(tiny_dnabert_folder)
    assert len(pickle.dumps(reference)) < 2000
    monkeypatch.setattr(_load, "_shared", type(_load._shared)())  # as in a new process
    opened = [elsewhere(reference).open() for _ in range(3)]
    assert opened[0] is not backbone
    assert opened[0].fingerprint() == backbone.fingerprint()
    assert opened[0] is opened[1] is opened[2]


def test_another_model_under_the_same_name_is_refused(tiny_dnabert, tmp_path):
    tiny_dnabert.save(tmp_path / "model")
    backbone = load_backbone(tmp_path / "model")
    reference = reference_to(tmp_path / "model", backbone, local_files_only=True)
    (tmp_path / "model").rename(tmp_path / "old")
    other = load_backbone(tmp_path / "old")
    other.model.embeddings.word_embeddings.weight.data[5] += 1
    other.save(tmp_path / "model")
    with pytest.raises(ValueError, match=r"model '.*model' is another one on the worker "):
        elsewhere(reference).open()


def test_a_relative_folder_is_found_from_elsewhere(tiny_dnabert_folder, tmp_path, monkeypatch):
    folder = Path(tiny_dnabert_folder)
    (folder.parent / "default").mkdir(exist_ok=True)  # the bundled model is meant all the same
    monkeypatch.chdir(folder.parent)
    references = [reference_to(name) for name in (folder.name, "default")]
    monkeypatch.chdir(tmp_path)
    for reference in references:
        assert elsewhere(reference).open().fingerprint() == reference.fingerprint


def test_a_fine_tuned_model_is_not_sent_and_the_error_says_what_to_do(tiny_dnabert_folder, reads):
    embedder = DNABertSEmbedder(tiny_dnabert_folder, cache=None, fine_tuner=Shifted(), n_jobs=2)
    rows = embedder.fit(reads).transform(reads)
    with joblib.parallel_config(backend="loky"):
        with pytest.raises(ValueError, match=r"\(save_model\).* folder as model.* n_jobs=1"):
            embedder.transform(reads)
        assert embedder.set_params(n_jobs=1).transform(reads) == pytest.approx(rows, abs=1e-5)


# joblib


def test_backends_that_return_all_at_once(tiny_dnabert, reads):
    rows = embed_sequences(tiny_dnabert, reads, EmbedOptions())
    with joblib.parallel_config(backend="sequential"):
        assert (embed_sequences(tiny_dnabert, reads, EmbedOptions(), n_jobs=2) == rows).all()


@pytest.mark.slow
def test_processes_give_the_rows_of_threads(tiny_dnabert_folder, small_chunks, monkeypatch):
    reads = random_dna(40)
    embedder = DNABertSEmbedder(model=tiny_dnabert_folder, cache=None, n_jobs=2, strand="both")
    embedder.fit(reads)
    rows = embedder.transform(reads)
    bar = MagicMock()
    monkeypatch.setattr(_engine, "progress", bar)
    with joblib.parallel_config(backend="loky"):
        assert (embedder.transform(reads) == rows).all()
    updates = [call.args[0] for call in bar.return_value.__enter__.return_value.update.mock_calls]
    assert sum(updates) == bar.call_args.kwargs["total"] == len(reads)
    assert len(updates) > 2


def die_once(model, sequences, options, n_threads, work=_engine._embed_task):
    """Kill the process if a file says so, which is taken away."""
    if "DNAEMBED_TEST_KILL" in os.environ:
        file = Path(os.environ["DNAEMBED_TEST_KILL"])
        if file.exists():
            file.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
    return work(model, sequences, options, n_threads)


@pytest.mark.slow
def test_a_killed_process_is_an_error_and_the_next_call_works(
    tiny_dnabert_folder, reads, small_chunks, tmp_path, monkeypatch
):
    embedder = DNABertSEmbedder(tiny_dnabert_folder, cache=None, n_jobs=2).fit(reads)
    rows = embedder.transform(reads)
    monkeypatch.setenv("DNAEMBED_TEST_KILL", str(tmp_path / "kill"))
    monkeypatch.setattr(_engine, "_embed_task", die_once)
    (tmp_path / "kill").touch()
    # Settings of the environment reach new processes only.
    joblib.externals.loky.get_reusable_executor().shutdown()
    with joblib.parallel_config(backend="loky", n_jobs=2):
        with pytest.raises(TerminatedWorkerError, match="unexpectedly terminated"):
            embedder.transform(reads)
        assert (embedder.transform(reads) == rows).all()


@pytest.mark.slow
def test_folds_in_processes_load_and_embed_once_in_each(tiny_dnabert_folder, tmp_path, monkeypatch):
    reads = random_dna(30)
    y = np.arange(30) % 2
    monkeypatch.setenv("DNAEMBED_TEST_NOTES", str(tmp_path / "notes"))
    pipeline = make_pipeline(Recording(model=tiny_dnabert_folder), LogisticRegression())
    # Settings of the environment reach new processes only.
    joblib.externals.loky.get_reusable_executor().shutdown()
    cross_val_score(pipeline, reads, y, cv=3, n_jobs=2, error_score="raise")
    grid = {"logisticregression__C": [0.1, 1.0, 10.0]}
    search = GridSearchCV(pipeline, grid, cv=3, n_jobs=2, error_score="raise", refit=False)
    search.fit(reads, y)
    notes = [line.split() for line in (tmp_path / "notes").read_text().splitlines()]
    processes = {pid for pid, _, _ in notes}
    assert str(os.getpid()) not in processes
    for process in processes:
        assert len({model for pid, model, _ in notes if pid == process}) == 1
        # Twelve fits over all, and the cache of the process has each read embedded once.
        assert sum(int(n) for pid, _, n in notes if pid == process) <= len(reads)


# Dask


@pytest.fixture(scope="module")
def client():
    distributed = pytest.importorskip("distributed", reason="needs dask[distributed]")
    quiet = {"dashboard_address": None, "silence_logs": "CRITICAL"}
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, **quiet)
    with cluster, distributed.Client(cluster) as client:
        yield client


def count_loads():
    """In a worker: begin to count how often a model is made."""
    load_folder = _load.load_folder

    def count(*args):
        count.calls += 1
        return load_folder(*args)

    count.calls = 0
    _load.load_folder = count


def loads():
    return _load.load_folder.calls


@pytest.mark.slow
def test_dask_gives_the_rows_of_threads_and_loads_once_a_worker(
    client, tiny_dnabert, tmp_path, small_chunks
):
    tiny_dnabert.save(tmp_path / "model")  # not loaded by any worker before
    reads = random_dna(60)
    embedder = DNABertSEmbedder(model=tmp_path / "model", cache=None, n_jobs=2).fit(reads)
    rows = embedder.transform(reads)
    client.run(count_loads)
    with joblib.parallel_config(backend="dask"):
        assert (embedder.transform(reads) == rows).all()
        assert (embedder.transform(reads[::-1]) == rows[::-1]).all()
    assert list(client.run(loads).values()) == [1, 1]


@pytest.mark.slow
def test_dask_is_sent_no_large_message(client):
    # Dask warns of messages from 10 MB on, and here a warning is an error.
    reads = ["ACGT" * 2_500] * 1200
    backbone, name = shared_backbone("default"), ModelName("default")
    with joblib.parallel_config(backend="dask"):
        rows = embed_sequences(backbone, reads, EmbedOptions(), name=name)
    # To the bit only in batches of one size: a matrix product may depend on its number of rows.
    np.testing.assert_allclose(rows, np.broadcast_to(rows[0], rows.shape), atol=1e-6)


def fall_ill():
    """In a worker: die at the next chunk."""

    def die(*args):
        os.kill(os.getpid(), signal.SIGKILL)

    _engine.embed_strands = die


@pytest.mark.slow
@pytest.mark.parametrize("n_killed", [1, 2])
def test_dask_goes_on_when_workers_die(client, tiny_dnabert_folder, small_chunks, n_killed):
    reads = random_dna(60)
    embedder = DNABertSEmbedder(model=tiny_dnabert_folder, cache=None, n_jobs=2).fit(reads)
    rows = embedder.transform(reads)
    client.wait_for_workers(2)  # those that another test killed may take long to come back
    pids = client.run(os.getpid)
    client.run(fall_ill, workers=list(pids)[:n_killed])
    with joblib.parallel_config(backend="dask"):
        assert (embedder.transform(reads) == rows).all()
    assert len(set(pids.values()) & set(client.run(os.getpid).values())) == 2 - n_killed
