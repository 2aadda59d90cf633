"""Embedding in other processes: the same rows, the model once in each, no silence when one dies."""

import os
import pickle
import signal
from concurrent.futures import CancelledError
from pathlib import Path

import joblib
import numpy as np
import pytest
from joblib.externals.loky.process_executor import TerminatedWorkerError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline

from dnaembed import DNABertSEmbedder
from dnaembed.backbones import DnaBertBackbone, _load, load_backbone, shared_backbone
from dnaembed.embedding import _engine, _workers
from dnaembed.embedding._engine import EmbedOptions, embed_sequences
from dnaembed.embedding._workers import ModelReference, ModelSource
from tests.helpers.dna import random_dna


class Shifted:
    """A fine-tuner that changes the weights a little, so that they are those of no folder."""

    def fine_tune(self, backbone, sequences, y=None, *, random_state=None):
        for tensor in backbone.model.state_dict().values():
            tensor += 0.01
        return backbone

    def get_params(self, deep=True):
        return {}


class Mortal(DnaBertBackbone):
    """Kills its process wherever it finds a file, which it takes away: so often as there are."""

    folder: Path

    def featurize(self, sequences):
        for file in self.folder.glob("kill-*"):
            file.unlink(missing_ok=True)
            os.kill(os.getpid(), signal.SIGKILL)
        return super().featurize(sequences)


class Blind(DnaBertBackbone):
    """Sees the first bases only, for speed."""

    def featurize(self, sequences):
        return super().featurize([sequence[:8] for sequence in sequences])


class Recording(DNABertSEmbedder):
    """Notes which process embedded how many sequences with which model."""

    def _compute(self, backbone, sequences, options):
        with Path(os.environ["DNAEMBED_TEST_NOTES"]).open("a") as notes:
            notes.write(f"{os.getpid()} {id(backbone)} {len(sequences)}\n")
        return super()._compute(backbone, sequences, options)


class Bar:
    """Keeps what it would show."""

    def __init__(self, total):
        self.total, self.updates = total, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def update(self, n):
        self.updates.append(n)


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(_engine, "_LEAST_CHUNK_BASES", 500)


@pytest.fixture
def mortal(tiny_dnabert, tmp_path):
    backbone = Mortal(tiny_dnabert.model, tiny_dnabert.tokenizer)
    backbone.folder = tmp_path
    return backbone


def elsewhere(reference):
    """What another process gets of it."""
    return pickle.loads(pickle.dumps(reference))


# What is sent


def test_a_pretrained_model_is_sent_by_name_and_loaded_once(tiny_dnabert_folder, monkeypatch):
    backbone = shared_backbone(tiny_dnabert_folder)
    reference = ModelReference(backbone, ModelSource.pretrained(tiny_dnabert_folder, "cpu"))
    assert reference.pack() is None
    assert len(pickle.dumps(reference)) < 2000
    monkeypatch.setattr(_load, "_shared", type(_load._shared)())  # as in a new process
    opened = [elsewhere(reference).open(None) for _ in range(3)]
    assert opened[0] is not backbone
    assert opened[0].fingerprint() == backbone.fingerprint()
    assert opened[0] is opened[1] is opened[2]
    assert reference.open(None) is backbone


def test_another_model_under_the_same_name_is_refused(tiny_dnabert, tmp_path):
    tiny_dnabert.save(tmp_path / "model")
    source = ModelSource.pretrained(tmp_path / "model", "cpu", local_files_only=True)
    reference = ModelReference(load_backbone(tmp_path / "model"), source)
    reference.pack()
    (tmp_path / "model").rename(tmp_path / "old")
    other = load_backbone(tmp_path / "old")
    other.model.embeddings.word_embeddings.weight.data[5] += 1
    other.save(tmp_path / "model")
    with pytest.raises(ValueError, match=r"model '.*model' is another one on the worker "):
        elsewhere(reference).open(None)


def test_weights_are_sent_where_they_are_nowhere_else(tiny_dnabert, monkeypatch):
    monkeypatch.setattr(_workers, "_sent", type(_workers._sent)())
    reference = ModelReference(tiny_dnabert, ModelSource("cpu"))
    weights = reference.pack()
    assert weights.dtype == np.uint8
    assert len(pickle.dumps(reference)) < 2000
    opened = elsewhere(reference).open(weights)
    assert opened is not tiny_dnabert
    assert opened.fingerprint() == tiny_dnabert.fingerprint()
    assert elsewhere(reference).open(None if weights is None else weights.copy()) is opened


def test_a_relative_folder_is_found_from_elsewhere(tiny_dnabert_folder, tmp_path, monkeypatch):
    folder = Path(tiny_dnabert_folder)
    monkeypatch.chdir(folder.parent)
    reference = ModelReference(
        shared_backbone(folder.name), ModelSource.pretrained(folder.name, "cpu")
    )
    reference.pack()
    monkeypatch.chdir(tmp_path)
    assert elsewhere(reference).open(None).fingerprint()


def test_a_folder_with_the_name_of_a_bundled_model_is_not_meant(tmp_path, monkeypatch):
    (tmp_path / "default").mkdir()
    monkeypatch.chdir(tmp_path)
    reference = ModelReference(shared_backbone("default"), ModelSource.pretrained("default", "cpu"))
    reference.pack()
    assert elsewhere(reference).open(None).fingerprint() == reference.open(None).fingerprint()


# joblib


def test_backends_that_return_all_at_once(tiny_dnabert, reads):
    rows = embed_sequences(tiny_dnabert, reads, EmbedOptions())
    with joblib.parallel_config(backend="sequential"):
        assert (embed_sequences(tiny_dnabert, reads, EmbedOptions(), n_jobs=2) == rows).all()


@pytest.mark.slow
@pytest.mark.parametrize("tuner", [None, Shifted()])
def test_processes_give_the_rows_of_threads(tiny_dnabert_folder, small_chunks, monkeypatch, tuner):
    reads = random_dna(40)
    embedder = DNABertSEmbedder(
        model=tiny_dnabert_folder, cache=None, n_jobs=2, fine_tuner=tuner, strand="both"
    )
    embedder.fit(reads)
    rows = embedder.transform(reads)
    bars = []

    def progress(*, total, **kwargs):
        bars.append(Bar(total))
        return bars[0]

    monkeypatch.setattr(_engine, "progress", progress)
    with joblib.parallel_config(backend="loky"):
        assert (embedder.transform(reads) == rows).all()
    assert sum(bars[0].updates) == bars[0].total == len(reads)
    assert len(bars[0].updates) > 2


@pytest.mark.slow
def test_a_killed_process_is_an_error_and_the_next_call_works(mortal, reads, small_chunks):
    (mortal.folder / "kill-1").touch()
    with joblib.parallel_config(backend="loky", n_jobs=2):
        with pytest.raises(TerminatedWorkerError, match="unexpectedly terminated"):
            embed_sequences(mortal, reads, EmbedOptions())
        rows = embed_sequences(mortal, reads, EmbedOptions())
    assert (rows == embed_sequences(mortal, reads, EmbedOptions(), n_jobs=2)).all()


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


def test_lost_weights_are_an_error_that_says_what_to_do(tiny_dnabert, reads, monkeypatch):
    def lost(*args):
        raise CancelledError  # what Dask's error is

    monkeypatch.setattr(_engine, "embed_strands", lost)
    with pytest.raises(RuntimeError, match=r"all workers died .* \(save_model\)"):
        embed_sequences(tiny_dnabert, reads, EmbedOptions())


@pytest.fixture(scope="module")
def client():
    distributed = pytest.importorskip("distributed", reason="needs dask[distributed]")
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs="CRITICAL"
    )
    with cluster, distributed.Client(cluster) as client:
        yield client


def count_loads():
    """In a worker: begin to count how often a model is made."""
    _load.load_folder = counted(_load.load_folder)
    _workers.pickle = CountedPickle()


class CountedPickle:
    def __init__(self):
        self.loads = counted(pickle.loads)
        self.dumps = pickle.dumps


def counted(function):
    def count(*args):
        count.calls += 1
        return function(*args)

    count.calls = 0
    return count


def loads():
    found = (_load.load_folder.calls, _workers.pickle.loads.calls)
    _load.load_folder.calls = _workers.pickle.loads.calls = 0
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("tuner", "expected"), [(None, (1, 0)), (Shifted(), (0, 1))])
def test_dask_gives_the_rows_of_threads_and_loads_once_a_worker(
    client, tiny_dnabert, tmp_path, small_chunks, tuner, expected
):
    tiny_dnabert.save(tmp_path / "model")  # not loaded by any worker before
    reads = random_dna(60)
    embedder = DNABertSEmbedder(
        model=tmp_path / "model", cache=None, n_jobs=2, fine_tuner=tuner
    ).fit(reads)
    rows = embedder.transform(reads)
    client.run(count_loads)
    with joblib.parallel_config(backend="dask"):
        assert (embedder.transform(reads) == rows).all()
        assert (embedder.transform(reads[::-1]) == rows[::-1]).all()
    assert list(client.run(loads).values()) == [expected] * 2


@pytest.mark.slow
def test_dask_is_sent_no_large_message(client, tiny_dnabert):
    blind = Blind(tiny_dnabert.model, tiny_dnabert.tokenizer)
    # Dask warns of messages from 10 MB on, and here a warning is an error.
    reads = ["ACGT" * 2_500] * 1200
    with joblib.parallel_config(backend="dask"):
        rows = embed_sequences(blind, reads, EmbedOptions())
    assert (rows == rows[0]).all()


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
    pids = client.run(os.getpid)
    client.run(fall_ill, workers=list(pids)[:n_killed])
    with joblib.parallel_config(backend="dask"):
        assert (embedder.transform(reads) == rows).all()
    client.wait_for_workers(2)
    assert len(set(pids.values()) - set(client.run(os.getpid).values())) == n_killed


@pytest.mark.slow
def test_weights_that_were_sent_outlive_a_worker(client, mortal, small_chunks):
    reads = random_dna(60)
    rows = embed_sequences(mortal, reads, EmbedOptions(), n_jobs=2)
    (mortal.folder / "kill-1").touch()
    with joblib.parallel_config(backend="dask"):
        assert (embed_sequences(mortal, reads, EmbedOptions()) == rows).all()
    assert not list(mortal.folder.iterdir())
    client.wait_for_workers(2)


@pytest.mark.slow
def test_folds_on_dask(client, tiny_dnabert_folder):
    reads = random_dna(30)
    y = np.arange(30) % 2
    pipeline = make_pipeline(
        DNABertSEmbedder(model=tiny_dnabert_folder, cache=None), LogisticRegression()
    )
    scores = cross_val_score(pipeline, reads, y, cv=3, error_score="raise")
    with joblib.parallel_config(backend="dask"):
        found = cross_val_score(pipeline, reads, y, cv=3, n_jobs=2, error_score="raise")
    assert found == pytest.approx(scores)
