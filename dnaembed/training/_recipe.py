"""Recipes, and `train_model`: from folders of genomes to a model."""

import json
import logging
import os
import shutil
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from ..backbones import Backbone, KmerProfileBackbone, load_backbone
from ..backbones._device import DTYPES, resolve_device
from ..backbones._protocol import backbone_class, config_parameters, registered_backbones
from ..datasets._genomes import GenomeStore, domain_of_labels, list_genomes
from ..utils._atomic import atomic_output
from ..utils._randomness import derive_seed
from ._config import TrainingConfig, check_names
from ._fit_profile import UNUSED_STEP, add_linear_part, fit_profile_statistics, with_linear
from ._pairs import GenomePairs, PairSource
from ._step import join_processes
from ._trainer import ContrastiveTrainer

logger = logging.getLogger("dnaembed")

#: What a recipe says by default: the sections that a recipe file may have.
DEFAULTS: dict[str, dict[str, Any]] = {
    "model": {"architecture": "kmer_profile"},
    "pairs": {},
    "training": {"batch_size": 256, "learning_rate": 1e-3, "checkpoint_every": 500},
    "linear": {},
    "output": {"dtype": "float32"},
}

_NOT_IN_A_RECIPE = frozenset({"kwargs", "backbone", "source", "store"})

_TOKENIZER_BATCHES = 16
_TOKENIZER_PAIRS = 256


def train_model(
    genomes: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    recipe: Mapping[str, Mapping[str, Any]] | None = None,
    output: str | os.PathLike[str] = "run",
    *,
    split: str | None = None,
    validation_split: str | None = None,
    resume: bool = False,
    device: str | torch.device | None = None,
    seed: int = 0,
) -> Backbone:
    """Train a model on folders of genomes, as ``dnaembed train`` does.

    Parameters
    ----------
    genomes : path-like, or sequence of these
        Folders of genomes, each with its catalogue; see `list_genomes`.
    recipe : mapping of str to mapping, default=None
        Sections ``model``, ``pairs``, ``training``, ``linear`` and ``output``, with the values
        that differ from the defaults; see :doc:`/guide/training`. None: a k-mer model.
    output : path-like, default="run"
        New folder of the run: ``model`` is the result, ``best`` the best model so far, ``log.csv``
        the course of the loss.
    split, validation_split : str, default=None
        Train on this split of the catalogue only; measure the loss on that, of other species.
    resume : bool, default=False
        Continue the run in `output` from its newest checkpoint.
    device : str or torch.device, default=None
        Where to compute; the best there is if None or "auto".
    seed : int, default=0
        Of the weights, the pairs and the training, where the recipe has no seed of its own.

    Returns
    -------
    Backbone
        The trained model. Of several processes, only the first one has the linear part of a k-mer
        model and the precision of the section ``output``.

    Raises
    ------
    FileExistsError, ValueError
        If `output` holds a run (that is complete, with `resume`), the recipe has unknown names or
        values out of range or differs from that of the run, or there are no genomes.

    Examples
    --------
    >>> import tempfile
    >>> from dnaembed.datasets import save_demo_reads
    >>> from dnaembed.training import train_model
    >>> recipe = {
    ...     "model": {"k": [3], "hidden_size": 16, "intermediate_size": 16},
    ...     "training": {"n_steps": 2, "batch_size": 8},
    ... }
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_demo_reads(f"{folder}/demo")
    ...     model = train_model(f"{folder}/demo/genomes", recipe, f"{folder}/run")
    >>> model.model.config.k
    [3]
    """
    run = Path(output)
    folders = [genomes] if isinstance(genomes, str | os.PathLike) else list(genomes)
    device = None if device is None or str(device) == "auto" else resolve_device(str(device))
    process, n_processes, _ = join_processes(device)
    merged = merge_recipes(DEFAULTS, recipe or {})
    config = TrainingConfig.from_dict({"seed": seed} | merged["training"])
    _check_section(merged["linear"], add_linear_part, "parameters of the linear part")
    dtype = merged["output"].get("dtype", "float32")
    if dtype not in DTYPES or set(merged["output"]) - {"dtype"}:
        raise ValueError(f"output takes a dtype out of {sorted(DTYPES)}, got {merged['output']}.")
    splits = {"genomes": split}
    if validation_split is not None:
        splits["validation-genomes"] = validation_split
    with _nothing_left(run):
        if not process:
            missing = {name: one for name, one in splits.items() if not (run / name).exists()}
            records = {name: list_genomes(folders, split=one) for name, one in missing.items()}
            for name, listed in records.items():  # before the work
                if len(labels := domain_of_labels(listed)) == 1:
                    where = f"all {name} are of {next(iter(labels))!r}"
                    raise ValueError(f"At least two species are needed to learn from, and {where}.")
            places = [str(Path(folder).resolve()) for folder in folders]
            given: dict[str, Any] = {"genomes": places if len(places) > 1 else places[0]}
            given |= {"seed": seed, "split": split, "validation_split": validation_split}
            _open_run(run, given | merged, resume)
            for name, listed in records.items():  # once for all processes and runs
                GenomeStore.build(listed, run / name)
        if n_processes > 1:
            distributed.barrier()
        store = GenomeStore(run / "genomes")
        source = make_pairs(store, merged["pairs"], seed=seed)
        validation = None
        if validation_split is not None:
            # Other species, and so other domains perhaps: all labels weigh the same.
            section = merged["pairs"] | {"domain_weights": None, "seed": seed + 1}
            validation = make_pairs(GenomeStore(run / "validation-genomes"), section, seed=seed)
        if not process and not (run / "start").exists():
            make_backbone(merged["model"], source, seed=seed).save(run / "start")
        if n_processes > 1:
            distributed.barrier()
        backbone = load_backbone(run / "start")
        if linear := merged["linear"]:
            if not isinstance(backbone, KmerProfileBackbone):
                raise ValueError("Only a k-mer profile model has a linear part.")
            with_linear(backbone.model.config, **linear)  # now, not after the training
        trainer = ContrastiveTrainer(
            backbone, source, config, validation_source=validation, output_dir=run, device=device
        )
    backbone = trainer.train(resume=resume)
    backbone.model.to("cpu")
    if not process:
        if merged["linear"] and isinstance(backbone, KmerProfileBackbone):
            real = make_pairs(store, merged["pairs"] | {"virtual_share": 0.0}, seed=seed)
            backbone = add_linear_part(backbone, real, **merged["linear"])
        backbone.model.to(dtype=getattr(torch, dtype))
        backbone.save(run / "model")
        logger.info("Wrote %s.", run / "model")
    return backbone


@contextmanager
def _nothing_left(run: Path) -> Iterator[None]:
    """Remove a run that is refused before it begins, so that the next one finds no folder."""
    was_there = run.exists()
    try:
        yield
    except (TypeError, ValueError):
        if not was_there:
            shutil.rmtree(run, ignore_errors=True)
        raise


def _open_run(run: Path, content: Mapping[str, Any], resume: bool) -> None:
    """Make the folder of a run, or check that it is the run to continue."""
    content = json.loads(json.dumps(content))
    note = run / "recipe.json"
    if note.exists():
        if (run / "model").exists():
            raise FileExistsError(f"{run} holds a run that is complete: see {run / 'model'}.")
        if not resume:
            raise FileExistsError(f"{run} holds a run; give resume (--resume) or another folder.")
        before = json.loads(note.read_text(encoding="utf-8"))
        # Hyperparameters are the business of the trainer: some may change.
        changed = [k for k in content if k != "training" and content[k] != before.get(k)]
        if changed:
            raise ValueError(f"{run} was begun with other values of {', '.join(changed)}.")
    elif run.exists() and any(run.iterdir()):
        raise FileExistsError(f"{run} exists and holds something other than a run.")
    run.mkdir(parents=True, exist_ok=True)
    with atomic_output(note) as beside:
        beside.write_text(json.dumps(content, indent=2), encoding="utf-8")


def read_recipe(path: str | os.PathLike[str]) -> dict[str, dict[str, Any]]:
    """Read the sections of a ``.toml`` or ``.json`` file, where ``"none"`` stands for None."""
    path = Path(path)
    loads = {".toml": tomllib.loads, ".json": json.loads}.get(path.suffix)
    try:
        if loads is None:
            raise ValueError("a recipe is a .toml or a .json file")
        content = loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # of both decoders, too
        raise ValueError(f"{path}: {error}.") from None
    if not isinstance(content, dict) or not all(isinstance(v, dict) for v in content.values()):
        raise ValueError(f"{path}: a recipe has sections, each with names and values.")
    unknown = sorted(set(content) - set(DEFAULTS))
    if unknown:
        raise ValueError(f"{path}: unknown sections {unknown}; there are {sorted(DEFAULTS)}.")
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
    _check_section(values, GenomePairs, "parameters of pairs")
    return GenomePairs(store, **values)


def make_backbone(section: Mapping[str, Any], source: PairSource, *, seed: int) -> Backbone:
    """Make the model of a recipe: one that exists, or a new one, with statistics of the source."""
    values = dict(section)
    if path := values.pop("path", None):
        if values:
            raise ValueError(f"A model that exists takes no sizes, got {sorted(values)}.")
        return load_backbone(path)
    architecture = values.pop("architecture", "kmer_profile")
    kind = backbone_class(architecture)
    if kind is None or architecture in kind.other_model_types:
        kinds = registered_backbones().items()
        names = sorted(name for name, one in kinds if name not in one.other_model_types)
        raise ValueError(f"architecture must be one of {', '.join(names)}, got {architecture!r}.")
    parameters = dict.fromkeys(config_parameters(kind.model_class.config_class))
    check_names(values, parameters, "parameters of the model")
    steps = range(UNUSED_STEP, UNUSED_STEP + _TOKENIZER_BATCHES)
    batches = (source.sample(step, _TOKENIZER_PAIRS) for step in steps)
    pieces = (view for batch in batches for view in (*batch.view1, *batch.view2))
    backbone = kind.create(values, pieces, seed=derive_seed(seed))
    if isinstance(backbone, KmerProfileBackbone):
        fit_profile_statistics(backbone, source)
    return backbone


def _check_section(values: Mapping[str, Any], function: Callable[..., Any], what: str) -> None:
    parameters = signature(function).parameters.items()
    check_names(values, {n: p.default for n, p in parameters if n not in _NOT_IN_A_RECIPE}, what)
