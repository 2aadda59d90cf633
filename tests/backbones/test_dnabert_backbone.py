import copy
import json
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import BPE
from transformers import AutoTokenizer

from dnaembed.backbones import DnaBertBackbone, Mixing, load_backbone, train_bpe_tokenizer
from tests.helpers.random_models import embed

TOLERANCE = 1e-5
dna = st.text("ACGTN", min_size=1, max_size=120)


@pytest.fixture(scope="module")
def shared(make_backbone):
    """One backbone for all examples of a property."""
    return make_backbone()


def check_packed(backbone, sequences, atol):
    packed = backbone.embed(backbone.pack(backbone.featurize(sequences)))
    torch.testing.assert_close(packed, embed(backbone, sequences), atol=atol, rtol=0)


@given(st.lists(dna, min_size=1, max_size=6))
def test_packed_is_padded_without_the_padding(shared, sequences):
    check_packed(shared, sequences, atol=1e-5)


@pytest.mark.parametrize("n_heads", [8, 12])
def test_packed_is_padded_for_long_sequences(make_backbone, n_heads):
    backbone = make_backbone(num_attention_heads=n_heads, hidden_size=96)
    rng = np.random.default_rng(0)
    sequences = ["".join(rng.choice(list("ACGT"), n)) for n in (2000, 700, 700, 7, 1)]
    assert max(len(f) for f in backbone.featurize(sequences)) > 600
    check_packed(backbone, sequences, atol=1e-4)


def test_packed_leaves_no_gradient_and_takes_no_mixing(shared):
    batch = shared.pack(shared.featurize(["ACGT", "GGCATTA"]))
    assert batch["input_ids"].shape == (int(batch["lengths"].sum()),)
    assert not shared.embed(batch).requires_grad
    mixing = Mixing(0, torch.tensor([1, 0]), torch.tensor([0.5, 0.5]))
    with pytest.raises(ValueError, match="Mixing takes a batch made by collate"):
        shared.embed(batch, mixing)


def test_features_are_token_ids(shared):
    first, second = shared.featurize(["ACGTACGTT", "N"])
    assert first.dtype == np.int64
    assert first.tolist() == shared.tokenizer.encode("ACGTACGTT").ids
    assert second.tolist() == [1, 0, 2]
    assert shared.cost(second) == 3
    assert shared.featurize([]) == []


def test_features_do_not_depend_on_the_parts_encoded_at_a_time(shared, monkeypatch, reads):
    whole = shared.featurize(reads)
    monkeypatch.setattr("dnaembed.backbones.dnabert._backbone._CHUNK_BASES", 300)
    parts = shared.featurize(reads)
    assert [f.tolist() for f in parts] == [f.tolist() for f in whole]


def test_batches_are_padded_with_the_tokenizers_pad(shared):
    batch = shared.collate([np.array([1, 5, 2]), np.array([1, 5, 6, 7, 2])])
    assert batch["input_ids"].tolist() == [[1, 5, 2, 3, 3], [1, 5, 6, 7, 2]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]


def test_embedding_is_the_mean_of_all_tokens(shared):
    (ids,) = shared.featurize(["ACGTACGTTA"])
    with torch.inference_mode():
        hidden = shared.model(torch.from_numpy(ids)[None]).last_hidden_state
    torch.testing.assert_close(embed(shared, ["ACGTACGTTA"])[0], hidden[0].mean(0))


@given(sequence=dna, extra=st.integers(1, 200), pad=st.integers(0, 59))
def test_padding_does_not_matter_however_long_and_whatever_it_holds(shared, sequence, extra, pad):
    batch = shared.collate(shared.featurize([sequence]))
    values = {"input_ids": pad, "attention_mask": 0}
    longer = torch.nn.functional.pad
    padded = {name: longer(batch[name], (0, extra), value=v) for name, v in values.items()}
    with torch.inference_mode():
        got, expected = shared.embed(padded), shared.embed(batch)
    torch.testing.assert_close(got, expected, rtol=0, atol=TOLERANCE)


@given(sequences=st.lists(dna, min_size=2, max_size=5), layer=st.integers(0, 2))
def test_mixing_with_oneself_or_not_at_all_changes_nothing(shared, sequences, layer):
    n = len(sequences)
    shares = torch.linspace(0.3, 0.9, n)
    expected = embed(shared, sequences)
    with_itself = embed(shared, sequences, Mixing(layer, torch.arange(n), shares))
    torch.testing.assert_close(with_itself, expected, rtol=0, atol=TOLERANCE)
    # Rows of one length: no mask to intersect.
    same = [sequence[:1] for sequence in sequences]
    alone = embed(shared, same, Mixing(layer, torch.arange(n).roll(1), torch.ones(n)))
    torch.testing.assert_close(alone, embed(shared, same), rtol=0, atol=TOLERANCE)


def test_saved_pickled_and_copied_bit_for_bit(backbone, tmp_path):
    backbone.save(tmp_path / "model")
    again = load_backbone(tmp_path / "model")
    assert isinstance(again, DnaBertBackbone)
    assert not again.model.training
    for name, tensor in backbone.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], tensor)
    assert again.tokenizer.to_str() == backbone.tokenizer.to_str()
    assert again.fingerprint() == backbone.fingerprint()
    sequences = ["ACGTTGCA" * 5, "GGN"]
    assert torch.equal(embed(again, sequences), embed(backbone, sequences))
    for twin in (pickle.loads(pickle.dumps(backbone)), copy.deepcopy(backbone)):
        assert torch.equal(embed(twin, sequences), embed(backbone, sequences))
        assert twin.fingerprint() == backbone.fingerprint()
    again.save(tmp_path / "again")
    for name in ("config.json", "model.safetensors", "tokenizer.json", "README.md"):
        first, second = tmp_path / "model" / name, tmp_path / "again" / name
        assert first.read_bytes() == second.read_bytes()


def test_half_precision_is_saved_as_such_and_loaded_as_float32(backbone, tmp_path):
    backbone.model.half()
    backbone.save(tmp_path / "model")
    single = backbone.model.num_parameters() * 4
    assert (tmp_path / "model" / "model.safetensors").stat().st_size < 0.7 * single
    again = load_backbone(tmp_path / "model")
    assert again.model.dtype == torch.float32
    assert again.fingerprint() == backbone.fingerprint()


def test_save_takes_a_card_and_never_overwrites(backbone, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    backbone.save(tmp_path / "empty")
    card = (tmp_path / "empty" / "README.md").read_text()
    assert f"{backbone.model.num_parameters():,} parameters" in card
    backbone.save(tmp_path / "own", card="# Mine\n")
    assert (tmp_path / "own" / "README.md").read_text() == "# Mine\n"
    with pytest.raises(FileExistsError, match="exists and is not empty"):
        backbone.save(tmp_path / "empty")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileExistsError, match="is a file; the name of a folder is expected"):
        backbone.save(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"
    monkeypatch.delattr("dnaembed.backbones._protocol.write_weights")
    with pytest.raises(NameError):
        backbone.save(tmp_path / "broken")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file", "own"]


def test_fingerprint_is_of_the_content_and_computed_once(make_backbone, monkeypatch):
    backbone = make_backbone()
    fingerprint = backbone.fingerprint()
    assert fingerprint == make_backbone().fingerprint()
    sizes = {"num_hidden_layers": 2}, {"num_attention_heads": 3}, {"layer_norm_eps": 1e-5}
    others = [make_backbone(**options) for options in ({"seed": 1}, *sizes)]
    tokenizer = train_bpe_tokenizer(["AACCA" * 9], vocab_size=20)
    others.append(DnaBertBackbone(backbone.model, tokenizer))
    assert len({fingerprint, *(other.fingerprint() for other in others)}) == 6
    # What does not change an embedding does not count.
    assert make_backbone(hidden_dropout_prob=0.3, window_size=99).fingerprint() == fingerprint
    monkeypatch.delattr("dnaembed.backbones._protocol.content_digest")
    assert backbone.fingerprint() == fingerprint


@pytest.mark.parametrize("how", ["step", "data", "cast", "one_tensor"])
def test_fingerprint_follows_the_weights(backbone, how):
    before = backbone.fingerprint()
    model = backbone.model
    if how == "step":
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
        backbone.embed(backbone.collate(backbone.featurize(["ACGT"]))).sum().backward()
        optimizer.step()
    elif how == "data":
        for parameter in model.parameters():
            parameter.data.mul_(1.001)
    elif how == "cast":
        model.to(torch.bfloat16).to(torch.float32)
    else:
        with torch.no_grad():
            model.encoder.layer[1].mlp.wo.bias[3] += 1
    assert backbone.fingerprint() != before


def test_loaded_in_inference_mode_and_trained_after(backbone, tmp_path):
    backbone.save(tmp_path / "model")
    state = torch.get_rng_state()
    with torch.inference_mode():
        again = load_backbone(tmp_path / "model")
    assert torch.equal(torch.get_rng_state(), state)
    mixing = Mixing(1, torch.tensor([1, 0]), torch.tensor([0.7, 0.6]))
    again.embed(again.collate(again.featurize(["ACGT", "GGCATACCA"])), mixing).sum().backward()
    assert again.model.embeddings.word_embeddings.weight.grad.abs().max() > 0
    assert again.fingerprint() == backbone.fingerprint()


def test_a_tokenizer_without_padding_is_refused(backbone):
    with pytest.raises(ValueError, match=r"with a token \[PAD\] is expected"):
        DnaBertBackbone(backbone.model, Tokenizer(BPE()))


def test_what_is_saved_beside_the_weights(make_backbone, tmp_path):
    sizes = {"hidden_dropout_prob": 0.3, "attention_probs_dropout_prob": 0.2, "window_size": 1234}
    backbone = make_backbone(initializer_range=0.07, **sizes)
    backbone.save(tmp_path / "model")
    config = load_backbone(tmp_path / "model").model.config
    assert sizes.items() <= vars(config).items()
    assert config.initializer_range == 0.07
    # What the transformers library needs to know of the tokenizer.
    tokens = {f"{name}_token": f"[{name.upper()}]" for name in ("unk", "cls", "sep", "pad", "mask")}
    files = ("special_tokens_map.json", "tokenizer_config.json")
    first, second = (json.loads((tmp_path / "model" / name).read_text()) for name in files)
    assert first == tokens
    assert second == {"tokenizer_class": "PreTrainedTokenizerFast", **tokens}
    theirs = AutoTokenizer.from_pretrained(tmp_path / "model")
    assert theirs.pad_token_id == backbone.model.config.pad_token_id
    (ids,) = backbone.featurize(["ACGTTGCANNACG"])
    assert theirs("ACGTTGCANNACG")["input_ids"] == ids.tolist()
