import json
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import dnaembed
from dnaembed.backbones import _load as module
from dnaembed.backbones import load_backbone, shared_backbone
from dnaembed.backbones._bundled import BundledProfile
from tests.helpers.processes import run_python
from tests.helpers.random_models import embed

ROOT = Path(dnaembed.__file__).parents[1]
DEMO = str(ROOT / "dnaembed/datasets/data/demo_reads.fasta.gz")


@pytest.fixture(autouse=True)
def _nothing_shared(monkeypatch):
    monkeypatch.setattr(module, "_shared", type(module._shared)())


def test_folder_as_string_or_path(saved, backbone, monkeypatch):
    monkeypatch.chdir(saved.parent)
    monkeypatch.setenv("HOME", str(saved.parent))
    monkeypatch.setenv("USERPROFILE", str(saved.parent))
    for name in (saved, str(saved), "saved", "./saved", Path("saved"), "~/saved"):
        assert load_backbone(name).fingerprint() == backbone.fingerprint()


def test_bundled_names_come_first_and_paths_never_mean_them(saved, backbone, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_MODELS", tmp_path)
    assert module.bundled_models() == ["saved"]
    assert load_backbone("saved").fingerprint() == backbone.fingerprint()
    with pytest.raises(FileNotFoundError, match=r"model of the package \(default, saved\)"):
        load_backbone(Path("saved"))


@pytest.mark.parametrize("name", ["", "..", "../x", "no such model", "a/b/c", "https://host/x/y"])
def test_what_was_tried_is_named(name, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises((FileNotFoundError, ValueError), match=r"not found|config\.json"):
        load_backbone(name)


def test_folders_without_a_model_files_and_revisions_of_folders(saved, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"config\.json: file not found"):
        load_backbone(tmp_path)
    with pytest.raises(ValueError, match=r"config\.json: a model is a folder, and this is a file"):
        load_backbone(saved / "config.json")
    with pytest.raises(ValueError, match="revision='main' applies to hub models only"):
        load_backbone(saved, revision="main")


@pytest.mark.parametrize("layout", ["ours", "published"])
def test_hub_id_from_the_cache(saved, published, backbone, hub_cache, layout):
    snapshot, here = hub_cache("owner/model", saved if layout == "ours" else published())
    for revision in (None, "main", snapshot.name):
        again = load_backbone("owner/model", revision=revision, **here)
        assert again.fingerprint() == backbone.fingerprint()
    with pytest.raises(FileNotFoundError, match=r"'owner/model' not found among"):
        load_backbone("owner/model", revision="v9", **here)
    message = r"'owner/other' not found among earlier downloads: .*; no folder has this name"
    with pytest.raises(FileNotFoundError, match=message):
        load_backbone("owner/other", **here)


def test_only_data_is_downloaded(published, tmp_path, monkeypatch):
    calls = []

    def download(name, *, allow_patterns, **_):
        calls.append(allow_patterns)
        return str(tmp_path / "published") if len(calls) > 1 else str(empty)

    empty = tmp_path / "empty"
    empty.mkdir()
    published()
    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    load_backbone("owner/model")
    names = ("model.safetensors", "pytorch_model.bin")
    assert [[name in call for name in names] for call in calls] == [[True, False], [False, True]]
    assert not any(p.endswith((".py", "*")) for call in calls for p in call)
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(empty))
    with pytest.raises(FileNotFoundError, match=r"not found at the hub: .*no weights found"):
        load_backbone("owner/model")


@pytest.mark.parametrize("place", ["hub", "folder"])
def test_published_names_are_verified(published, hub_cache, tmp_path, monkeypatch, place):
    """Also where a folder of the name lies in the working directory."""
    name = "zhihan1996/DNABERT-S"
    folder = published()
    here = {}
    if place == "hub":
        _, here = hub_cache(name, folder)
        assert load_backbone(name, revision="main", **here).embedding_size == 48
    else:
        monkeypatch.chdir(tmp_path)
        shutil.copytree(folder, name)
        for path in (f"./{name}", Path(name), tmp_path / name):
            assert shared_backbone(path).embedding_size == 48
    for load in (load_backbone, shared_backbone):
        with pytest.raises(ValueError, match=f"the sha256 is not that of the published {name}"):
            load(name, **here)
    digest = module.file_sha256(folder / "pytorch_model.bin")
    assert load_backbone(name, sha256=digest, **here).embedding_size == 48
    with pytest.raises(ValueError, match="which is not one that was asked for"):
        load_backbone(name, sha256="0" * 64, **here)
    monkeypatch.setitem(module.PUBLISHED_WEIGHTS, name, digest)
    assert load_backbone(name, **here).embedding_size == 48


@pytest.fixture
def loads(monkeypatch):
    """Return the list of what is loaded for sharing."""
    found, load = [], lambda *a, **k: found.append(a) or load_backbone(*a, **k)
    monkeypatch.setattr(module, "load_backbone", load)
    return found


def test_shared_models_are_loaded_once_also_by_threads(saved, loads):
    start = threading.Barrier(8)

    def work(_):
        start.wait()
        return shared_backbone(saved)

    with ThreadPoolExecutor(8) as pool:
        assert len({id(backbone) for backbone in pool.map(work, range(8))}) == 1
    first = shared_backbone(str(saved))
    assert len(loads) == 1
    assert not first.model.training
    assert not any(p.requires_grad for p in first.model.parameters())
    half = shared_backbone(saved, dtype=torch.bfloat16)
    assert (half.model.dtype, first.model.dtype) == (torch.bfloat16, torch.float32)
    assert len(loads) == 2


_HEAVY = {"transformers", "tokenizers", "huggingface_hub", "accelerate", "matplotlib", "umap"}
_HEAVY |= {"torch", "sklearn", "pandas", "scipy", "numba"}
_LEARN = {"sklearn", "pandas", "scipy"}  # the first of these imports the others
_EMBED = "from dnaembed.cli import main; main(['embed', {!r}, '-o', 'rows.{}', '-q'])"


@pytest.mark.parametrize(
    ("code", "needed"),
    [
        ("import dnaembed", set()),
        ("from dnaembed import DNABertSEmbedder; DNABertSEmbedder()", _LEARN),
        ("from dnaembed.cli import main; main(['--help'])", set()),
        (_EMBED.format("missing.fa", "npy"), set()),
        (_EMBED.format(DEMO, "npy"), {"numba", "scipy"}),  # compiled code brings a part of scipy
        (_EMBED.format(DEMO, "tsv"), {"numba", "scipy"}),
        ("from dnaembed.cli import main; main(['info'])", {"torch", "scipy", "numba"}),
    ],
)
def test_nothing_is_imported_before_it_is_needed(code, needed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    here = f"import sys; sys.path.insert(0, {str(ROOT)!r}); {code}; print(*sys.modules)"
    assert _HEAVY & set(run_python("-c", here).split()) <= needed
    assert (tmp_path / "rows.npy").exists() == (DEMO in code and "npy" in code)


@pytest.fixture(scope="module", params=["kmer-profile-1", "kmer-profile-2"])
def in_numpy_and_torch(request):
    name = request.param
    return shared_backbone(name, device="auto", dtype="auto"), load_backbone(name)


@given(sequences=st.lists(st.text("ACGTN", min_size=1, max_size=400), min_size=1, max_size=5))
def test_the_bundled_model_in_numpy_is_the_one_in_torch(in_numpy_and_torch, sequences):
    fast, whole = in_numpy_and_torch
    assert type(fast) is BundledProfile
    assert fast.fingerprint() == whole.fingerprint()
    rows = fast.embed_plainly(sequences, 2)
    np.testing.assert_allclose(rows, embed(whole, sequences), rtol=0, atol=1e-6)
    assert fast.n_parameters == whole.n_parameters  # and all else that a backbone has


@pytest.mark.parametrize(
    ("name", "n_columns", "fingerprint"),
    [
        ("kmer-profile-1", 136, "14ff504741c153207a0f31006b0f9e09e5c8a630"),
        ("kmer-profile-2", 2728, "afecdef3b8a8d3251cc39e4fface06b78869fe21"),
    ],
)
def test_a_name_stays_the_same_model(name, n_columns, fingerprint):
    backbone = load_backbone(name)
    assert backbone.fingerprint() == fingerprint
    assert (backbone.model.config.n_columns, backbone.embedding_size) == (n_columns, 384)


def test_a_changed_folder_is_read_again(saved, make_backbone):
    first = shared_backbone(saved)
    other = make_backbone(seed=9)
    shutil.rmtree(saved)
    other.save(saved)
    os.utime(saved / "model.safetensors", ns=(1, 1))
    assert shared_backbone(saved).fingerprint() == other.fingerprint() != first.fingerprint()


def test_few_models_are_kept(saved, make_backbone, tmp_path):
    first = shared_backbone(saved)
    for seed in range(module._SHARED_MODELS - 1):
        make_backbone(seed=seed + 1).save(tmp_path / f"other{seed}")
        shared_backbone(tmp_path / f"other{seed}")
    assert shared_backbone(saved) is first
    make_backbone(seed=99).save(tmp_path / "last")
    shared_backbone(tmp_path / "last")
    assert len(module._shared) == module._SHARED_MODELS
    assert shared_backbone(saved) is first


def test_a_failed_load_is_not_remembered(saved):
    fields = (saved / "config.json").read_text()
    (saved / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="model_type"):
        shared_backbone(saved)
    (saved / "config.json").write_text(fields)
    assert shared_backbone(saved).embedding_size == json.loads(fields)["hidden_size"]
