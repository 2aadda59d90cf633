"""Models behind the embedders, and how to load them."""

from ._convert import convert_checkpoint
from ._load import load_backbone, shared_backbone
from ._protocol import Backbone, Mixing
from .dnabert import (
    DnaBertBackbone,
    DnaBertConfig,
    DnaBertModel,
    load_projection_head,
    train_bpe_tokenizer,
)

__all__ = [
    "Backbone",
    "DnaBertBackbone",
    "DnaBertConfig",
    "DnaBertModel",
    "Mixing",
    "convert_checkpoint",
    "load_backbone",
    "load_projection_head",
    "shared_backbone",
    "train_bpe_tokenizer",
]
