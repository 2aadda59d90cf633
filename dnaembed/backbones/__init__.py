"""Models behind the embedders, and how to load them."""

from transformers import AutoConfig, AutoModel

from ._composition import composition_backbone
from ._convert import convert_checkpoint
from ._kmer_profile import KmerProfileBackbone, KmerProfileConfig, KmerProfileModel
from ._load import load_backbone, shared_backbone
from ._protocol import Backbone, Mixing
from .dnabert import (
    DnaBertBackbone,
    DnaBertConfig,
    DnaBertModel,
    load_projection_head,
    train_bpe_tokenizer,
)

AutoConfig.register(DnaBertConfig.model_type, DnaBertConfig, exist_ok=True)
AutoModel.register(DnaBertConfig, DnaBertModel, exist_ok=True)
AutoConfig.register(KmerProfileConfig.model_type, KmerProfileConfig, exist_ok=True)
AutoModel.register(KmerProfileConfig, KmerProfileModel, exist_ok=True)

__all__ = [
    "Backbone",
    "DnaBertBackbone",
    "DnaBertConfig",
    "DnaBertModel",
    "KmerProfileBackbone",
    "KmerProfileConfig",
    "KmerProfileModel",
    "Mixing",
    "composition_backbone",
    "convert_checkpoint",
    "load_backbone",
    "load_projection_head",
    "shared_backbone",
    "train_bpe_tokenizer",
]
