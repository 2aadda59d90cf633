"""Configuration of the DNABERT-2 / DNABERT-S encoder."""

from typing import Any, ClassVar

from transformers import PreTrainedConfig

from .._checkpoint import (
    MAX_COLUMNS,
    MAX_LAYERS,
    MAX_PARAMETERS,
    MIN_WINDOW,
    check_integer,
    check_number,
)

# Work grows with the square of a window, and the memory of a bias with the number of heads.
_MAX_WINDOW = 100_000
_MAX_HEADS = 256


class DnaBertConfig(PreTrainedConfig):
    """Sizes of a `DnaBertModel`; the defaults are those of DNABERT-2 117M.

    Field names are those of the published ``config.json``; a size out of range raises ValueError.
    There is no longest sequence: positions enter only through ALiBi.

    Parameters
    ----------
    vocab_size : int, default=4096
        Entries of the tokenizer.
    hidden_size : int, default=768
        Columns of the hidden states, and of the embedding; a multiple of `num_attention_heads`.
    num_hidden_layers, num_attention_heads : int, default=12, 12
        Layers, and heads per layer.
    intermediate_size : int, default=3072
        Width of the gated MLP after its gate.
    hidden_dropout_prob, attention_probs_dropout_prob : float, default=0.1, 0.0
        Dropout of the hidden states, and of the attention weights, in training.
    layer_norm_eps, initializer_range : float, default=1e-12, 0.02
        Added to variances in layer normalisations; standard deviation of fresh weights.
    type_vocab_size : int, default=2
        Segment embeddings; DNA uses the first.
    pad_token_id : int, default=3
        The tokenizer's ``[PAD]``. The published file says 0, which is ``[UNK]``.
    window_size : int or None, default=10_000
        Longest piece, in bp, that the model should see in one pass: what it was trained on. From
        64 to 100,000, which None stands for.
    **kwargs : dict
        Passed on to `transformers.PreTrainedConfig`.

    Examples
    --------
    >>> from dnaembed.backbones import DnaBertConfig
    >>> DnaBertConfig(num_hidden_layers=2).hidden_size
    768
    """

    model_type = "dnabert"
    #: Fields that do not change what the model computes in evaluation mode.
    training_fields: ClassVar[tuple[str, ...]] = (
        "hidden_dropout_prob",
        "attention_probs_dropout_prob",
        "initializer_range",
        "pad_token_id",
        "window_size",
    )

    def __init__(
        self,
        *,
        vocab_size: int = 4096,
        hidden_size: int = 768,
        num_hidden_layers: int = 12,
        num_attention_heads: int = 12,
        intermediate_size: int = 3072,
        hidden_dropout_prob: float = 0.1,
        attention_probs_dropout_prob: float = 0.0,
        layer_norm_eps: float = 1e-12,
        initializer_range: float = 0.02,
        type_vocab_size: int = 2,
        pad_token_id: int = 3,
        window_size: int | None = 10_000,
        **kwargs: Any,
    ) -> None:
        for name, value, high in (
            ("vocab_size", vocab_size, MAX_PARAMETERS),
            ("hidden_size", hidden_size, MAX_COLUMNS),
            ("num_hidden_layers", num_hidden_layers, MAX_LAYERS),
            ("num_attention_heads", num_attention_heads, _MAX_HEADS),
            ("intermediate_size", intermediate_size, MAX_COLUMNS),
            ("type_vocab_size", type_vocab_size, MAX_COLUMNS),
        ):
            setattr(self, name, check_integer(name, value, high=high))
        for name, number in (
            ("hidden_dropout_prob", hidden_dropout_prob),
            ("attention_probs_dropout_prob", attention_probs_dropout_prob),
            ("layer_norm_eps", layer_norm_eps),
            ("initializer_range", initializer_range),
        ):
            setattr(self, name, check_number(name, number, 1))
        window_size = _MAX_WINDOW if window_size is None else window_size
        self.window_size = check_integer("window_size", window_size, MIN_WINDOW, _MAX_WINDOW)
        if hidden_size % num_attention_heads:
            got = f"{hidden_size} and {num_attention_heads}"
            raise ValueError(f"hidden_size must be a multiple of num_attention_heads, got {got}.")
        super().__init__(**kwargs)
        # Set last: some releases of transformers reset the special tokens in their __init__.
        self.pad_token_id = pad_token_id
