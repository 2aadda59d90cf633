import json
import os
import shutil
import threading
from pathlib import Path

import pytest
import torch

from dnaembed.backbones import _load as module
from dnaembed.backbones import load_backbone, shared_backbone

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def saved(backbone, tmp_path):
    backbone.save(tmp_path / "saved")
    return tmp_path / "saved"


@pytest.fixture(autouse=True)
def _nothing_shared(monkeypatch):
    monkeypatch.setattr(module, "_shared", type(module._shared)())


def hub_cache(cache, name, folder, revision="main"):
    """Lay a folder out as the hub's download cache does."""
    repository = cache / f"models--{name.replace('/', '--')}"
    shutil.copytree(folder, repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / revision).write_text(COMMIT)


def test_folder_as_string_or_path(saved, backbone, monkeypatch):
    monkeypatch.chdir(saved.parent)
    for name in (saved, str(saved), "saved", "./saved", Path("saved")):
        assert load_backbone(name).fingerprint() == backbone.fingerprint()


def test_home_is_expanded(saved, backbone, monkeypatch):
    monkeypatch.setenv("HOME", str(saved.parent))
    monkeypatch.setenv("USERPROFILE", str(saved.parent))
    assert load_backbone("~/saved").fingerprint() == backbone.fingerprint()


def test_bundled_names_come_first_and_paths_never_mean_them(saved, backbone, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_MODELS", tmp_path)
    assert module.bundled_models() == ["saved"]
    assert load_backbone("saved").fingerprint() == backbone.fingerprint()
    with pytest.raises(FileNotFoundError, match=r"ships with dnaembed \(saved\)"):
        load_backbone(Path("saved"))


@pytest.mark.parametrize("name", ["", "..", "../x", "no such model", "a/b/c", "https://host/x/y"])
def test_what_was_tried_is_named(name, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises((FileNotFoundError, ValueError), match=r"not found|config\.json"):
        load_backbone(name)


def test_a_folder_without_a_model(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"config\.json: file not found"):
        load_backbone(tmp_path)


def test_a_file_is_no_folder(saved):
    with pytest.raises(ValueError, match=r"config\.json: a model is a folder, and this is a file"):
        load_backbone(saved / "config.json")


def test_revision_is_for_the_hub(saved):
    with pytest.raises(ValueError, match="revision='main' applies to hub models only"):
        load_backbone(saved, revision="main")


def test_hub_id_from_the_cache(saved, backbone, tmp_path):
    hub_cache(tmp_path / "cache", "owner/model", saved)
    for revision in (None, "main", COMMIT):
        again = load_backbone(
            "owner/model",
            revision=revision,
            cache_dir=tmp_path / "cache",
            local_files_only=True,
        )
        assert again.fingerprint() == backbone.fingerprint()
    with pytest.raises(FileNotFoundError, match=r"'owner/model' could not be loaded"):
        load_backbone(
            "owner/model", revision="v9", cache_dir=tmp_path / "cache", local_files_only=True
        )


def test_hub_id_of_a_published_layout(published, backbone, tmp_path):
    hub_cache(tmp_path / "cache", "owner/model", published())
    again = load_backbone("owner/model", cache_dir=tmp_path / "cache", local_files_only=True)
    assert again.fingerprint() == backbone.fingerprint()


def test_hub_id_that_is_not_on_this_machine(tmp_path):
    with pytest.raises(
        FileNotFoundError,
        match=r"no folder of this name exists, and looking on this machine only, .*'owner/model'",
    ):
        load_backbone("owner/model", cache_dir=tmp_path, local_files_only=True)


def test_only_data_is_downloaded(saved, published, tmp_path, monkeypatch):
    calls = []

    def download(name, *, revision, cache_dir, local_files_only, allow_patterns):
        calls.append(allow_patterns)
        return str(tmp_path / "published") if len(calls) > 1 else str(empty)

    empty = tmp_path / "empty"
    empty.mkdir()
    published()
    monkeypatch.setattr(module, "snapshot_download", download)
    load_backbone("owner/model")
    assert [("model.safetensors" in c, "pytorch_model.bin" in c) for c in calls] == [
        (True, False),
        (False, True),
    ]
    assert not any(p.endswith((".py", "*")) for call in calls for p in call)


def test_a_hub_model_without_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "snapshot_download", lambda *_, **__: str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"could not be loaded: .*no weights found"):
        load_backbone("owner/model")


def test_published_names_are_verified(published, tmp_path, monkeypatch):
    name = "zhihan1996/DNABERT-S"
    folder = published()
    hub_cache(tmp_path / "cache", name, folder)
    here = {"cache_dir": tmp_path / "cache", "local_files_only": True}
    with pytest.raises(ValueError, match=f"the sha256 is not that of the published {name}"):
        load_backbone(name, **here)
    assert load_backbone(name, revision="main", **here).embedding_size == 48
    digest = module.file_sha256(folder / "pytorch_model.bin")
    monkeypatch.setitem(module.PUBLISHED_WEIGHTS, name, digest)
    assert load_backbone(name, **here).embedding_size == 48


def test_shared_models_are_loaded_once(saved, monkeypatch):
    loads = []
    monkeypatch.setattr(
        module, "load_backbone", lambda *a, **k: loads.append(a) or load_backbone(*a, **k)
    )
    first = shared_backbone(saved)
    assert not first.model.training
    assert not any(p.requires_grad for p in first.model.parameters())
    assert shared_backbone(str(saved)) is first
    half = shared_backbone(saved, dtype=torch.bfloat16)
    assert half is not first
    assert half.model.dtype == torch.bfloat16
    assert first.model.dtype == torch.float32
    assert len(loads) == 2


def test_shared_by_threads(saved, monkeypatch):
    loads = []
    monkeypatch.setattr(
        module, "load_backbone", lambda *a, **k: loads.append(a) or load_backbone(*a, **k)
    )
    found = []
    start = threading.Barrier(8)

    def work():
        start.wait()
        found.append(shared_backbone(saved))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loads) == 1
    assert len(found) == 8
    assert len({id(backbone) for backbone in found}) == 1


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
