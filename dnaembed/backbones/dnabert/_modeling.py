"""The DNABERT-2 / DNABERT-S encoder: a BERT with ALiBi instead of positions, and gated MLPs."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from .._protocol import Mixing
from ._configuration import DnaBertConfig

#: From queries, keys and values to what tokens take from each other; all of shape
#: (..., n_tokens, n_heads, head_size). Which tokens belong together, the callable knows.
Attention = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]

# Added to the scores of padding in the reference. Finite, so that a row without any key to attend
# to is nonsense rather than NaN.
_MASKED = -10_000.0
# Rows that go through an MLP at a time on a CPU: enough for matrix products at full speed, and
# few enough for what lies between them to be memory that is mapped already.
_ROWS = 1024


def alibi_slopes(n_heads: int) -> torch.Tensor:
    """Slope of each head: how fast its attention falls with distance (arXiv:2108.12409).

    A geometric series for a power of two; else the series of the next lower power of two, then
    every other slope of twice that many heads.
    """
    power = 2 ** math.floor(math.log2(n_heads))
    exponents = [8 * (head + 1) / power for head in range(power)]
    exponents += [8 * (head + 1) / (2 * power) for head in range(0, 2 * power, 2)]
    return 2.0 ** -torch.tensor(exponents[:n_heads], dtype=torch.float64).float()


class DnaBertLayer(nn.Module):
    """Attention, then a gated MLP, each with residual and normalisation; for any shape of batch."""

    # Dictionaries of modules, which give the weights their published names.
    attention: Any
    mlp: Any

    def __init__(self, config: DnaBertConfig) -> None:
        super().__init__()
        size, inner, eps = config.hidden_size, config.intermediate_size, config.layer_norm_eps
        self.n_heads = config.num_attention_heads
        heads = nn.ModuleDict({"Wqkv": nn.Linear(size, 3 * size)})
        output = {"dense": nn.Linear(size, size), "LayerNorm": nn.LayerNorm(size, eps=eps)}
        self.attention = nn.ModuleDict({"self": heads, "output": nn.ModuleDict(output)})
        widen, narrow = nn.Linear(size, 2 * inner, bias=False), nn.Linear(inner, size)
        norm = nn.LayerNorm(size, eps=eps)
        self.mlp = nn.ModuleDict({"gated_layers": widen, "wo": narrow, "layernorm": norm})
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, hidden: torch.Tensor, attend: Attention) -> torch.Tensor:
        query_key_value = self.attention.self.Wqkv(hidden)
        query, key, value = query_key_value.unflatten(-1, (3, self.n_heads, -1)).unbind(-3)
        context = attend(query, key, value).flatten(-2)
        return self.feed_forward(self.add_context(hidden, context))

    def add_context(self, hidden: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """Project what the heads found, add it, normalise."""
        output = self.attention.output
        return output.LayerNorm(self.dropout(output.dense(context)) + hidden)

    def feed_forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Go through the gated linear unit with exact GELU, add, normalise."""
        # Of a packed batch on a CPU, without gradients, some rows at a time.
        if hidden.dim() > 2 or hidden.device.type != "cpu" or torch.is_grad_enabled():
            return self._feed_forward(hidden)
        return torch.cat([self._feed_forward(rows) for rows in hidden.split(_ROWS)])

    def _feed_forward(self, hidden: torch.Tensor) -> torch.Tensor:
        gate, value = self.mlp.gated_layers(hidden).chunk(2, dim=-1)
        inner = functional.gelu(gate)
        # Nothing is kept for a backward pass that does not come.
        inner = inner * value if torch.is_grad_enabled() else inner.mul_(value)
        return self.mlp.layernorm(self.mlp.wo(self.dropout(inner)) + hidden)


class DnaBertModel(PreTrainedModel):
    """The encoder of DNABERT-2 (arXiv:2306.15006) and DNABERT-S (arXiv:2402.08777).

    Names of the parameters are those of the published weights, without their pooler, which no
    embedding goes through. Attention is always computed by fused kernels.

    Parameters
    ----------
    config : DnaBertConfig
        Sizes.

    Examples
    --------
    >>> import torch
    >>> from dnaembed.backbones import DnaBertConfig, DnaBertModel
    >>> config = DnaBertConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
    ...                        intermediate_size=64, vocab_size=16)
    >>> model = DnaBertModel(config).eval()
    >>> model(torch.tensor([[1, 5, 6, 7, 2]])).last_hidden_state.shape
    torch.Size([1, 5, 32])
    """

    embeddings: Any
    encoder: Any
    # What transformers needs to know to load, save and place the encoder.
    config: DnaBertConfig
    config_class = DnaBertConfig
    base_model_prefix = "bert"
    _no_split_modules = ["DnaBertLayer"]  # noqa: RUF012 - the type that transformers declares
    _supports_sdpa = True

    def __init__(self, config: DnaBertConfig) -> None:
        super().__init__(config)
        size = config.hidden_size
        words = nn.Embedding(config.vocab_size, size)
        segments = nn.Embedding(config.type_vocab_size, size)
        norm = nn.LayerNorm(size, eps=config.layer_norm_eps)
        parts = {"word_embeddings": words, "token_type_embeddings": segments, "LayerNorm": norm}
        self.embeddings = nn.ModuleDict(parts)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        layers = nn.ModuleList(DnaBertLayer(config) for _ in range(config.num_hidden_layers))
        self.encoder = nn.ModuleDict({"layer": layers})
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """Return the word embeddings."""
        return self.embeddings.word_embeddings

    def embed_tokens(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Return what enters the first layer: words and the first segment, normalised."""
        parts = self.embeddings
        words = parts.word_embeddings(input_ids) + parts.token_type_embeddings.weight[0]
        return self.dropout(parts.LayerNorm(words))

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        mixing: Mixing | None = None,
    ) -> BaseModelOutput:
        """Return the ``last_hidden_state``, (n, length, hidden_size), undefined at padding.

        Token ids and mask are of shape (n, length). No token attends to padding, where the mask is
        0; after rows were mixed, to what is padding in either of the mixed rows.
        """
        hidden = self.embed_tokens(input_ids)
        attend = self._padded_attention(hidden, attention_mask)
        for index, layer in enumerate(self.encoder.layer):
            if mixing is not None and mixing.layer == index:
                hidden = mixing.mix(hidden)
                if attention_mask is not None:
                    attend = self._padded_attention(hidden, mix_mask(attention_mask, mixing))
            hidden = layer(hidden, attend)
        return BaseModelOutput(last_hidden_state=hidden)

    def _padded_attention(
        self, hidden: torch.Tensor, attention_mask: torch.Tensor | None
    ) -> Attention:
        """Make the attention of every layer: ALiBi, and the mask where there is one."""
        n_heads, length = self.config.num_attention_heads, hidden.shape[1]
        # Rows start at multiples of 64 elements, as the fused kernels of GPUs want them.
        place = torch.arange(64 * math.ceil(length / 64), device=hidden.device).float()
        distance = (place[:, None] - place).abs()
        line = -alibi_slopes(n_heads).to(hidden.device)[:, None, None] * distance
        bias = line.to(hidden.dtype)[None, :, :length, :length]
        # Without padding the rows share one bias: it saves (n, heads, length, length) numbers.
        if attention_mask is not None and not bool(attention_mask.all()):
            bias = torch.where(attention_mask.bool()[:, None, None, :], bias, _MASKED)
        dropout_p = self.config.attention_probs_dropout_prob if self.training else 0.0

        def attend(*qkv: torch.Tensor) -> torch.Tensor:
            query, key, value = (x.transpose(1, 2) for x in qkv)
            return functional.scaled_dot_product_attention(
                query, key, value, attn_mask=bias, dropout_p=dropout_p
            ).transpose(1, 2)

        return attend


def mix_mask(attention_mask: torch.Tensor, mixing: Mixing) -> torch.Tensor:
    """Keep the positions that are padding neither in the row nor in its partner."""
    return attention_mask * attention_mask[mixing.permutation.to(attention_mask.device)]
