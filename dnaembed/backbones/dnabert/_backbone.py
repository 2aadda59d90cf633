"""The DNABERT-2 / DNABERT-S encoder as a `Backbone`."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from tokenizers import Tokenizer

from ...utils._chunks import iter_chunks
from .._checkpoint import shown, write_json
from .._protocol import Backbone, Mixing, register_backbone
from ._configuration import DnaBertConfig
from ._modeling import Attention, DnaBertModel, alibi_slopes, mix_mask
from ._packed_attention import attend
from ._tokenizer import SPECIAL_TOKENS, load_tokenizer, train_bpe_tokenizer

# What the tokenizers library holds of a token is some hundred bytes, so encode a part at a time.
_CHUNK_BASES = 1 << 21
_PREFIXES = ("module.", "dnabert2.", "bert.")
# The head of masked language modelling and the pooler: no embedding goes through them.
_UNUSED = ("cls.", "pooler.")


@register_backbone
class DnaBertBackbone(Backbone):
    """A DNABERT-2 / DNABERT-S encoder and its tokenizer.

    Parameters
    ----------
    model : DnaBertModel
        The encoder.
    tokenizer : tokenizers.Tokenizer
        Turns DNA into ``[CLS] ... [SEP]``; has a ``[PAD]``.

    Examples
    --------
    >>> from dnaembed.backbones import DnaBertBackbone
    >>> sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    >>> backbone = DnaBertBackbone.create(sizes, ["ACGACGACGTTT", "ACGACG"], seed=0)
    >>> backbone.embed(backbone.pack(backbone.featurize(["ACGACGT", "TTTTTTTTTT"]))).shape
    torch.Size([2, 32])
    """

    __module__ = "dnaembed.backbones"

    pads = False
    model_class = DnaBertModel
    other_model_types = ("bert",)  # of the published DNABERT-2 and DNABERT-S
    model: DnaBertModel

    def __init__(self, model: DnaBertModel, tokenizer: Tokenizer) -> None:
        super().__init__(model)
        self.tokenizer = tokenizer
        self._pad_id = _pad_id(tokenizer)

    @classmethod
    def create(cls, sizes: Mapping[str, Any], pieces: Iterable[str], *, seed: int) -> Self:
        """Make a new model with random weights, and train its tokenizer on pieces."""
        tokenizer = train_bpe_tokenizer(pieces, vocab_size=sizes.get("vocab_size", 4096))
        sizes = {**sizes, "vocab_size": tokenizer.get_vocab_size()}
        return cls(cls._random_model(sizes, seed), tokenizer)

    @classmethod
    def read_config(cls, fields: Mapping[str, Any]) -> DnaBertConfig:
        """Read the fields of ours, or of the published ``config.json``."""
        if (activation := fields.get("hidden_act", "gelu")) != "gelu":
            raise ValueError(f"hidden_act='gelu' is expected, got {shown(activation)}.")
        # The tokenizer knows the id of [PAD] better.
        return super().read_config({k: v for k, v in fields.items() if k != "pad_token_id"})

    @classmethod
    def rename_weight(cls, name: str) -> str | None:
        """Return the model's name of a published tensor; None if no embedding needs it."""
        stripped = name
        while stripped.startswith(_PREFIXES):
            stripped = stripped.partition(".")[2]
        return None if stripped.startswith(_UNUSED) else stripped

    @classmethod
    def load_others(cls, folder: Path, config: DnaBertConfig) -> tuple[Tokenizer]:
        """Load the tokenizer."""
        tokenizer = load_tokenizer(folder / "tokenizer.json", config.vocab_size)
        config.pad_token_id = _pad_id(tokenizer)
        return (tokenizer,)

    def save_others(self, folder: Path) -> None:
        """Write the tokenizer, and what transformers needs to know of it."""
        self.tokenizer.save(str(folder / "tokenizer.json"))
        names = {f"{token[1:-1].lower()}_token": token for token in SPECIAL_TOKENS}
        settings = {"tokenizer_class": "PreTrainedTokenizerFast", **names}
        write_json(folder / "tokenizer_config.json", settings)
        write_json(folder / "special_tokens_map.json", names)

    def others_text(self) -> str:
        """Return the tokenizer, for the fingerprint."""
        return self.tokenizer.to_str()

    @property
    def embedding_size(self) -> int:
        """Columns of the embedding: those of the hidden states."""
        return self.model.config.hidden_size

    @property
    def default_budget(self) -> int:
        """Tokens of a batch: enough to keep the device busy."""
        # Twice as many are no faster on a CPU; in bfloat16 those of a GPU take about a gigabyte.
        return 2048 if self.model.device.type == "cpu" else 32_768

    def featurize(self, sequences: Sequence[str]) -> list[np.ndarray]:
        """Return the token ids of each sequence, ``[CLS]`` and ``[SEP]`` included, as int64."""
        return [
            np.asarray(encoding.ids, dtype=np.int64)
            for part in iter_chunks(sequences, len, _CHUNK_BASES)
            for encoding in self.tokenizer.encode_batch_fast(part)
        ]

    def cost(self, features: np.ndarray) -> int:
        """Tokens of a sequence."""
        return len(features)

    def collate(self, features: Sequence[np.ndarray]) -> dict[str, torch.Tensor]:
        """Pad to the longest: ``input_ids`` and ``attention_mask``, (n, length), int64."""
        lengths = np.asarray([len(ids) for ids in features])
        inside = np.arange(lengths.max()) < lengths[:, None]
        input_ids = np.full(inside.shape, self._pad_id, dtype=np.int64)
        input_ids[inside] = np.concatenate(features)
        mask = torch.from_numpy(inside.astype(np.int64))
        return {"input_ids": torch.from_numpy(input_ids), "attention_mask": mask}

    def pack(self, features: Sequence[np.ndarray]) -> dict[str, torch.Tensor]:
        """Chain sequences without padding: ``input_ids``, (n_tokens,), and ``lengths``, (n,)."""
        lengths = torch.tensor([len(ids) for ids in features])
        return {"input_ids": torch.from_numpy(np.concatenate(features)), "lengths": lengths}

    def embed(
        self, batch: Mapping[str, torch.Tensor], mixing: Mixing | None = None
    ) -> torch.Tensor:
        """Average the last hidden states over the tokens, ``[CLS]`` and ``[SEP]`` included.

        With mixing, over the positions that are not padding in either of the mixed rows.
        """
        self.check_mixing(mixing)
        if "lengths" in batch:
            if mixing is not None:
                raise ValueError("Mixing takes a batch made by collate, got one made by pack.")
            lengths = batch["lengths"]
            hidden = encode_packed(self.model, batch["input_ids"], lengths).float()
            return torch.stack([part.mean(dim=0) for part in hidden.split(lengths.tolist())])
        mask = batch["attention_mask"]
        hidden = self.model(batch["input_ids"], mask, mixing).last_hidden_state
        if mixing is not None:
            mask = mix_mask(mask, mixing)
        weights = mask.unsqueeze(-1).float()
        return (hidden.float() * weights).sum(dim=1) / weights.sum(dim=1)


def _pad_id(tokenizer: Tokenizer) -> int:
    pad_id = tokenizer.token_to_id("[PAD]")
    if pad_id is None:
        raise ValueError("A tokenizer with a token [PAD] is expected.")
    return pad_id


def encode_packed(
    model: DnaBertModel, input_ids: torch.Tensor, lengths: torch.Tensor
) -> torch.Tensor:
    """Return the last hidden states of chained sequences, (n_tokens, hidden_size)."""
    with torch.no_grad():
        hidden = model.embed_tokens(input_ids)
        attention = choose_attention(model, lengths, hidden)
        for layer in model.encoder.layer:
            hidden = layer(hidden, attention)
    return hidden


def choose_attention(model: DnaBertModel, lengths: torch.Tensor, hidden: torch.Tensor) -> Attention:
    """Choose the attention within each sequence by what the device is good at."""
    device = hidden.device
    slopes = alibi_slopes(model.config.num_attention_heads)
    if device.type == "cuda":
        # Imported here, as it brings torch's compiler, which a CPU does not need.
        from ._flex_attention import FlexAttention, flex_is_usable

        head_size = hidden.shape[1] // len(slopes)
        if flex_is_usable(device, len(slopes), head_size, hidden.dtype):
            return FlexAttention(lengths, slopes, len(hidden), device)
    return partial(attend, lengths=lengths.tolist(), slopes=slopes.to(device))
