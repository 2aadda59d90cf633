"""Clusters and bins on disk, for reads that come later: numbers and text, nothing that runs."""

import hashlib
import json
import logging
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ..embedding._mixin import EmbeddingSource
from ..io._embeddings import manifest_path
from ..io._errors import SequenceFileError
from ..io._parts import Finished
from ..utils._atomic import open_output
from ..utils._messages import printable
from ._abundance import AbundanceScale, abundance_share
from ._clusterer import SpeciesClusterer

logger = logging.getLogger("dnaembed")

_FORMAT = "dnaembed clusters"
_VERSION = 1
FilePath = str | os.PathLike[str]


def source_of_file(path: FilePath, rows: np.ndarray) -> EmbeddingSource | None:
    """Read from the manifest beside a ``.npy`` file what its rows were made by; raise if others.

    None if there is no manifest, or one of an older version that is not of these rows.
    """
    if Path(path).suffix.lower() != ".npy" or not manifest_path(path).exists():
        return None
    manifest = manifest_path(path)
    try:
        note = json.loads(manifest.read_text(encoding="utf-8"))
        if "parts" in note:
            for _ in Finished.read(Path(path)).pieces(rows):  # raises if these are others
                pass
        if (note["rows"], note["n_columns"]) != rows.shape:
            return None
        settings = note["settings"]
        model, both_strands = str(settings["model"]), bool(settings["both_strands"])
        return EmbeddingSource(model, settings["window_size"], both_strands)
    except SequenceFileError as error:
        raise SequenceFileError(f"{error} Delete {manifest} if the rows are right.") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        message = "%s is not a manifest of dnaembed embed: %s"
        logger.warning(message, manifest, printable(str(error)))
        return None


def check_source(
    path: FilePath,
    clusterer: SpeciesClusterer,
    saved: EmbeddingSource | None,
    source: EmbeddingSource | None,
    n_columns: int,
) -> None:
    """Raise if saved clusters and embeddings are not of one model; warn if nobody can tell."""
    if saved is not None and source is not None and not saved.agrees_with(source):
        raise ValueError(f"{path} was made with {saved}, but these embeddings with {source}.")
    if n_columns != clusterer.n_features_in_:
        made = f"was made of embeddings of {clusterer.n_features_in_} columns"
        raise ValueError(f"{path} {made}, but these have {n_columns}: they are of another model.")
    if saved is None or source is None:
        said = "Nothing says whether %s was made with the model that these embeddings are from."
        logger.warning(said, path)


def save_clusters(
    path: FilePath, clusterer: SpeciesClusterer, source: EmbeddingSource | None
) -> None:
    """Write what `load_clusters` needs to assign other reads, to a safetensors file of any name."""
    tensors = {"centers": np.ascontiguousarray(clusterer.cluster_centers_)}
    for name in ("bin_limits", "min_similarity"):
        if hasattr(clusterer, f"{name}_"):
            tensors[name] = np.asarray(getattr(clusterer, f"{name}_"), dtype=np.float64)
    scale = getattr(clusterer, "_abundance_scale", None)
    weight, n_columns = 0.0, clusterer.cluster_centers_.shape[1]
    if scale is not None:
        weight = abundance_share(clusterer.abundance_weight, len(scale.means))
        n_columns -= scale.n_columns
        for name, values in asdict(scale).items():
            tensors[f"abundance_{name}"] = np.ascontiguousarray(values)
    settings = json.dumps(
        {
            "version": _VERSION,
            "n_features": n_columns,
            "n_clusters": None if clusterer.n_clusters is None else int(clusterer.n_clusters),
            "abundance_weight": weight,
            "abundance_names": getattr(clusterer, "abundance_names_", None),
            "embedding": None if source is None else asdict(source),
        }
    )
    metadata = {"format": _FORMAT, "settings": settings, "sha256": _digest(settings, tensors)}
    with open_output(path, "wb") as file:
        file.write(save(tensors, metadata=metadata))


def load_clusters(path: FilePath) -> tuple[SpeciesClusterer, EmbeddingSource | None]:
    """Read what `save_clusters` wrote; ``predict`` then takes embeddings."""
    Path(path).open("rb").close()  # for the plain error of a missing file
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, TypeError) as error:  # TypeError: a type unknown to numpy
        message = f"{path} is not a file of --save, or it is damaged: {printable(str(error))}"
        raise SequenceFileError(message) from error
    if metadata.get("format") != _FORMAT:
        raise SequenceFileError(f"{path} holds no clusters that were saved by --save.")
    text = metadata.get("settings", "")
    if metadata.get("sha256") != _digest(text, tensors):
        raise SequenceFileError(f"{path} is damaged: its checksum differs.")
    try:
        settings = json.loads(text)
        if settings["version"] > _VERSION:
            raise SequenceFileError(f"{path} was saved by a later version of dnaembed.")
        return _restore(settings, tensors)
    except SequenceFileError:
        raise
    except (ArithmeticError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise SequenceFileError(f"{path} is damaged: {printable(str(error))}.") from error


def _restore(
    settings: dict[str, Any], tensors: dict[str, np.ndarray]
) -> tuple[SpeciesClusterer, EmbeddingSource | None]:
    weight = settings["abundance_weight"]
    clusterer = SpeciesClusterer(settings["n_clusters"], abundance_weight=weight)
    clusterer._validate_params()
    columns = clusterer.n_features_in_ = int(settings["n_features"])
    if "abundance_means" in tensors:
        scale = AbundanceScale(tensors["abundance_means"], tensors["abundance_widths"])
        clusterer._abundance_scale = scale
        columns += scale.n_columns
        _expect_numbers("abundances", scale.means, scale.means.shape[:1])
        _expect_numbers("abundances", scale.widths, scale.means.shape)
        if np.any(np.less_equal([scale.means, scale.widths], 0)):
            raise ValueError("the abundances have scales that are not positive numbers")
        if (samples := settings.get("abundance_names")) is not None:
            if len(samples) != len(scale.means) or not all(isinstance(s, str) for s in samples):
                raise ValueError("the names of the samples do not fit the abundances")
            clusterer.abundance_names_ = samples
    centers = clusterer.cluster_centers_ = tensors["centers"]
    clusterer.n_clusters_ = len(centers)
    _expect_numbers("centres", centers, (len(centers), columns))
    if "bin_limits" in tensors:
        clusterer.bin_limits_ = tensors["bin_limits"]
        _expect_numbers("limits", clusterer.bin_limits_, (len(centers),))
    elif "min_similarity" in tensors:
        clusterer.min_similarity_ = float(tensors["min_similarity"])
    elif not len(centers):
        raise ValueError("there is no cluster")
    embedding = settings["embedding"]
    source = None if embedding is None else EmbeddingSource(**embedding)
    return clusterer, source


def _expect_numbers(what: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    if array.shape != shape or array.dtype.kind != "f" or not np.isfinite(array).all():
        got = f"{what} of shape {array.shape} and type {array.dtype}, or not finite"
        raise ValueError(f"{got}, where {shape} numbers are expected")


def _digest(settings: str, tensors: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256(settings.encode())
    for name in sorted(tensors):
        array = tensors[name]
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
