import csv
import io

import numpy as np
import pytest

from dnaembed.benchmark import file_speed
from dnaembed.io import iter_sequences


def test_generated_reads_are_a_fasta_of_the_size_asked_for():
    records = list(iter_sequences(file_speed.GeneratedReads(1000, 70)))
    assert [name for name, _ in records] == [f"read_{i}" for i in range(1000)]
    assert {len(sequence) for _, sequence in records} == {70}
    assert file_speed.GeneratedReads(0, 70).read() == b""


@pytest.mark.parametrize("name", file_speed._WORK)
def test_every_case_reads_its_input_to_the_end(name):
    source = io.BytesIO(b">a\nACGTACGT\n>b\nGGGATTACA\n")
    source.name = "reads"
    file_speed._WORK[name](source)
    assert source.closed or source.read() == b""


@pytest.mark.slow
def test_every_case_is_timed(tmp_path):
    output = tmp_path / "speed.csv"
    arguments = ["-o", str(output), "--reads", "40", "--repeats", "1", "--stream", "1"]
    assert file_speed.main(arguments) == 0
    rows = list(csv.DictReader(output.read_text().splitlines()))
    assert {row["case"] for row in rows} == set(file_speed._WORK)
    assert rows[0]["times the loop"] == "1"
    for column in ("seconds", "megabases per second", "peak megabytes"):
        assert all(np.isfinite(float(row[column])) for row in rows)
