"""The DNABERT-2 / DNABERT-S encoder: configuration, model, tokenizer and backbone."""

from transformers import AutoConfig, AutoModel

from ._configuration import DnaBertConfig
from ._modeling import DnaBertModel, alibi_slopes

AutoConfig.register(DnaBertConfig.model_type, DnaBertConfig, exist_ok=True)
AutoModel.register(DnaBertConfig, DnaBertModel, exist_ok=True)

__all__ = ["DnaBertConfig", "DnaBertModel", "alibi_slopes"]
