"""Byte-pair tokens of DNA: load a tokenizer, or train one of the same kind."""

import re
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import BpeTrainer

from ...utils._messages import printable
from .._checkpoint import read_json

# Their order is that of the published tokenizer: [UNK] is 0, [PAD] is 3.
SPECIAL_TOKENS = ("[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]")
_NOT_BASES = re.compile("[^ACGT]+")


def load_tokenizer(file: Path, vocab_size: int) -> Tokenizer:
    """Build a tokenizer from the vocabulary and the merges of a ``tokenizer.json``.

    Nothing else of the file is read: other steps that the format knows can repeat a letter a
    million times, search with patterns that take forever, or draw tokens at random.
    """
    content = read_json(file)
    model = content.get("model")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    merges = model.get("merges") if isinstance(model, dict) else None
    if not isinstance(vocabulary, dict) or not isinstance(merges, list):
        expected = "a 'model' with a table 'vocab' and a list 'merges' is expected"
        raise ValueError(f"{file}: not a byte-pair tokenizer: {expected}.")
    lacking = [token for token in (*SPECIAL_TOKENS[:4], *"ACGT") if token not in vocabulary]
    if lacking:
        raise ValueError(f"{file}: the tokenizer has no token {', '.join(lacking)}.")
    for token, number in vocabulary.items():
        if type(number) is not int or not 0 <= number < vocab_size:
            token, number = (printable(repr(value)) for value in (token, number))
            has = f"token {token} has the number {number}"
            raise ValueError(f"{file}: {has}, but the model's vocab_size is {vocab_size}.")
    try:
        pairs = [tuple(pair.split(" ") if isinstance(pair, str) else pair) for pair in merges]
        tokenizer = Tokenizer(BPE(vocab=vocabulary, merges=pairs, unk_token="[UNK]"))
    except Exception as error:  # tokenizers raises nothing more specific
        raise ValueError(f"{file}: not a valid tokenizer: {printable(str(error), 300)}") from error
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.add_special_tokens([token for token in SPECIAL_TOKENS if token in vocabulary])
    _frame_sequences(tokenizer)
    return tokenizer


def train_bpe_tokenizer(sequences: Iterable[str], *, vocab_size: int = 4096) -> Tokenizer:
    """Train a tokenizer of the kind that DNABERT-2 (arXiv:2306.15006) uses, on your sequences.

    Byte-pair encoding, from the four bases on, of pairs that occur twice. Special tokens are those
    of the published tokenizer, with their ids. No token spans an N.

    Parameters
    ----------
    sequences : iterable of str
        Normalised (see `dnaembed.normalize_sequence`); a few megabases are plenty.
    vocab_size : int, default=4096
        Tokens, at least the special ones and the bases; fewer where there are no pairs left.

    Returns
    -------
    tokenizers.Tokenizer
        Encodes a sequence as ``[CLS] ... [SEP]``; ``save(path)`` writes a ``tokenizer.json``.

    Examples
    --------
    >>> from dnaembed.backbones import train_bpe_tokenizer
    >>> tokenizer = train_bpe_tokenizer(["ACGACGACGTTT", "ACGACG"], vocab_size=11)
    >>> tokenizer.encode("ACGACGTN").tokens
    ['[CLS]', 'ACG', 'ACG', 'T', '[UNK]', '[SEP]']
    """
    fewest = len(SPECIAL_TOKENS) + 4
    if vocab_size < fewest:
        raise ValueError(f"vocab_size must be at least {fewest}, got {vocab_size}.")
    tokenizer = Tokenizer(BPE(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.train_from_iterator(
        # The pre-tokenizer splits at white space, so that no pair is counted across an N.
        (_NOT_BASES.sub(" ", sequence) for sequence in sequences),
        BpeTrainer(
            vocab_size=vocab_size,
            min_frequency=2,
            special_tokens=list(SPECIAL_TOKENS),
            initial_alphabet=list("ACGT"),
            show_progress=False,
        ),
    )
    _frame_sequences(tokenizer)
    return tokenizer


def _frame_sequences(tokenizer: Tokenizer) -> None:
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")],
    )
