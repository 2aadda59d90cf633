"""Turn a published checkpoint into a folder of ours."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from ._checkpoint import file_sha256, weights_file
from ._load import find_folder, load_folder, published_name
from .dnabert import DnaBertBackbone


def convert_checkpoint(
    source: str | PathLike[str],
    folder: str | PathLike[str],
    *,
    revision: str | None = None,
    cache_dir: str | PathLike[str] | None = None,
    local_files_only: bool = False,
    sha256: str | Sequence[str] | None = None,
) -> None:
    """Write a published DNABERT-2 or DNABERT-S checkpoint as a folder of ours.

    The folder holds safetensors instead of a pickle, the right ``[PAD]`` id, the tokenizer, and a
    model card with the sha256 of the source. The weights are those of the source bit for bit,
    without the pooler and the language-modelling head, which no embedding goes through.

    Parameters
    ----------
    source : str or path-like
        Folder or hub id of the checkpoint.
    folder : str or path-like
        New or empty (or FileExistsError); it appears complete or not at all.
    revision, cache_dir, local_files_only, sha256 : optional
        As in `load_backbone`, and so are the errors.
    """
    hub = {"cache_dir": cache_dir, "local_files_only": local_files_only}
    origin = find_folder(source, revision=revision, sha256=sha256, **hub)
    backbone = load_folder(origin)
    if not isinstance(backbone, DnaBertBackbone):
        raise ValueError(
            f"{origin}: a DNABERT-2 or DNABERT-S checkpoint is expected; this model is a "
            f"{backbone.model.config.model_type!r}, which needs no conversion."
        )
    # A hub id says where weights come from; a folder of the user's says nothing to others.
    name = str(source) if origin != Path(source) else None
    backbone.save(folder, card=_card(name, weights_file(origin)))


def _card(source: str | None, weights: Path) -> str:
    sha256 = file_sha256(weights)
    name = published_name(sha256)
    origin = f"`{source}`" if source else "a local checkpoint"
    known = "It is not that of a published checkpoint that dnaembed knows."
    if name is not None:
        origin = f"the published [{name}](https://huggingface.co/{name})"
        known = "It is the digest of the published weights."
    return f"""\
---
license: {"apache-2.0" if name else "other"}
library_name: dnaembed
tags:
- dna
- sequence-embedding
---

# {name or source or "DNA encoder"}, converted

Converted by `dnaembed convert` from {origin}.
The weights are bit for bit those of the source, without its pooler and language-modelling head,
which no embedding goes through. The `[PAD]` id in `config.json` is the tokenizer's; the published
file gives that of `[UNK]`.

## Source

sha256 of `{weights.name}`: `{sha256}`. {known}

## Licence

DNABERT-2 (arXiv:2306.15006) and DNABERT-S (arXiv:2402.08777) were published under the
Apache License 2.0 by their authors (MAGICS-LAB). If the source is a model that somebody trained
further, its own terms hold.
"""
