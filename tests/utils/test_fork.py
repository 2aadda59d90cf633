"""Children that are forked from a process that computes: they compute as well, and never hang."""

import os

import pytest

from dnaembed.utils._fork import ForkedLock
from tests.helpers.processes import run_python

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

# OpenMP with two threads, as it has them on a machine with two cores.
START = """
import faulthandler, os, threading
import joblib, numpy as np
from dnaembed import DNABertSEmbedder, FewShotSpeciesClassifier, SpeciesClusterer
from dnaembed.datasets import load_demo_reads

demo = load_demo_reads()
reads, labels = demo.sequences[::8], demo.labels[::8]
rows = np.random.default_rng(0).normal(size=(3000, 50))
embedder = DNABertSEmbedder(device="cpu")
works = {
    "embed": lambda: embedder.set_params(cache=None).fit_transform(reads).shape[0] == len(reads),
    "cached": lambda: len(DNABertSEmbedder(device="cpu").fit_transform(reads)) == len(reads),
    "cluster": lambda: SpeciesClusterer(3, random_state=0).fit(rows).n_clusters_ == 3,
    "classify": lambda: set(FewShotSpeciesClassifier().fit(reads, labels).predict(reads)),
}

def children(n):
    pids = []
    for work in [*works] * n:
        pid = os.fork()
        if not pid:
            faulthandler.dump_traceback_later(60, exit=True)
            os._exit(0 if works[work]() else 1)
        pids.append(pid)
    statuses = [os.waitpid(pid, 0)[1] for pid in pids]
    assert not any(statuses), statuses
"""
STATES = {
    "imported": "children(1)",
    "used": "[work() for work in works.values()]; children(1)",
    "in use": """
def keep_busy(work):
    while True:
        work()
for work in [*works.values()] * 2:
    threading.Thread(target=keep_busy, args=(work,), daemon=True).start()
children(3)
os._exit(0)
""",
    "joblib": """
expected = embedder.fit_transform(reads)
with joblib.parallel_config(backend="multiprocessing"):
    rows = DNABertSEmbedder(device="cpu", n_jobs=2, cache=None).fit_transform(reads)
    assert np.allclose(rows, expected, atol=1e-5)
""",
}


@pytest.mark.parametrize(
    "state", ["used", *(pytest.param(s, marks=pytest.mark.slow) for s in STATES if s != "used")]
)
def test_forked_children_work(state):
    run_python("-c", START + STATES[state], OMP_NUM_THREADS="2")


@pytest.mark.parametrize("held_by_the_one_that_forks", [True, False])
def test_a_lock_is_open_in_a_child(held_by_the_one_that_forks):
    lock = ForkedLock()
    lock._lock.acquire()
    if not held_by_the_one_that_forks:
        lock._lock._release_save()
        lock._lock._acquire_restore((1, -1))  # by a thread that the child has not
    lock._renew()
    with lock:
        pass
    assert lock._lock._is_owned() == held_by_the_one_that_forks
