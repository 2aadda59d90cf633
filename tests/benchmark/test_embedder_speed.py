import csv

import numpy as np
import pytest

from dnaembed import KmerEmbedder
from dnaembed.benchmark import embedder_speed as speed


def test_the_loop_gives_what_the_compiled_counter_gives():
    reads = ["ACGTTGCANNACGTAAGT", "ACG", "TTTTTTTT"]
    expected = KmerEmbedder(method="raw", dtype="float64").fit_transform(reads)
    assert speed.python_loop_tnf(reads) == pytest.approx(expected, abs=1e-12)


@pytest.mark.slow
def test_every_embedder_is_timed(tmp_path):
    output = tmp_path / "speed.csv"
    assert speed.main(["-o", str(output), "--reads", "4", "--repeats", "1"]) == 0
    rows = list(csv.DictReader(output.read_text().splitlines()))
    assert len(rows) == 5
    assert rows[0]["times the loop"] == "1"
    assert all(np.isfinite(float(row["seconds"])) for row in rows)
