"""Killed at random moments, work goes on: nothing lost, nothing doubled, nothing half-written."""

import multiprocessing
import os
import random
import time

import numpy as np
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Bunch

from dnaembed import DNABertSEmbedder
from dnaembed.benchmark import benchmark
from dnaembed.composition import kmer_counts
from dnaembed.embedding import _files
from dnaembed.embedding._cache import open_cache
from dnaembed.io import read_embeddings
from dnaembed.utils._atomic import atomic_output
from tests.helpers.dna import random_dna

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="needs kill -9")]

N_KILLS = 20
LONGEST = 3.0  # seconds until a kill
# Seconds that slow work takes: more than all runs that are killed may, so that no machine is done.
SLOW = 1.2 * N_KILLS * LONGEST


@pytest.fixture(scope="module")
def spawn():
    """Start functions in processes that have imported everything but computed nothing."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["dnaembed.embedding._files", "dnaembed.training", __name__])
    first = context.Process(target=os.getpid)  # waits for the imports
    first.start()
    first.join()
    assert first.exitcode == 0
    return context.Process


def kill_at_random(spawn, target, args, *, is_done, seed=0):
    """Run a function again and again, each time killed; return the kills it took to be done.

    The function is told whether to be slow, `SLOW` seconds in all: it is until the last kill.
    """
    rng = random.Random(seed)
    kills = 0
    while not is_done():
        slow = kills < N_KILLS
        process = spawn(target=target, args=(*args, slow))
        process.start()
        process.join(rng.uniform(0, LONGEST) if slow else None)
        if process.exitcode is None:
            process.kill()
            process.join()
            kills += 1
        else:
            assert process.exitcode == 0
        process.close()
    return kills


PART_BASES = 2000
N_PARTS = 200


def embed(path, output, n_jobs, slow):
    _files.PART_BASES = PART_BASES
    embed_strands = _files.embed_strands

    def embed_slowly(*args):
        time.sleep(n_jobs * SLOW / N_PARTS)
        return embed_strands(*args)

    if slow:
        _files.embed_strands = embed_slowly
    DNABertSEmbedder(device="cpu", n_jobs=n_jobs).embed_file(path, output)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_embed_survives_kills(tmp_path, spawn, n_jobs):
    sequences = random_dna(2000)
    path = tmp_path / "x.fa"
    path.write_text("".join(f">r{i}\n{s}\n" for i, s in enumerate(sequences)))
    assert sum(map(len, sequences)) > N_PARTS * PART_BASES
    output = tmp_path / "x.npy"
    parts = tmp_path / "x.npy.parts"
    given, done = (path, output, n_jobs), lambda: output.exists() and not parts.exists()
    assert kill_at_random(spawn, embed, given, is_done=done) == N_KILLS
    ids, rows = read_embeddings(output)
    assert ids == [f"r{i}" for i in range(2000)]
    expected = DNABertSEmbedder(device="cpu", cache=None).fit_transform(sequences)
    np.testing.assert_allclose(rows, expected, atol=2e-6)


def train(folder, slow):
    from tests.helpers.toys import ToySource, make_trainer

    class SlowSource(ToySource):
        def sample(self, *args):
            if slow:
                time.sleep(SLOW / 400)
            return super().sample(*args)

    options = {"n_steps": 400, "checkpoint_every": 2, "budget": 900}
    trainer = make_trainer(folder, dropout=0.2, source=SlowSource(), **options)
    trainer.train(resume=True).save(folder / "model")


class SlowCounts(TransformerMixin, BaseEstimator):
    """Dinucleotides, each embedder by another scale; takes its time until the last kill."""

    seconds = 0.0

    def __init__(self, scale=1):
        self.scale = scale

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        time.sleep(SlowCounts.seconds)
        return self.scale * kmer_counts(X, 2)


def run_benchmark(folder, slow):
    folder.mkdir(exist_ok=True)
    SlowCounts.seconds = SLOW / 60 if slow else 0
    result = benchmark(
        {"reads": Bunch(sequences=random_dna(60), labels=np.repeat(["a", "b", "c"], 20))},
        {f"{scale}": SlowCounts(scale) for scale in range(1, 61)},
        protocols=["clustering"],
        cache=folder / "cache",
    )
    frame = result.to_frame()
    with atomic_output(folder / "scores.json") as beside:
        frame[frame["protocol"] == "clustering"].to_json(beside)


@pytest.mark.parametrize(
    ("work", "output"), [(train, "model/model.safetensors"), (run_benchmark, "scores.json")]
)
def test_training_and_benchmark_survive_kills(tmp_path, spawn, work, output):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    process = spawn(target=work, args=(whole, False))
    process.start()
    is_done = (parts / output.split("/")[0]).exists
    assert kill_at_random(spawn, work, (parts,), is_done=is_done) == N_KILLS
    process.join()
    assert (whole / output).read_bytes() == (parts / output).read_bytes()


def fill_cache(folder, offset):
    cache = open_cache(folder)
    for i in range(offset, offset + 100_000):
        value = i % 5000
        cache.put({b"%016d" % value: np.full(64, value, dtype=np.float32)})


def test_the_disk_cache_survives_kills_of_two_writers(tmp_path, spawn):
    folder = tmp_path / "cache"
    rng = random.Random(0)
    n_found = 0
    for _ in range(N_KILLS // 2):
        writers = [spawn(target=fill_cache, args=(folder, i * 2500)) for i in range(2)]
        for process in writers:
            process.start()
        time.sleep(rng.uniform(0.3, 1.5))
        for process in writers:
            process.kill()
            process.join()
        found = open_cache(folder).get([b"%016d" % i for i in range(5000)], 64)
        assert all((row == np.full(64, int(key))).all() for key, row in found.items())
        assert len(found) >= n_found  # what was there stays
        n_found = len(found)
    assert n_found
