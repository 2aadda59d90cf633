"""Models behind the embedders, and how to load them.

A *backbone* is the part of an embedder that computes: a model with what turns DNA into its input.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._load import convert_checkpoint, load_backbone, shared_backbone
from ._protocol import Backbone, Mixing, register_backbone

if TYPE_CHECKING:
    from ._kmer_profile import KmerProfileBackbone, KmerProfileConfig, KmerProfileModel
    from .dnabert import DnaBertBackbone, DnaBertConfig, DnaBertModel, train_bpe_tokenizer

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
    "register_backbone",
    "shared_backbone",
    "train_bpe_tokenizer",
]


def __getattr__(name: str) -> Any:
    # Loaded on first use: torch and transformers take seconds.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "._kmer_profile" if name.startswith("Kmer") else ".dnabert"
    return getattr(import_module(module, __name__), name)
