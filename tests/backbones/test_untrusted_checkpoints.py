"""Folders made to harm: to run code, to read other files, to fill memory, to take forever."""

import ast
import json
import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import dnaembed
from dnaembed.backbones import _checkpoint, convert_checkpoint, load_backbone
from dnaembed.backbones._checkpoint import file_sha256
from dnaembed.cli import main
from tests.helpers.random_models import random_profile


@pytest.fixture
def profile(tmp_path):
    sizes = {"hidden_size": 4, "intermediate_size": 4, "num_hidden_layers": 1}
    random_profile(k=[2], deep_size=3, **sizes).save(tmp_path / "profile")
    return tmp_path / "profile"


def edit_json(file, **changes):
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def refused(folder, message):
    """Check that a folder ends in one short line that a terminal can show."""
    with pytest.raises(ValueError, match=message) as caught:
        load_backbone(folder)
    assert len(str(caught.value)) < 1000
    assert str(caught.value).isprintable()


# Links


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_link_out_of_the_folder_is_not_followed(saved, tmp_path, name):
    (saved / name).rename(tmp_path / "secret")
    for content in (None, "PASSWORD"):
        if content:
            (tmp_path / "secret").write_text(content)
        (saved / name).unlink(missing_ok=True)
        (saved / name).symlink_to("../secret")
        with pytest.raises(ValueError, match=rf"{name}: a link that leads out") as caught:
            load_backbone(saved)
        assert "PASSWORD" not in str(caught.value)


def test_links_within_the_folder_and_to_the_folder_are_followed(profile, tmp_path):
    (profile / "model.safetensors").rename(profile / "weights")
    (profile / "model.safetensors").symlink_to("weights")
    (tmp_path / "alias").symlink_to(profile)
    assert load_backbone(tmp_path / "alias").embedding_size == 3


def test_the_download_cache_keeps_its_links(profile, hub_cache):
    snapshot, here = hub_cache("owner/model", profile)
    assert load_backbone("owner/model", **here).embedding_size == 3
    (snapshot / "config.json").unlink()
    (snapshot / "config.json").symlink_to("/etc/hostname")
    with pytest.raises((ValueError, FileNotFoundError), match=r"link that leads out|not found"):
        load_backbone("owner/model", **here)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_pipe_is_no_file(saved, name):
    (saved / name).unlink()
    os.mkfifo(saved / name)  # reading it would wait forever
    with pytest.raises(FileNotFoundError, match=r"file not found|no weights found"):
        load_backbone(saved)


# Sizes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_hidden_layers": 1025}, "num_hidden_layers must be an integer from 0 to 1,024"),
        ({"hidden_size": 10_000, "intermediate_size": 10_000, "num_hidden_layers": 99},
         r"config\.json: a model of at most 10,000,000,000 parameters is expected, got 19,"),
        ({"intermediate_size": 16_385}, "intermediate_size must be an integer from 1 to 16,384"),
        ({"linear_size": -1}, "linear_size must be an integer from 0 to 16,384"),
        ({"window_size": 1}, "window_size must be an integer from 64 to"),
        ({"k": [8] * 1_000_000}, "k must be a list of 1 to 8 integers, got"),
        ({"k": [4.5]}, "float"),
        ({"k": "45"}, "k must be a list"),
        ({"k": []}, "At least one k"),
        ({"hidden_size": 10**4000}, r"from 1 to 16,384, got 1000.*\.\.\."),
        ({"hidden_size": True}, "hidden_size must be an integer .*, got True"),
        ({"linear_weight": 10**400}, "linear_weight must be a number above 0"),
        ({"linear_weight": 0}, "linear_weight must be a number above 0"),
        ({"dropout": "0"}, "dropout must be a number from 0"),
        ({"model_type": "x\x1b[2J" * 1000}, "model_type must be one of"),
    ],
)  # fmt: skip
def test_what_a_profile_model_cannot_ask_for(profile, changes, message):
    edit_json(profile / "config.json", **changes)
    refused(profile, message)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": 50_000, "num_attention_heads": 1}, "at most 10,000,000,000 parameters"),
        ({"num_hidden_layers": 1025}, "num_hidden_layers must be an integer from 1 to 1,024"),
        ({"num_hidden_layers": 2.0}, "num_hidden_layers must be an integer"),
        ({"vocab_size": 10**12}, "vocab_size must be an integer from 1 to 10,000,000,000"),
        ({"hidden_size": "48"}, "hidden_size must be an integer from 1 to .*, got '48'"),
        ({"intermediate_size": 65_537}, "intermediate_size must be an integer from 1 to 65,536"),
        ({"type_vocab_size": None}, "type_vocab_size must be an integer"),
        ({"num_attention_heads": True}, "num_attention_heads must be an integer from 1 to 256"),
        ({"num_attention_heads": 7}, "multiple of num_attention_heads, got 48 and 7"),
        ({"window_size": 10**4000}, "window_size must be an integer"),
        ({"window_size": 100_001}, "window_size must be an integer from 64 to 100,000"),
        ({"hidden_dropout_prob": 1.0}, "hidden_dropout_prob must be a number from 0 and below 1"),
        ({"attention_probs_dropout_prob": -0.1}, "attention_probs_dropout_prob"),
        ({"layer_norm_eps": "1" * 10_000}, r"layer_norm_eps must be a number .*\.\.\."),
    ],
)
def test_what_a_transformer_cannot_ask_for(saved, changes, message):
    edit_json(saved / "config.json", **changes)
    refused(saved, message)


# Pickles


def repeat(weights):
    for name, tensor in weights.items():
        weights[name] = torch.zeros(1).expand(tensor.shape)  # one number, any size


def share(weights):
    pool = torch.zeros(max(tensor.numel() for tensor in weights.values()))
    for name, tensor in weights.items():
        weights[name] = pool[: tensor.numel()].view(tensor.shape)


@pytest.mark.parametrize("edit", [repeat, share])
def test_a_small_file_cannot_promise_large_tensors(published, edit):
    folder = published(pooler=False, edit_weights=edit)
    with pytest.raises(ValueError, match=r"tensors of [\d,]+ bytes are promised, but the file has"):
        load_backbone(folder)


def with_pickle(folder, content):
    """Replace the pickle in the weights, leave the rest of the archive as it is."""
    file = folder / "pytorch_model.bin"
    with zipfile.ZipFile(file) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w") as archive:
        for name, old in entries.items():
            archive.writestr(name, content if name.endswith("data.pkl") else old)
    return folder


@pytest.mark.parametrize(
    "call",
    ["os system", "builtins eval", "builtins __import__", "torch load", "torch.hub load",
     "posix system", "builtins getattr", "builtins bytearray"],
)  # fmt: skip
def test_calls_in_a_pickle_are_refused(published, tmp_path, call):
    # bytearray(10**15) is among the few calls that the restricted unpickler makes.
    argument = (f"touch {tmp_path / 'ran'}",)
    message = "refused, because it holds objects other than tensors"
    if call == "builtins bytearray":
        argument, message = (10**15,), r"pytorch_model\.bin"
    name = "c{}\n{}\n".format(*call.split()).encode()
    bomb = b"\x80\x02" + name + pickle.dumps(argument, 2)[2:-1] + b"R."
    with pytest.raises(ValueError, match=message):
        load_backbone(with_pickle(published(), bomb))
    assert not (tmp_path / "ran").exists()


def test_a_pickle_of_any_size_is_not_read(tmp_path, monkeypatch):
    torch.save({"0.weight": torch.ones(2, 2)}, tmp_path / "weights.bin")
    monkeypatch.setattr(_checkpoint, "MAX_BYTES", 100)
    with pytest.raises(ValueError, match="at most 100 bytes of names and shapes are expected"):
        _checkpoint.read_tensors(tmp_path / "weights.bin")


def _calls(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}


def test_the_package_never_loads_what_could_run():
    """No call that unpickles, evaluates or fetches code is anywhere in the package."""
    package = Path(dnaembed.__file__).parent
    forbidden = {"eval", "exec", "compile", "__import__", "joblib.load", "yaml.load", "os.system",
                 "marshal.loads", "torch.hub.load", "pickle.load", "pickle.Unpickler", "os.popen",
                 "pickle.Unpickler.load", "runpy.run_path", "torch.jit.load"}  # fmt: skip
    loads = 0
    for file in package.rglob("*.py"):
        for name, keywords in _calls(ast.parse(file.read_text())):
            assert name not in forbidden, (file, name)
            assert keywords.get("trust_remote_code", "False") == "False", (file, name)
            assert keywords.get("allow_pickle", "False") == "False", (file, name)
            assert keywords.get("shell", "False") == "False", (file, name)
            if name == "torch.load":
                loads += 1
                assert keywords["weights_only"] == "True", file
            # What was dumped the line before, and numba's cache, which is code anyhow.
            assert name != "pickle.loads" or file.name in ("estimator_checks.py", "_compile.py")
    assert loads == 1


# Safetensors


def safetensors(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(shape, start, stop, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 8,
        struct.pack("<Q", 10**17) + b"{}",
        struct.pack("<Q", 90_000_000) + b"{}",
        safetensors(b"[" * 100_000),
        safetensors({"mean": entry([10], 0, 40)}),  # no data
        safetensors({"mean": entry([10**6, 10**6], 0, 40)}, b"\0" * 40),
        safetensors({"mean": entry([10], 0, 10**15)}, b"\0" * 40),
        safetensors({"mean": entry([10], 40, 0)}, b"\0" * 40),
        safetensors({"mean": entry([-10], 0, 40)}, b"\0" * 40),
        safetensors({"mean": entry([10], 0, 40, "X99")}, b"\0" * 40),
        safetensors({"mean": entry([10], 0, 40)}, b"\0" * 400),  # data that nobody names
        safetensors({"mean": entry([10], 0, 40), "scale": entry([10], 0, 40)}, b"\0" * 40),
        safetensors({"mean": [1, 2]}),
        safetensors({"__metadata__": {"a": 3}}),
    ],
)
def test_headers_that_lie(profile, content):
    (profile / "model.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match=r"model\.safetensors: not a valid safetensors file"):
        load_backbone(profile)


@pytest.mark.parametrize(
    ("value", "dtype", "message"),
    [
        *((1, dtype, "torch") for dtype in (torch.int64, torch.bool, torch.uint8)),
        *((float("nan"), dtype, "NaN") for dtype in (torch.float32, torch.float16, torch.float64)),
        (float("inf"), torch.float32, "infinity"),
        (1e300, torch.float64, "infinity"),  # too large for float32
    ],
)
def test_numbers_that_are_not_weights(profile, value, dtype, message):
    weights = load_file(profile / "model.safetensors")
    weights["scale"] = torch.full((10,), value, dtype=dtype)
    save_file(weights, profile / "model.safetensors")
    refused(profile, f"tensor scale holds .*{message}")


def test_names_cannot_speak_to_a_terminal(profile, capsys):
    weights = load_file(profile / "model.safetensors")
    weights["\x1b]0;title\x07" + "x" * 10_000] = torch.ones(1)
    save_file(weights, profile / "model.safetensors")
    refused(profile, "Unexpected key")
    assert main(["info", str(profile)]) == 1
    assert "\x1b" not in capsys.readouterr().err


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_json_of_any_depth_and_length(saved, name):
    for content in ("[" * 1_000_000, '{"a":' * 1_000_000, "9" * 1_000_000):
        (saved / name).write_text(content)
        refused(saved, name)
    with (saved / name).open("wb") as file:
        file.truncate(1 << 40)  # a file with a hole: it takes no room
    refused(saved, rf"{name}: at most 16,000,000 bytes are expected")


# Tokenizers

REPEAT = {"type": "Replace", "pattern": {"String": "A"}, "content": "A" * 1_000_000}
BACKTRACK = {
    "type": "Split", "pattern": {"Regex": "(A|A?)+$"}, "behavior": "Isolated", "invert": False,
}  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {"normalizer": REPEAT},
        {"normalizer": {"type": "Sequence", "normalizers": [REPEAT]}},
        {"normalizer": [1]},
        {"pre_tokenizer": BACKTRACK},
        {"added_tokens": None},
        {"added_tokens": [{}] * 100},
        {"post_processor": {"type": "TemplateProcessing"}},
        {"decoder": REPEAT},
        {"dropout": 0.5},  # from here on, options of the model
        {"unk_token": "[CLS]"},
        {"continuing_subword_prefix": "#" * 10_000},
        {"end_of_word_suffix": "#"},
        {"byte_fallback": True},
        {"type": ["BPE"]},
    ],
)
def test_steps_and_options_of_a_tokenizer_are_never_read(saved, backbone, changes):
    file = saved / "tokenizer.json"
    content = json.loads(file.read_text())
    part = content if next(iter(changes)) in content else content["model"]
    part |= changes
    file.write_text(json.dumps(content))
    again = load_backbone(saved)
    assert again.fingerprint() == backbone.fingerprint()
    assert again.tokenizer.to_str() == backbone.tokenizer.to_str()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vocab": [["A", 0.5]]}, "not a byte-pair tokenizer"),  # as unigram models have it
        ({"merges": None}, "not a byte-pair tokenizer"),
        ({"vocab": {"A": 5}}, r"no token \[UNK\]"),
        ({"merges": [["A", "Q"]]}, "not a valid tokenizer"),
        ({"merges": [["A"]]}, "not a valid tokenizer"),
        ({"merges": [3]}, "not a valid tokenizer"),
        ({"merges": ["AC"]}, "not a valid tokenizer"),
    ],
)
def test_models_of_a_tokenizer(saved, changes, message):
    file = saved / "tokenizer.json"
    edit_json(file, model=json.loads(file.read_text())["model"] | changes)
    refused(saved, message)


@pytest.mark.parametrize("number", [-1, 60, 10**100, 2.0, "7", None, True])
def test_numbers_of_tokens(saved, number):
    file = saved / "tokenizer.json"
    model = json.loads(file.read_text())["model"]
    model["vocab"]["T\x1b" * 1000] = number
    edit_json(file, model=model)
    refused(saved, "has the number .*, but the model's vocab_size is 60")


# Checksums


def test_weights_are_compared_with_a_digest(profile, saved, tmp_path):
    digest = file_sha256(profile / "model.safetensors")
    other = np.random.default_rng(0).bytes(32).hex()
    for given in (digest, digest.upper(), [digest], [other, digest]):
        assert load_backbone(profile, sha256=given).embedding_size == 3
    for wrong in ("abc", digest[:-1] + "g", ["x"]):
        with pytest.raises(ValueError, match="sha256 must be of 64 hexadecimal digits"):
            load_backbone(profile, sha256=wrong)
    with pytest.raises(ValueError, match=r"model\.safetensors: its sha256 is .*, which is not one"):
        convert_checkpoint(saved, tmp_path / "out", sha256=digest)
    assert not (tmp_path / "out").exists()


def test_the_digest_is_compared_before_anything_is_read(published, monkeypatch):
    monkeypatch.delattr(torch, "load")
    with pytest.raises(ValueError, match="its sha256 is"):
        load_backbone(published(), sha256="0" * 64)


def test_the_command_line_compares_digests(saved, tmp_path, capsys):
    digest = file_sha256(saved / "model.safetensors")
    convert = ["convert", str(saved), str(tmp_path / "out"), "--sha256"]
    assert main([*convert, "0" * 64]) == 1
    assert f"its sha256 is {digest}" in capsys.readouterr().err
    assert main([*convert, digest]) == main(["info", str(saved), "--sha256", digest]) == 0
