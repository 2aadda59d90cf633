"""Recipes: what `dnaembed train` needs to make a model again from a folder of genomes."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from inspect import signature
from pathlib import Path
from typing import Any

import torch

from ..backbones import (
    Backbone,
    DnaBertBackbone,
    DnaBertConfig,
    DnaBertModel,
    KmerProfileBackbone,
    KmerProfileConfig,
    KmerProfileModel,
    load_backbone,
    train_bpe_tokenizer,
)
from ..backbones._device import DTYPES, move
from ..datasets._genomes import GenomeStore
from ..datasets._read_errors import ErrorModel
from ..utils._randomness import derive_seed, seeded
from ._config import TrainingConfig
from ._fit_profile import add_linear_part, fit_profile_statistics
from ._pair_batch import PairSource
from ._pairs import GenomePairs

#: What a recipe says by default: the sections that a recipe file may have.
DEFAULTS: dict[str, dict[str, Any]] = {
    "model": {"architecture": "kmer_profile"},
    "pairs": {},
    "training": {"batch_size": 256, "learning_rate": 1e-3, "checkpoint_every": 500},
    "linear": {},
    "output": {"dtype": "float32"},
}

_NOT_IN_A_RECIPE = frozenset({"kwargs", "backbone", "source"})

# Pieces from which a tokenizer is trained: from steps that no training reaches.
_FIRST_STEP = 2**40
_TOKENIZER_BATCHES = 16
_TOKENIZER_PAIRS = 256


def read_recipe(path: str | os.PathLike[str]) -> dict[str, dict[str, Any]]:
    """Read a recipe from a TOML or JSON file.

    Parameters
    ----------
    path : path-like
        A ``.toml`` (where ``"none"`` stands for None) or ``.json`` file with any of the sections
        ``model`` (``architecture`` and sizes, or ``path`` of a model to start from), ``pairs``
        (parameters of `GenomePairs`), ``training`` (parameters of `TrainingConfig`), ``linear``
        (parameters of `add_linear_part`, for k-mer models; without them nothing is added) and
        ``output`` (``dtype`` of the weights).

    Returns
    -------
    dict of str to dict
        The sections.

    Raises
    ------
    ValueError
        If the file is neither, or has other sections.
    """
    path = Path(path)
    try:
        if path.suffix == ".toml":
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        elif path.suffix == ".json":
            content = json.loads(path.read_text(encoding="utf-8"))
        else:
            raise ValueError("a recipe is a .toml or a .json file")
    except ValueError as error:  # of both decoders, too
        raise ValueError(f"{path}: {error}.") from None
    if not isinstance(content, dict) or not all(isinstance(v, dict) for v in content.values()):
        raise ValueError(f"{path}: a recipe has sections, each with names and values.")
    unknown = sorted(set(content) - set(DEFAULTS))
    if unknown:
        raise ValueError(f"{path}: unknown sections {unknown}; there are {sorted(DEFAULTS)}.")
    # TOML has no null.
    return {
        name: {key: None if value == "none" else value for key, value in section.items()}
        for name, section in content.items()
    }


def merge_recipes(*recipes: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Merge recipes, section by section; later ones win."""
    merged: dict[str, dict[str, Any]] = {name: {} for name in DEFAULTS}
    for recipe in recipes:
        for name, section in recipe.items():
            if name == "model" and "path" in section:
                merged[name] = {}  # a model to start from has its own architecture
            merged[name] |= deepcopy(dict(section))
    return merged


def make_pairs(store: GenomeStore, section: Mapping[str, Any], *, seed: int) -> GenomePairs:
    """Make the pair source of a recipe; an own ``seed`` in the section wins."""
    values = {"seed": seed} | dict(section)
    known = [name for name in signature(GenomePairs).parameters if name != "store"]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ValueError(f"Unknown parameters of pairs {unknown}; there are {known}.")
    for name, value in values.items():
        if isinstance(value, list):
            values[name] = tuple(value)
    if isinstance(values.get("error_model"), Mapping):
        values["error_model"] = ErrorModel(**values["error_model"])
    return GenomePairs(store, **values)


def make_backbone(section: Mapping[str, Any], source: PairSource, *, seed: int) -> Backbone:
    """Make the model of a recipe, with random weights or from one that exists.

    Parameters
    ----------
    section : mapping
        ``path``: a bundled name, folder or hub id; or ``architecture``: "kmer_profile" or
        "dnabert", and the parameters of its configuration.
    source : PairSource
        Where a new k-mer model takes its statistics from and a new transformer its tokens.
    seed : int
        Of the weights.

    Returns
    -------
    Backbone
        On the CPU, in evaluation mode.

    Raises
    ------
    ValueError
        If there is no such architecture, or a parameter is unknown.
    """
    values = dict(section)
    if "path" in values:
        path = values.pop("path")
        if set(values) - {"revision", "cache_dir", "local_files_only"}:
            raise ValueError(f"A model that exists takes no sizes, got {sorted(values)}.")
        return load_backbone(path, **values)
    architecture = values.pop("architecture", "kmer_profile")
    if architecture == "kmer_profile":
        _check_names(values, KmerProfileConfig, "the model")
        with seeded(derive_seed(seed), torch.device("cpu")):
            kmer = KmerProfileBackbone(KmerProfileModel(KmerProfileConfig(**values)).eval())
        fit_profile_statistics(kmer, source)
        return kmer
    if architecture == "dnabert":
        _check_names(values, DnaBertConfig, "the model")
        tokenizer = train_bpe_tokenizer(_pieces(source), vocab_size=values.get("vocab_size", 4096))
        values["vocab_size"] = tokenizer.get_vocab_size()
        with seeded(derive_seed(seed), torch.device("cpu")):
            model = DnaBertModel(DnaBertConfig(**values))
        return DnaBertBackbone(model.eval(), tokenizer)
    raise ValueError(f"architecture must be 'kmer_profile' or 'dnabert', got {architecture!r}.")


def check_finish(recipe: Mapping[str, Mapping[str, Any]], backbone: Backbone) -> None:
    """Refuse wrong sections ``linear`` and ``output`` before the training, not after it."""
    output = dict(recipe["output"])
    if output.pop("dtype", "float32") not in DTYPES or output:
        raise ValueError(f"output takes a dtype out of {sorted(DTYPES)}, got {recipe['output']}.")
    if recipe["linear"]:
        if not isinstance(backbone, KmerProfileBackbone):
            raise ValueError("Only a k-mer profile model has a linear part.")
        _check_names(recipe["linear"], add_linear_part, "the linear part")


def finish_backbone(
    backbone: Backbone, recipe: Mapping[str, Mapping[str, Any]], source: PairSource
) -> Backbone:
    """Do to a trained model what the sections ``linear`` and ``output`` ask for.

    Parameters
    ----------
    backbone : Backbone
        The trained model, on the CPU.
    recipe : mapping
        All sections, as `check_finish` lets them pass.
    source : PairSource
        Pieces of real species, for the linear part.

    Returns
    -------
    Backbone
        The model to save.
    """
    if recipe["linear"] and isinstance(backbone, KmerProfileBackbone):
        backbone = add_linear_part(backbone, source, **recipe["linear"])
    move(backbone.model, dtype=DTYPES[recipe["output"].get("dtype", "float32")])
    return backbone


def make_config(section: Mapping[str, Any], *, seed: int) -> TrainingConfig:
    """Make the hyperparameters of a recipe; an own ``seed`` in the section wins."""
    return TrainingConfig.from_dict({"seed": seed} | dict(section))


def _check_names(values: Mapping[str, Any], function: Callable[..., Any], what: str) -> None:
    known = [n for n in signature(function).parameters if n not in _NOT_IN_A_RECIPE]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ValueError(f"Unknown parameters of {what} {unknown}; there are {known}.")


def _pieces(source: PairSource) -> Iterator[str]:
    for step in range(_TOKENIZER_BATCHES):
        batch = source.sample(_FIRST_STEP + step, _TOKENIZER_PAIRS)
        yield from batch.view1
        yield from batch.view2
