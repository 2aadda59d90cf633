"""What is built, installed and run from outside the checkout."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path
from unittest.mock import patch

import pytest

from tests.helpers import processes

pytestmark = pytest.mark.slow
pytest.importorskip("build", reason="building needs the extra 'dist'")
pytest.importorskip("twine", reason="checking the description needs the extra 'dist'")

ROOT = Path(__file__).resolve().parent.parent
MEGABYTE = 1_000_000
WHEEL = [
    r"dnaembed/(py\.typed|cli/page\.html|cli/demo\.txt)",
    r"dnaembed/([a-z_]+/)*[a-z0-9_]+\.py",
    r"dnaembed/models/[a-z]+\.md",
    r"dnaembed/models/[a-z0-9-]+/(README\.md|[a-z_]+\.json|model\.safetensors|recipe\.toml)",
    r"dnaembed/datasets/data/([A-Z]+\.md|demo_[a-z_]+\.(tsv|fasta\.gz|fastq\.gz))",
    r"dnaembed-[0-9.]+\.dist-info/"
    r"(METADATA|WHEEL|RECORD|entry_points\.txt|top_level\.txt|licenses/LICENSE)",
]
SDIST = [
    *WHEEL[:-1],
    r"LICENSE|PKG-INFO|README\.md|pyproject\.toml|setup\.cfg",
    r"dnaembed\.egg-info/[A-Za-z_]+(\.txt)?|dnaembed\.egg-info/PKG-INFO",
    r"tests/test_[a-z_]+\.py",  # those that setuptools adds by itself
]
SMOKE = """
import sys
import numpy as np
import dnaembed
from dnaembed import DNABertSEmbedder, FewShotSpeciesClassifier, SpeciesClusterer
from dnaembed.datasets import load_demo_reads

assert dnaembed.__file__.startswith(sys.prefix), dnaembed.__file__
reads = ["ACGGC" * 60, "ATTAT" * 60, "CCGGA" * 60, "TTATA" * 60]
assert np.isfinite(DNABertSEmbedder().fit_transform(reads)).all()
assert FewShotSpeciesClassifier().fit(reads, list("abab")).predict(reads).tolist() == list("abab")
assert SpeciesClusterer(2, random_state=0).fit(reads).n_clusters_ == 2
assert len(load_demo_reads().sequences) > 100
"""


def run(*command, cwd):
    # Not the checkout, nor what pytest put on the path.
    outside = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "COV"))}
    with patch.dict(os.environ, outside, clear=True):
        return processes.run(*command, cwd=cwd, OMP_NUM_THREADS="1").stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy: building leaves folders behind, and would pick up those of earlier builds."""
    folder = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for name in ("dnaembed", "tests"):
        ignored = shutil.ignore_patterns("__pycache__", "data" if name == "tests" else "")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    return folder


def build(source, out, *options):
    run(sys.executable, "-m", "build", "--no-isolation", *options, "-o", out, source, cwd=out)
    return sorted(out.iterdir())


@pytest.fixture(scope="module")
def built(source, tmp_path_factory):
    """The sdist, and the wheel that comes out of it."""
    wheel, sdist = build(source, tmp_path_factory.mktemp("dist"))
    assert (wheel.suffix, sdist.suffix) == (".whl", ".gz")
    return wheel, sdist


def unexpected(names, patterns):
    return [name for name in names if not any(re.fullmatch(p, name) for p in patterns)]


def contents(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_wheel_holds_the_package_and_nothing_else(built):
    wheel, _ = built
    names = contents(wheel).keys()
    assert unexpected(names, WHEEL) == []
    assert wheel.stat().st_size < 25 * MEGABYTE
    files = [path for path in (ROOT / "dnaembed").rglob("*") if path.is_file()]
    there = {f.relative_to(ROOT).as_posix() for f in files if "__pycache__" not in f.parts}
    assert there <= names
    assert {name for name in names if name.startswith("dnaembed/")} <= there
    assert wheel.name.endswith("-py3-none-any.whl")


def test_sdist_holds_what_it_takes_to_build(built):
    _, sdist = built
    with tarfile.open(sdist) as archive:
        names = [member.name.partition("/")[2] for member in archive if member.isfile()]
    assert unexpected(names, SDIST) == []
    assert sdist.stat().st_size < 25 * MEGABYTE


def test_sdist_and_checkout_build_the_same_wheel(built, source, tmp_path):
    from_sdist = contents(built[0])
    from_checkout = contents(build(source, tmp_path, "--wheel")[0])
    assert from_sdist == from_checkout


def test_description_is_fit_for_an_index(built, tmp_path):
    run(sys.executable, "-m", "twine", "check", "--strict", *built, cwd=tmp_path)


def test_wheel_works_outside_the_checkout(built, tmp_path):
    venv.create(tmp_path / "venv", with_pip=False)
    scripts = Path(tmp_path, "venv", "Scripts" if os.name == "nt" else "bin")
    python = scripts / "python"
    code = "import site; print(site.getsitepackages()[0])"
    site = Path(run(python, "-c", code, cwd=tmp_path).strip())
    install = ["install", "--no-deps", "--no-index", "--disable-pip-version-check"]
    run(sys.executable, "-m", "pip", "--python", python, *install, built[0], cwd=tmp_path)
    # What it needs comes from the environment of the tests, where pip could have found the package
    # itself too; now its own is the first.
    (site / "rest.pth").write_text(sysconfig.get_path("purelib") + "\n")
    run(python, "-I", "-W", "error", "-c", SMOKE, cwd=tmp_path)
    dnaembed = scripts / "dnaembed"
    assert re.fullmatch(r"dnaembed [0-9.]+\s*", run(dnaembed, "--version", cwd=tmp_path))
    (tmp_path / "reads.fa").write_text(">a\n" + "ACGGC" * 60 + "\n>b\n" + "ATTAT" * 60 + "\n")
    run(dnaembed, "embed", "reads.fa", "-o", "embeddings.npy", cwd=tmp_path)
    assert (tmp_path / "embeddings.npy").stat().st_size > 384 * 2 * 4


@pytest.fixture
def box():
    """A folder that other users reach, which those of pytest are not."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


# Another user, or, where that one cannot read the interpreter, one without the powers of root.
NOBODY = {"user": 65534, "group": 65534, "extra_groups": []}
POWERLESS = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]


@pytest.mark.skipif(os.name != "posix", reason="needs modes of files")
@pytest.mark.parametrize("command", [["demo"], ["demo", "--umap"]], ids=" ".join)
def test_read_only_wheel_works_for_another_user_without_a_home(built, box, command):
    site, work = box / "site", box / "work"
    install = ["--no-deps", "--no-index", "--no-compile", "--disable-pip-version-check"]
    run(sys.executable, "-m", "pip", "install", *install, "--target", site, built[0], cwd=box)
    (site / "home").mkdir()
    for path in [site, *site.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    work.mkdir()
    work.chmod(0o777)
    environment = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1", "PYTHONPATH": str(site)}
    environment["HOME"] = str(site / "home")

    def start(prefix, user, *arguments):
        words, options = [*prefix, sys.executable, "-B", *arguments], {"cwd": work, **user}
        options |= {"env": environment, "capture_output": True, "text": True}
        return subprocess.run(words, check=False, **options)

    probe = (
        "import os, sys, dnaembed, torch; print(dnaembed.__file__);"
        "sys.exit(any(os.access(p, os.W_OK) for p in [*dnaembed.__path__, os.environ['HOME']]))"
    )
    ways = [([], {})] if os.geteuid() else [([], NOBODY), (POWERLESS, {})]
    for way in ways:
        try:
            started = start(*way, "-c", probe)
        except OSError:
            continue
        if started.returncode == 0:
            break
    else:
        pytest.skip("no user who starts this interpreter cannot write to the package")
    assert started.stdout.startswith(str(site))
    done = start(*way, "-m", "dnaembed", *command, "--output", "map.png")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Picture: map.png" in done.stdout
    assert "Traceback" not in done.stderr
    assert [path.name for path in work.iterdir()] == ["map.png"]
