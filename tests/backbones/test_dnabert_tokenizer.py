import pytest

from dnaembed.backbones import train_bpe_tokenizer
from dnaembed.backbones.dnabert._tokenizer import load_tokenizer


def test_special_tokens_and_bases_have_the_published_ids(tokenizer):
    order = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]", "A", "C", "G", "T"]
    assert [tokenizer.token_to_id(token) for token in order] == list(range(9))
    assert tokenizer.get_vocab_size() == 60


def test_no_pair_is_counted_across_an_n():
    # A..A meets C..C only across N, which must not teach the token "AC".
    tokenizer = train_bpe_tokenizer(["AANCCN" * 50], vocab_size=60)
    assert set(tokenizer.get_vocab()) >= {"AA", "CC"}
    assert not any({"A", "C"} <= set(token) for token in tokenizer.get_vocab() if token[0] != "[")


def test_training_takes_one_pass_of_an_iterator_and_is_reproducible():
    reads = ["ACGGT" * 30, "TTGACA" * 20]
    first = train_bpe_tokenizer(iter(reads), vocab_size=40)
    assert first.to_str() == train_bpe_tokenizer(reads, vocab_size=40).to_str()


def test_sequences_that_run_out_of_pairs_give_fewer_tokens():
    assert train_bpe_tokenizer(["ACGT"]).get_vocab_size() == 9


def test_vocabulary_must_hold_the_bases():
    with pytest.raises(ValueError, match="vocab_size must be at least 9, got 8"):
        train_bpe_tokenizer(["ACGT"], vocab_size=8)


@pytest.fixture
def file(tokenizer, tmp_path):
    path = tmp_path / "tokenizer.json"
    tokenizer.save(str(path))
    return path


def test_round_trip(tokenizer, file):
    assert load_tokenizer(file, 60).to_str() == tokenizer.to_str()


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"ACGT", b'{"model": {"type": "BPE"}}', b"[1, 2]", b"\xff\xfe\x00"]
)
def test_a_file_that_is_not_a_tokenizer(file, content):
    file.write_bytes(content)
    message = r"tokenizer\.json: (not a byte-pair tokenizer|not valid JSON|a JSON object)"
    with pytest.raises(ValueError, match=message):
        load_tokenizer(file, 60)
