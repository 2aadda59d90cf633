"""``dnaembed convert`` and ``dnaembed info``: published checkpoints, and what a model is."""

from __future__ import annotations

import logging
from typing import Annotated

from typer import Argument

from ._app import command
from ._options import MODEL_HELP, Hub

logger = logging.getLogger("dnaembed")

_EXAMPLES = """\
  dnaembed info                         the bundled model
  dnaembed info dnabert-s/
  dnaembed info zhihan1996/DNABERT-S --offline
"""
_CONVERT_EXAMPLES = """\
  dnaembed convert zhihan1996/DNABERT-S dnabert-s/      from the hub
  dnaembed convert downloads/DNABERT-S dnabert-s/       from a folder
  dnaembed embed reads.fasta --model dnabert-s/ -o reads.npy
"""


@command(_CONVERT_EXAMPLES)
def convert(
    source: Annotated[str, Argument(metavar="SRC", help="A folder or a Hugging Face hub id.")],
    output: Annotated[
        str, Argument(metavar="OUT", help="A new folder; appears when it is complete.")
    ],
    hub: Hub,
) -> None:
    """Turn a published checkpoint into a folder of safetensors.

    A published DNABERT-2 or DNABERT-S checkpoint becomes a folder with the same weights as
    safetensors, the right padding token, the tokenizer, and a model card with the checksum of the
    source. No code of the checkpoint is run.
    """
    from ..backbones import convert_checkpoint

    convert_checkpoint(source, output, **hub.settings)
    logger.info("Wrote %s.", output)


@command(_EXAMPLES)
def info(
    hub: Hub, model: Annotated[str, Argument(metavar="MODEL", help=MODEL_HELP)] = "default"
) -> None:
    """Show what a model is: architecture, sizes, checksums.

    Also shows whether its weights are published ones.
    """
    from ..backbones._checkpoint import file_sha256, weight_files
    from ..backbones._convert import published_name
    from ..backbones._load import find_folder, load_folder

    folder = find_folder(model, **hub.settings)
    backbone = load_folder(folder)
    window = backbone.window_size
    rows = [
        ("folder", str(folder)),
        ("architecture", str(backbone.model.config.model_type)),
        ("parameters", f"{sum(weights.numel() for weights in backbone.model.parameters()):,}"),
        ("embedding size", f"{backbone.embedding_size:,}"),
        ("hidden layers", f"{backbone.n_mixing_layers}"),
        ("window", "any length" if window is None else f"{window:,} bp"),
        ("same for both strands", "yes" if backbone.strand_invariant else "no"),
        ("fingerprint", backbone.fingerprint()),
    ]
    for file in weight_files(folder):
        sha256 = file_sha256(file)
        published = published_name(sha256)
        known = f" (published {published})" if published else ""
        rows.append(("weights", f"{file.name}, {file.stat().st_size:,} bytes"))
        rows.append(("sha256", f"{sha256}{known}"))
    for name, value in rows:
        print(f"{name:<21}  {value}")
