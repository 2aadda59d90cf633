import json

import pytest

from dnaembed.backbones import DnaBertConfig


def test_defaults_are_dnabert_2():
    config = DnaBertConfig()
    assert config.model_type == "dnabert"
    assert (config.hidden_size, config.num_hidden_layers, config.vocab_size) == (768, 12, 4096)
    assert config.pad_token_id == 3


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("vocab_size", 0),
        ("hidden_size", -12),
        ("num_hidden_layers", 2.0),
        ("num_attention_heads", True),
        ("intermediate_size", "3072"),
        ("type_vocab_size", None),
        ("window_size", 0),
        ("hidden_dropout_prob", 1.0),
        ("attention_probs_dropout_prob", -0.1),
        ("layer_norm_eps", float("nan")),
        ("layer_norm_eps", "1e-12"),
    ],
)
def test_a_bad_value_is_named(field, value):
    with pytest.raises(ValueError, match=field):
        DnaBertConfig(**{field: value})


def test_heads_divide_the_hidden_size():
    with pytest.raises(ValueError, match="multiple of num_attention_heads, got 768 and 7"):
        DnaBertConfig(num_attention_heads=7)


@pytest.mark.parametrize(
    "sizes",
    [
        {"hidden_size": 12 * 10**6},
        {"vocab_size": 10**12},
        {"intermediate_size": 10**10},
        {"num_hidden_layers": 10**9, "hidden_size": 1, "num_attention_heads": 1},
        {"hidden_size": 10**30, "num_attention_heads": 1},
    ],
)
def test_absurd_sizes_are_refused(sizes):
    with pytest.raises(
        ValueError, match=r"at most 1024 layers and 10,000,000,000 |from 1 to 10,000,000,000"
    ):
        DnaBertConfig(**sizes)


def test_round_trip_through_json(tmp_path):
    config = DnaBertConfig(hidden_size=96, window_size=None, hidden_dropout_prob=0.25)
    config.save_pretrained(tmp_path)
    again = DnaBertConfig.from_pretrained(tmp_path)
    assert again.to_dict() == config.to_dict() | {
        "transformers_version": again.to_dict().get("transformers_version")
    }
    assert again.window_size is None
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "dnabert"


def test_published_fields_are_read_and_others_dropped():
    config = DnaBertConfig.from_published(
        {
            "model_type": "bert",
            "hidden_size": 24,
            "num_attention_heads": 4,
            "hidden_act": "gelu",
            "pad_token_id": 0,
            "auto_map": {"AutoModel": "code.Model"},
            "attn_implementation": "somebody/kernel",
        }
    )
    assert config.hidden_size == 24
    assert config.pad_token_id == 3
    assert not hasattr(config, "auto_map")
    assert config._attn_implementation is None


def test_another_activation_is_refused():
    with pytest.raises(ValueError, match="hidden_act='gelu' is expected, got 'relu'"):
        DnaBertConfig.from_published({"hidden_act": "relu"})
