"""Models behind the embedders, and how to load them.

A *backbone* is the part of an embedder that computes: a model with what turns DNA into its input.
"""

from ._convert import convert_checkpoint
from ._kmer_profile import KmerProfileBackbone, KmerProfileConfig, KmerProfileModel
from ._load import load_backbone, shared_backbone
from ._protocol import Backbone, Mixing, register_backbone
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
    "KmerProfileBackbone",
    "KmerProfileConfig",
    "KmerProfileModel",
    "Mixing",
    "convert_checkpoint",
    "load_backbone",
    "load_projection_head",
    "register_backbone",
    "shared_backbone",
    "train_bpe_tokenizer",
]
