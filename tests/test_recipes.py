"""The recipes of docs/recipes run, each on one machine, and give the rows of a single process."""

import importlib.util
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from dnaembed import DNABertSEmbedder
from dnaembed.backbones import load_backbone
from dnaembed.datasets import load_demo_reads, save_demo_reads
from dnaembed.io import read_embeddings
from tests.helpers import processes
from tests.helpers.random_models import random_profile

RECIPES = Path(__file__).parent.parent / "docs" / "recipes"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """Two files of reads, and their embeddings by identifier."""
    folder = tmp_path_factory.mktemp("reads")
    demo = load_demo_reads()
    reads = {f"read-{i}": sequence for i, sequence in enumerate(demo.sequences)}
    lines = [f">{name}\n{sequence}\n" for name, sequence in reads.items()]
    files = [folder / "one.fa", folder / "two.fa"]
    files[0].write_text("".join(lines[:250]))
    files[1].write_text("".join(lines[250:]))
    (folder / "all.fa").write_text("".join(lines))
    rows = DNABertSEmbedder(cache=None).fit_transform(list(reads.values()))
    return files, folder / "all.fa", list(reads), rows


def needs(module):
    missing = importlib.util.find_spec(module) is None
    return pytest.mark.skipif(missing, reason=f"{module} is not installed")


COMMAND = Path(sys.executable).parent / "dnaembed"
shell = pytest.mark.skipif(
    shutil.which("bash") is None or not COMMAND.exists(),
    reason="needs bash, and the command dnaembed in the environment of this Python",
)


def run(command, **variables):
    path = f"{COMMAND.parent}{os.pathsep}{os.environ['PATH']}"
    processes.run(*command, PATH=path, OMP_NUM_THREADS="1", **variables)


def check(path, expected):
    """Compare the rows of a file of `embed`, or of a folder of Parquet, with those expected."""
    if path.is_dir():
        pandas = pytest.importorskip("pandas", reason="needs pandas and pyarrow")
        table = pandas.read_parquet(path).set_index("id")["embedding"]
        assert len(table) == len(expected[2])
        rows = np.stack(list(table[expected[2]]))
    else:
        ids, rows = read_embeddings(path)
        assert list(ids) == expected[2]
    assert rows == pytest.approx(expected[3], abs=1e-5)


@needs("distributed")
def test_dask(expected, tmp_path):
    run([sys.executable, RECIPES / "dask_embed.py", tmp_path / "x.npy", expected[1]])
    check(tmp_path / "x.npy", expected)


@needs("ray")
def test_ray(expected, tmp_path):
    command = [sys.executable, RECIPES / "ray_embed.py", tmp_path / "out", 2, *expected[0]]
    run(command, RAY_AUTH_MODE="disabled", RAY_USAGE_STATS_ENABLED="0")
    check(tmp_path / "out", expected)


@needs("pyspark")
@pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java")
def test_spark(expected, tmp_path):
    home = Path(importlib.util.find_spec("pyspark").origin).parent
    submit = [home / "bin" / "spark-submit", "--master", "local[2]"]
    command = [*submit, RECIPES / "spark_embed.py", tmp_path / "out", *expected[0]]
    run(command, PYSPARK_PYTHON=sys.executable, SPARK_HOME=str(home))
    check(tmp_path / "out", expected)


@shell
def test_slurm_array(expected, tmp_path):
    # What Slurm sets in the tasks of an array.
    for index in (2, 1, 3):
        run(
            ["bash", RECIPES / "slurm_embed.sh", expected[1], tmp_path / "parts"],
            SLURM_ARRAY_TASK_ID=str(index),
            SLURM_ARRAY_TASK_COUNT="3",
            SLURM_CPUS_PER_TASK="2",
        )
    parts = (tmp_path / "parts").glob("*.npy")
    run([sys.executable, "-m", "dnaembed", "merge", tmp_path / "x.npy", *parts])
    check(tmp_path / "x.npy", expected)


@shell
def test_a_process_for_each_gpu(expected, tmp_path):
    script = ["bash", RECIPES / "gpus_embed.sh", expected[1], tmp_path / "x.npy", 2]
    with pytest.raises(AssertionError, match=r"model .no/such/model/here. not found"):
        run([*script, "--model", "no/such/model/here"])
    assert not (tmp_path / "x.npy").exists()
    run([*script, "--device", "cpu"])
    check(tmp_path / "x.npy", expected)


def test_factorised_matrices(tmp_path):
    save_demo_reads(tmp_path / "demo")
    sizes = {"k": [2, 3], "hidden_size": 12, "intermediate_size": 12, "deep_size": 4}
    whole = random_profile(0, **sizes, linear_size=3)
    whole.save(tmp_path / "whole")
    command = [sys.executable, RECIPES / "factorise.py", tmp_path / "demo" / "genomes"]
    reads = load_demo_reads().sequences[:20]
    rows = DNABertSEmbedder(str(tmp_path / "whole")).fit_transform(reads)
    for rank, tolerance in ((12, 1e-4), (3, 0.7)):
        output = str(tmp_path / f"rank-{rank}")
        run([*command, "--model", tmp_path / "whole", "--rank", rank, "-o", output])
        found = load_backbone(output)
        assert found.model.config.rank == rank
        np.testing.assert_allclose(
            DNABertSEmbedder(output).fit_transform(reads), rows, atol=tolerance
        )
    assert found.n_parameters < whole.n_parameters
    assert not np.allclose(DNABertSEmbedder(output).fit_transform(reads), rows, atol=1e-4)
