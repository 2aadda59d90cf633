"""What the embedder and the trainer need of a model, and what all models do alike."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

import numpy as np

from ..utils._atomic import atomic_folder
from ..utils._randomness import seeded
from ..utils._torch import torch
from ._checkpoint import (
    MAX_PARAMETERS,
    content_digest,
    load_weights,
    numbers,
    read_json,
    weights_file,
    weights_state,
    write_json,
    write_weights,
)

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Mixing:
    """Mix the rows of a batch at the input of one hidden layer (Manifold Instance Mixup).

    Row ``i`` of the hidden state becomes ``c_i h_i + (1 - c_i) h_perm(i)``.

    Attributes
    ----------
    layer : int
        Hidden layer whose input is mixed, from 0 to ``n_mixing_layers - 1``.
    permutation, coefficients : torch.Tensor of shape (n,), int64 and float
        The partner of each row, and the share of the row itself, from 0 to 1.

    Examples
    --------
    >>> import torch
    >>> from dnaembed.backbones import Mixing
    >>> mixing = Mixing(0, torch.tensor([1, 0]), torch.tensor([1.0, 0.25]))
    >>> mixing.mix(torch.tensor([4.0, 8.0]))
    tensor([4., 5.])
    """

    layer: int
    permutation: torch.Tensor
    coefficients: torch.Tensor

    def mix(self, rows: torch.Tensor) -> torch.Tensor:
        """Mix each row, (n, ...) and on any device, with its partner."""
        shares = self.coefficients.to(rows).view(-1, *[1] * (rows.dim() - 1))
        return shares * rows + (1 - shares) * rows[self.permutation.to(rows.device)]


class Backbone(ABC):
    """A model that turns DNA into vectors: featurise a batch, collate it, embed it.

    A subclass names its `model_class`, and `register_backbone` makes it known.

    Parameters
    ----------
    model : torch.nn.Module
        The parameters. It has a ``config``, whose ``model_type`` names the architecture, a
        ``device`` and a ``dtype``, as models of transformers have.
    """

    #: The class of `model`; its ``config_class`` has the ``model_type`` that folders name.
    model_class: ClassVar[Any]
    #: Other values of ``model_type`` whose folders `from_folder` reads.
    other_model_types: ClassVar[tuple[str, ...]] = ()
    #: Whether both strands have the same embedding by construction.
    strand_invariant: ClassVar[bool] = False
    #: Whether each item of a batch of `pack` costs as much as the costliest.
    pads: ClassVar[bool] = True
    #: Whether an operation on a batch is large enough to be worth more than one thread of a CPU.
    shares_operations: ClassVar[bool] = True
    #: Whether a GPU or a lower precision would hardly make it faster.
    is_light = False
    model: Any
    _fingerprint: tuple[Any, str] | None = None

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    @property
    @abstractmethod
    def default_budget(self) -> int:
        """Cost units (see `cost`) that a batch may hold unless the user says otherwise."""

    @property
    @abstractmethod
    def embedding_size(self) -> int:
        """Columns of the embedding."""

    @property
    def n_parameters(self) -> int:
        """Numbers in the weights."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    @property
    def precision(self) -> str:
        """Name of the type of the weights, such as ``"float32"``."""
        return str(self.model.dtype).removeprefix("torch.")

    @property
    def device_type(self) -> str:
        """Where the model lies: ``"cpu"``, ``"cuda"`` or others."""
        return str(self.model.device.type)

    @property
    def n_mixing_layers(self) -> int:
        """Layers whose input can be mixed, counted from 0; one, the input, without a network."""
        return max(1, self.model.config.num_hidden_layers)

    @property
    def window_size(self) -> int | None:
        """Longest piece, in bp, that the model should see in one pass; None for any length."""
        return getattr(self.model.config, "window_size", None)

    @abstractmethod
    def featurize(self, sequences: Sequence[str]) -> list[np.ndarray]:
        """Turn normalised sequences into one feature array each (token ids, k-mer counts)."""

    @abstractmethod
    def cost(self, features: np.ndarray) -> int:
        """Budget units that a sequence takes in a batch: its tokens, or 1 for a profile."""

    @abstractmethod
    def collate(self, features: Sequence[np.ndarray]) -> dict[str, torch.Tensor]:
        """Stack features into a batch on the CPU; row i belongs to ``features[i]``."""

    def pack(self, features: Sequence[np.ndarray]) -> dict[str, torch.Tensor]:
        """Make a batch on the CPU to embed without gradients; `collate` unless overridden."""
        return self.collate(features)

    @abstractmethod
    def embed(
        self, batch: Mapping[str, torch.Tensor], mixing: Mixing | None = None
    ) -> torch.Tensor:
        """Embed a batch on the model's device: (n, embedding_size), float32, not normalised.

        The batch is as `collate` makes it, or as `pack` does: then without gradients and mixing.
        """

    def embed_plainly(self, sequences: Sequence[str], n_rows: int) -> np.ndarray | None:
        """Embed normalised sequences, `n_rows` at a time; None to do it in batches."""
        return None

    def check_mixing(self, mixing: Mixing | None) -> None:
        """Raise if rows are to be mixed at a layer that does not exist."""
        if mixing is not None and not 0 <= mixing.layer < self.n_mixing_layers:
            raise ValueError(
                f"mixing.layer must be from 0 to {self.n_mixing_layers - 1}, got {mixing.layer}."
            )

    def fine_tuning_rate(self, labelled: bool) -> float:
        """Learning rate to adapt the model with, for reads with or without labels."""
        return 1e-5

    @classmethod
    def create(cls, sizes: Mapping[str, Any], pieces: Iterable[str], *, seed: int) -> Self:
        """Make a new model of some sizes with random weights, on the CPU in evaluation mode.

        A tokenizer is trained on `pieces`, normalised sequences, if the architecture needs one.
        """
        return cls(cls._random_model(sizes, seed))

    @classmethod
    def _random_model(cls, sizes: Mapping[str, Any], seed: int) -> Any:
        with seeded(seed, torch.device("cpu")):
            return cls.model_class(cls.model_class.config_class(**sizes)).eval()

    @classmethod
    def from_folder(cls, folder: str | PathLike[str]) -> Self:
        """Load a folder that `save` wrote, in float32, on the CPU, in evaluation mode."""
        folder = Path(folder)
        fields = read_json(folder / "config.json")
        try:
            config = cls.read_config(fields)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{folder / 'config.json'}: {error}") from error
        others = cls.load_others(folder, config)
        file = weights_file(folder)
        with torch.inference_mode(False):
            with torch.device("meta"):
                model = cls.model_class(config)
            # The tensors are still without numbers.
            n_parameters = sum(tensor.numel() for tensor in model.state_dict().values())
            if n_parameters > MAX_PARAMETERS:
                raise ValueError(
                    f"{folder / 'config.json'}: a model of at most {MAX_PARAMETERS:,} parameters "
                    f"is expected, got {n_parameters:,}."
                )
            load_weights(model, file, rename=cls.rename_weight)
        return cls(model.eval(), *others)

    @classmethod
    def read_config(cls, fields: Mapping[str, Any]) -> Any:
        """Make the configuration from the fields of ``config.json`` that its class names."""
        # Others are not read: they could ask transformers for code from the hub.
        known = config_parameters(cls.model_class.config_class)
        return cls.model_class.config_class(**{n: fields[n] for n in known if n in fields})

    @classmethod
    def rename_weight(cls, name: str) -> str | None:
        """Return the model's name of a stored tensor; None to leave it out."""
        return name

    @classmethod
    def load_others(cls, folder: Path, config: Any) -> tuple[Any, ...]:
        """Load what ``__init__`` takes after the model, such as a tokenizer."""
        return ()

    def save_others(self, folder: Path) -> None:  # noqa: B027 - most models have nothing else
        """Write what `load_others` loads."""

    def others_text(self) -> str:
        """Return what beside sizes and weights decides an embedding, for the fingerprint."""
        return ""

    def fingerprint(self) -> str:
        """Return a digest of sizes, weights and tokenizer: equal if and only if these are."""
        state = weights_state(self.model)
        if self._fingerprint is None or self._fingerprint[0] != state:
            config = self.model.config
            left_out = getattr(config, "training_fields", ())
            fields = {n: v for n, v in _config_fields(config).items() if n not in left_out}
            digest = content_digest(fields, self.others_text(), numbers(self.model))
            self._fingerprint = state, digest
        return self._fingerprint[1]

    def save(self, folder: str | PathLike[str], *, card: str | None = None) -> None:
        """Write a folder that `load_backbone` loads again bit for bit.

        The folder must be new or empty, and appears complete or not at all. `card` is Markdown
        with a YAML header; one that states the sizes if None.
        """
        Path(folder).parent.mkdir(parents=True, exist_ok=True)
        sizes = _config_fields(self.model.config)
        if card is None:
            lines = (f"- {name}: {value}" for name, value in sizes.items())
            about = (sizes["model_type"], self.n_parameters, self.embedding_size, "\n".join(lines))
            card = read_card().format(*about)
        with atomic_folder(folder, overwrite=False) as temporary:
            fields = sizes | {"architectures": [type(self.model).__name__], "dtype": self.precision}
            write_json(temporary / "config.json", dict(sorted(fields.items())))
            write_weights(self.model, temporary)
            self.save_others(temporary)
            (temporary / "README.md").write_text(card, encoding="utf-8")


_B = TypeVar("_B", bound=type[Backbone])
# By the model_type of config.json.
_BACKBONES: dict[str, type[Backbone]] = {}


def register_backbone(backbone: _B) -> _B:
    """Make a class of models known by the ``model_type`` of its configuration; a decorator.

    Its folders can then be loaded everywhere, a model of transformers also by ``AutoModel``.

    Parameters
    ----------
    backbone : type
        A subclass of `Backbone`, which replaces an earlier one of the same ``model_type``.

    Returns
    -------
    type
        The class itself.
    """
    model, config = backbone.model_class, backbone.model_class.config_class
    for model_type in (config.model_type, *backbone.other_model_types):
        _BACKBONES[model_type] = backbone
    if hasattr(model, "from_pretrained"):
        from transformers import AutoConfig, AutoModel

        AutoConfig.register(config.model_type, config, exist_ok=True)
        AutoModel.register(config, model, exist_ok=True)
    return backbone


def registered_backbones() -> dict[str, type[Backbone]]:
    """Return the classes of models by the ``model_type`` of the folders that they read."""
    # They register themselves; torch and transformers take seconds to import.
    from . import _kmer_profile, dnabert  # noqa: F401

    return dict(_BACKBONES)


def backbone_class(model_type: Any) -> type[Backbone] | None:
    """Return the class of models that reads a ``model_type``, if there is one."""
    if not isinstance(model_type, str):
        return None
    from . import _kmer_profile  # noqa: F401, without transformers

    return _BACKBONES.get(model_type) or registered_backbones().get(model_type)


def config_parameters(config_class: Any) -> list[str]:
    """Return the names of the parameters that a configuration has of its own."""
    of_transformers = (c for c in config_class.__mro__ if c.__module__.startswith("transformers."))
    inherited = inspect.signature(next(of_transformers, object).__init__).parameters
    own = inspect.signature(config_class.__init__).parameters
    return [n for n, p in own.items() if n not in inherited and p.kind is not p.VAR_KEYWORD]


def _config_fields(config: Any) -> dict[str, Any]:
    fields = {name: getattr(config, name) for name in config_parameters(type(config))}
    return fields | {"model_type": config.model_type}


def read_card(name: str = "card.md") -> str:
    """Return the text of a model card, with places for what differs between models."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
