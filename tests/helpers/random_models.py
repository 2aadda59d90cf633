"""Small models with random weights, made on the spot."""

import torch

from dnaembed.backbones import DnaBertBackbone, KmerProfileBackbone

SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "initializer_range": 0.3,  # so that every base matters
}


def random_dnabert(tokenizer, seed=0, **config):
    """Return a backbone of these sizes, the same at every call, in evaluation mode."""
    sizes = {"vocab_size": tokenizer.get_vocab_size(), **SIZES, **config}
    return DnaBertBackbone(DnaBertBackbone._random_model(sizes, seed), tokenizer)


def random_profile(seed=0, **config):
    """Return a k-mer network of these sizes, in evaluation mode."""
    return KmerProfileBackbone.create(config, [], seed=seed)


def embed(backbone, sequences, mixing=None):
    """Embed sequences as a padded batch."""
    with torch.inference_mode():
        return backbone.embed(backbone.collate(backbone.featurize(sequences)), mixing)
