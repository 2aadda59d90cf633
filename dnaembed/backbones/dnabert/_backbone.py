"""The DNABERT-2 / DNABERT-S encoder as a `Backbone`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import nn

from ...utils._chunks import iter_chunks
from .._batches import packed_batches
from .._checkpoint import write_json
from .._int8 import Int8Linear
from .._protocol import Backbone, Mixing, register_backbone
from ._configuration import DnaBertConfig
from ._modeling import DnaBertModel, mix_mask
from ._packed_encoder import encode_packed
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
    >>> import torch
    >>> from dnaembed.backbones import (
    ...     DnaBertBackbone, DnaBertConfig, DnaBertModel, train_bpe_tokenizer)
    >>> tokenizer = train_bpe_tokenizer(["ACGACGACGTTT", "ACGACG"], vocab_size=11)
    >>> config = DnaBertConfig(vocab_size=11, hidden_size=32, num_hidden_layers=2,
    ...                        num_attention_heads=4, intermediate_size=64)
    >>> backbone = DnaBertBackbone(DnaBertModel(config).eval(), tokenizer)
    >>> batch = backbone.pack(backbone.featurize(["ACGACGT", "TTTTTTTTTT"]))
    >>> with torch.inference_mode():
    ...     backbone.embed(batch).shape
    torch.Size([2, 32])
    """

    __module__ = "dnaembed.backbones"

    strand_invariant = False
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
        if fields.get("model_type") == "bert":
            return DnaBertConfig.from_published(fields)
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
        write_json(
            folder / "tokenizer_config.json",
            {"tokenizer_class": "PreTrainedTokenizerFast", **names},
        )
        write_json(folder / "special_tokens_map.json", names)

    def others_text(self) -> str:
        """Return the tokenizer, for the fingerprint."""
        return self.tokenizer.to_str()

    def describe(self) -> str:
        """Return a title and the sizes, for the model card."""
        config = self.model.config
        return f"""\
# DNA encoder

A `dnabert` encoder (the architecture of DNABERT-2 and DNABERT-S) with
{config.n_parameters:,} parameters: {config.num_hidden_layers} layers of {config.hidden_size}
columns and {config.num_attention_heads} heads, {config.vocab_size} tokens. The embedding of a
sequence is the mean of the last hidden states over its tokens.
"""

    @property
    def embedding_size(self) -> int:
        """Columns of the embedding: those of the hidden states."""
        return self.model.config.hidden_size

    @property
    def default_budget(self) -> int:
        """Tokens of a batch: enough to keep the device busy."""
        # Twice as many are no faster on a CPU; in bfloat16 those of a GPU take about a gigabyte.
        return 4096 if self.model.device.type == "cpu" else 32_768

    @property
    def n_mixing_layers(self) -> int:
        """Layers whose input can be mixed: all."""
        return self.model.config.num_hidden_layers

    def featurize(self, sequences: Sequence[str]) -> list[np.ndarray]:
        """Token ids of each sequence, ``[CLS]`` and ``[SEP]`` included.

        Parameters
        ----------
        sequences : sequence of str
            Normalised: upper-case A, C, G, T and N.

        Returns
        -------
        list of ndarray of shape (n_tokens,), int64
        """
        return [
            np.asarray(encoding.ids, dtype=np.int64)
            for part in iter_chunks(sequences, len, _CHUNK_BASES)
            for encoding in self.tokenizer.encode_batch_fast(part)
        ]

    def cost(self, features: np.ndarray) -> int:
        """Tokens of a sequence."""
        return len(features)

    def collate(self, features: Sequence[np.ndarray]) -> dict[str, torch.Tensor]:
        """Pad to the longest.

        Returns
        -------
        dict
            ``input_ids`` and ``attention_mask``, (n, length), int64.
        """
        lengths = np.asarray([len(ids) for ids in features])
        inside = np.arange(lengths.max()) < lengths[:, None]
        input_ids = np.full(inside.shape, self._pad_id, dtype=np.int64)
        input_ids[inside] = np.concatenate(features)
        return {
            "input_ids": torch.from_numpy(input_ids),
            "attention_mask": torch.from_numpy(inside.astype(np.int64)),
        }

    def pack(self, features: Sequence[np.ndarray]) -> dict[str, torch.Tensor]:
        """Put sequences one after the other, without padding.

        Returns
        -------
        dict
            ``input_ids``, (n_tokens,), and ``lengths``, (n,), int64.
        """
        lengths = np.asarray([len(ids) for ids in features], dtype=np.int64)
        return {
            "input_ids": torch.from_numpy(np.concatenate(features)),
            "lengths": torch.from_numpy(lengths),
        }

    def batches(self, costs: Sequence[int], budget: int) -> list[list[int]]:
        """Divide sequences so that the tokens of each batch stay within a budget."""
        return packed_batches(costs, budget)

    def embed(
        self, batch: Mapping[str, torch.Tensor], mixing: Mixing | None = None
    ) -> torch.Tensor:
        """Mean of the last hidden states over the tokens, ``[CLS]`` and ``[SEP]`` included.

        Parameters
        ----------
        batch : mapping
            As `collate` or `pack` makes it, on the device of the model. The latter is much faster
            and takes memory in proportion to the tokens, but has no gradients and no mixing.
        mixing : Mixing, default=None
            Mix the rows at the input of a layer; the mean is then over the positions that are not
            padding in either of the mixed rows.

        Returns
        -------
        torch.Tensor of shape (n, embedding_size), float32
            Whatever the precision of the model.
        """
        self.check_mixing(mixing)
        if "lengths" in batch:
            if mixing is not None:
                raise ValueError("Mixing takes a batch made by collate, got one made by pack.")
            return self._embed_packed(batch["input_ids"], batch["lengths"])
        mask = batch["attention_mask"]
        hidden = self.model(
            input_ids=batch["input_ids"], attention_mask=mask, mixing=mixing
        ).last_hidden_state
        if mixing is not None:
            mask = mix_mask(mask, mixing)
        weights = mask.unsqueeze(-1).float()
        return (hidden.float() * weights).sum(dim=1) / weights.sum(dim=1)

    def _embed_packed(self, input_ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        hidden = encode_packed(self.model, input_ids, lengths).float()
        return torch.stack([part.mean(dim=0) for part in hidden.split(lengths.tolist())])

    @property
    def precision(self) -> torch.dtype:
        """What the model computes in: the type of its weights, int8 after `quantize`."""
        rounded = any(isinstance(module, Int8Linear) for module in self.model.modules())
        return torch.int8 if rounded else self.model.dtype

    def quantize(self) -> None:
        """Round the weights of the linear layers to int8, in place, for inference on a CPU.

        Inputs of the layers are rounded when they come, each token by its own scale; attention,
        normalisation and everything else stay in float32. `save` refuses the result.

        Raises
        ------
        ValueError
            If the model is not on the CPU in float32.
        """
        if (self.model.device.type, self.precision) != ("cpu", torch.float32):
            raise ValueError(
                f"A model on the CPU in float32 is expected, got one on {self.model.device} in "
                f"{self.precision}."
            )
        for layer in self.model.encoder.layer:
            for module in list(layer.modules()):
                for name, child in list(module.named_children()):
                    # torch's product of int8 matrices is wrong for a single column.
                    if isinstance(child, nn.Linear) and child.in_features > 1:
                        setattr(module, name, Int8Linear(child))


def _pad_id(tokenizer: Tokenizer) -> int:
    pad_id = tokenizer.token_to_id("[PAD]")
    if pad_id is None:
        raise ValueError("A tokenizer with a token [PAD] is expected.")
    return pad_id
