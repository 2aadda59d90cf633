"""Byte-pair tokens of DNA: load a tokenizer, or train one of the same kind."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import BpeTrainer

from ...utils._messages import printable
from .._checkpoint import check_inside

# Their order is that of the published tokenizer: [UNK] is 0, [PAD] is 3.
SPECIAL_TOKENS = ("[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]")
_MAX_BYTES = 16_000_000
_PRE_TOKENIZERS = (None, "Whitespace", "WhitespaceSplit")
_NOT_BASES = re.compile("[^ACGT]+")


def load_tokenizer(file: Path, vocab_size: int) -> Tokenizer:
    """Read a ``tokenizer.json``, and check that it is one for DNA and fits the model.

    Truncation and padding that the file may ask for are switched off: sequences keep their
    length, and batches are padded by the backbone. The frame is ``[CLS] ... [SEP]``.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, it is no tokenizer, asks for anything but byte-pair encoding of
        the letters as they are, lacks ``[CLS]``, ``[SEP]``, ``[PAD]`` or a base, or has tokens
        that the model has no embedding for.
    """
    if not file.is_file():
        raise FileNotFoundError(f"{file}: file not found; the folder holds no tokenizer.")
    if file.stat().st_size > _MAX_BYTES:
        raise ValueError(f"{file}: at most {_MAX_BYTES:,} bytes are expected.")
    check_inside(file)
    try:
        content = json.loads(file.read_bytes())
        _check_content(content, vocab_size)
        # Neither is wanted; and tokenizers panics at the first sequence if a frame is damaged.
        content |= {"truncation": None, "padding": None, "post_processor": None, "decoder": None}
        tokenizer = Tokenizer.from_str(json.dumps(content))
    except RecursionError as error:
        raise ValueError(f"{file}: not a valid tokenizer: nested too deeply") from error
    except Exception as error:  # tokenizers raises nothing more specific
        raise ValueError(f"{file}: not a valid tokenizer: {printable(str(error), 300)}") from error
    lacking = [
        token for token in (*SPECIAL_TOKENS[:4], *"ACGT") if tokenizer.token_to_id(token) is None
    ]
    if lacking:
        raise ValueError(f"{file}: the tokenizer has no token {', '.join(lacking)}.")
    largest = max(tokenizer.get_vocab().values())
    if largest >= vocab_size:
        raise ValueError(
            f"{file}: tokens up to {largest:,} in the tokenizer, but the model's vocab_size is "
            f"{vocab_size}."
        )
    _frame_sequences(tokenizer)
    return tokenizer


def _check_content(content: Any, vocab_size: int) -> None:
    """Raise if a parsed file asks for more than byte-pair tokens of the letters as they are.

    Other steps that the format knows can repeat a letter a million times, search with patterns
    that take forever, or draw tokens at random.
    """
    if not isinstance(content, dict) or not isinstance(content.get("model"), dict):
        raise ValueError("an object with a 'model' is expected")
    model = content["model"]
    expected: list[tuple[str, Any, tuple[Any, ...]]] = [
        ("model", model.get("type"), ("BPE",)),
        ("normalizer", _type(content.get("normalizer")), (None,)),
        ("pre_tokenizer", _type(content.get("pre_tokenizer")), _PRE_TOKENIZERS),
        ("dropout", model.get("dropout"), (None, 0)),
        ("unk_token", model.get("unk_token"), ("[UNK]",)),
        ("continuing_subword_prefix", model.get("continuing_subword_prefix"), (None, "")),
        ("end_of_word_suffix", model.get("end_of_word_suffix"), (None, "")),
        ("byte_fallback", model.get("byte_fallback"), (None, False)),
    ]
    for name, value, allowed in expected:
        if not isinstance(value, str | int | None) or value not in allowed:
            raise ValueError(
                f"{name} must be {' or '.join(map(repr, allowed))}, got {printable(repr(value))}"
            )
    vocabulary, added = model.get("vocab"), content.get("added_tokens")
    if not isinstance(vocabulary, dict) or not isinstance(added, list):
        raise ValueError("a table 'vocab' and a list 'added_tokens' are expected")
    if "[UNK]" not in vocabulary:
        raise ValueError("the tokenizer has no token [UNK]")
    if max(len(vocabulary), len(added)) > vocab_size:
        # With as many tokens as numbers, the largest number is told below.
        largest = max((i for i in vocabulary.values() if isinstance(i, int)), default=0)
        raise ValueError(
            f"tokens up to {printable(str(largest))} in the tokenizer, but the model's vocab_size "
            f"is {vocab_size}"
        )


def _type(step: Any) -> Any:
    return step.get("type", "a step without a type") if isinstance(step, dict) else step


def train_bpe_tokenizer(
    sequences: Iterable[str], *, vocab_size: int = 4096, min_frequency: int = 2
) -> Tokenizer:
    """Train a tokenizer of the kind that DNABERT-2 uses, on your own sequences.

    Byte-pair encoding: from the four bases, the most frequent pair of adjacent tokens becomes a
    token of its own, again and again. Ids are those of the published tokenizer: ``[UNK]`` 0,
    ``[CLS]`` 1, ``[SEP]`` 2, ``[PAD]`` 3, ``[MASK]`` 4, bases 5 to 8, merges after them. No token
    spans an N.

    Parameters
    ----------
    sequences : iterable of str
        Normalised sequences (see `dnaembed.normalize_sequence`); one pass, so an iterator will do.
        A few megabases are plenty: time and memory grow with them, and pairs of bases are soon
        counted well enough.
    vocab_size : int, default=4096
        Tokens, special ones included; fewer where the sequences run out of pairs.
    min_frequency : int, default=2
        Occurrences that a pair needs to become a token.

    Returns
    -------
    tokenizers.Tokenizer
        Encodes a sequence as ``[CLS] ... [SEP]``; ``save(path)`` writes a ``tokenizer.json``.

    Raises
    ------
    ValueError
        If `vocab_size` leaves no room for the special tokens and the bases.

    References
    ----------
    .. [1] Zhou et al., "DNABERT-2: efficient foundation model and benchmark for multi-species
       genome", ICLR 2024. arXiv:2306.15006.

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
        _without_gaps(sequences),
        BpeTrainer(
            vocab_size=vocab_size,
            min_frequency=min_frequency,
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


def _without_gaps(sequences: Iterable[str]) -> Iterator[str]:
    # The pre-tokenizer splits at white space, so that no pair is counted across an N.
    for sequence in sequences:
        yield _NOT_BASES.sub(" ", sequence)
