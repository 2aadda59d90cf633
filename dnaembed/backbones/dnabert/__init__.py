"""The DNABERT-2 / DNABERT-S encoder: configuration, model, tokenizer and backbone."""

from ._backbone import DnaBertBackbone
from ._configuration import DnaBertConfig
from ._modeling import DnaBertModel, alibi_slopes
from ._tokenizer import train_bpe_tokenizer

__all__ = [
    "DnaBertBackbone",
    "DnaBertConfig",
    "DnaBertModel",
    "alibi_slopes",
    "train_bpe_tokenizer",
]
