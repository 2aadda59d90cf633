"""Compiled loops: whatever becomes of numba's cache, they run, and say so at most once."""

import os
import shutil
import subprocess
import sys

import numba
import pytest
from numba.core.caching import CacheImpl, FunctionCache

from dnaembed.utils._compile import compiled, import_compiled

CODE = """
import logging
logging.basicConfig(level=logging.INFO, format="%(message)s")
from dnaembed.composition import kmer_counts
from dnaembed.species._neighbors import add_similar
import numpy as np
assert kmer_counts(["ACGTACGT"], 2).sum() == 7
sums = np.zeros(2)
add_similar(np.eye(2), 0.5, sums, np.zeros(2))
assert sums.tolist() == [1, 1]
"""


def flip(data):
    return data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 255]) + data[len(data) // 2 + 1 :]


DAMAGE = {
    "empty": lambda data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "garbage": lambda data: b"no pickle" * 100,
    "a bit": flip,
}
FOLDERS = {
    "a file": lambda folder: folder.write_text(""),
    "full": lambda folder: folder.symlink_to("/dev/full"),
    "not writable": lambda folder: folder.mkdir(0o500),
}


def run(folder):
    """Compile in a process of its own; return what it says."""
    how = {"env": {**os.environ, "NUMBA_CACHE_DIR": str(folder)}, "check": False}
    command = [sys.executable, "-c", CODE]
    done = subprocess.run(command, **how, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr.splitlines()


@pytest.fixture(scope="module")
def good_cache(tmp_path_factory):
    folder = tmp_path_factory.mktemp("numba") / "cache"
    assert run(folder) == run(folder) == []
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_cache_is_made_anew(good_cache, tmp_path, damage, suffix):
    folder = shutil.copytree(good_cache, tmp_path / "cache")
    for file in folder.rglob(f"*{suffix}"):
        file.write_bytes(DAMAGE[damage](file.read_bytes()))
    said = run(folder)
    assert len(said) == 1
    assert f"without numba's cache {folder}" in said[0]
    assert run(folder) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", FOLDERS)
def test_a_folder_that_nothing_can_be_written_to(tmp_path, kind):
    FOLDERS[kind](tmp_path / "cache")
    assert len(run(tmp_path / "cache")) <= 1


def test_modules_of_others_that_find_no_place_for_a_cache(tmp_path, monkeypatch):
    code = "import numba\n@numba.njit(cache=True)\ndef double(x):\n    return 2 * x\n"
    (tmp_path / "compiles_with_a_cache.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    # Of the places numba tries, the first is the folder in numba.config.CACHE_DIR.
    monkeypatch.setattr(CacheImpl, "_locator_classes", CacheImpl._locator_classes[:1])
    before = numba.config.CACHE_DIR
    assert import_compiled("compiles_with_a_cache").double(4) == 8
    assert before == numba.config.CACHE_DIR
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        import_compiled("no_such_module")


def test_a_signal_while_the_compiler_runs_is_not_lost(monkeypatch):
    """LLVM's callback prints an exception and goes on; all that is left is that code is missing."""

    def interrupted(self, sig, data):
        raise RuntimeError("no compiled object yet for <Library 'f'>")

    monkeypatch.setattr(FunctionCache, "save_overload", interrupted)
    with pytest.raises(SystemExit):
        compiled(lambda x: x + 1)(1)
