"""``dnaembed convert`` and ``info``: published checkpoints as safetensors, and what a model is."""

from typing import Annotated

from typer import Argument

from ._app import OUTPUT_FOLDER, command, logger
from ._options import MODEL_HELP, Hub

_CONVERT_EXAMPLES = """\
  dnaembed convert zhihan1996/DNABERT-S dnabert-s/      from the hub
  dnaembed convert downloads/DNABERT-S dnabert-s/       from a folder
  dnaembed embed reads.fasta --model dnabert-s/ -o reads.npy
"""
_INFO_EXAMPLES = """\
  dnaembed info                         the bundled model
  dnaembed info dnabert-s/
  dnaembed info zhihan1996/DNABERT-S --offline
"""


@command(_CONVERT_EXAMPLES)
def convert(
    source: Annotated[str, Argument(metavar="SRC", help="A folder or a Hugging Face hub id.")],
    output: Annotated[
        str, Argument(metavar="OUT", help="A new folder; it appears complete."), OUTPUT_FOLDER
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


@command(_INFO_EXAMPLES)
def info(
    hub: Hub, model: Annotated[str, Argument(metavar="MODEL", help=MODEL_HELP)] = "default"
) -> None:
    """Show what a model is: architecture, sizes, checksums.

    Also shows whether its weights are published ones.
    """
    from ..backbones._checkpoint import file_sha256, weights_file
    from ..backbones._load import find_folder, load_folder, published_name

    folder = find_folder(model, **hub.settings)
    backbone = load_folder(folder)
    window, file = backbone.window_size, weights_file(folder)
    sha256 = file_sha256(file)
    name = published_name(sha256)
    rows = {
        "folder": folder,
        "architecture": backbone.model.config.model_type,
        "parameters": f"{backbone.n_parameters:,}",
        "embedding size": f"{backbone.embedding_size:,}",
        "hidden layers": backbone.n_mixing_layers,
        "window": "any length" if window is None else f"{window:,} bp",
        "same for both strands": "yes" if backbone.strand_invariant else "no",
        "fingerprint": backbone.fingerprint(),
        "weights": f"{file.name}, {file.stat().st_size:,} bytes",
        "sha256": sha256 + (f" (published {name})" if name else ""),
    }
    width = max(map(len, rows))
    for what, value in rows.items():
        print(f"{what:<{width}}  {value}")
