"""``dnaembed convert``: a published checkpoint becomes a folder of safetensors."""

from __future__ import annotations

import logging
from typing import Annotated

from typer import Argument

from ._app import command
from ._options import OUTPUT_FOLDER, Hub

logger = logging.getLogger("dnaembed")

_EXAMPLES = """\
  dnaembed convert zhihan1996/DNABERT-S dnabert-s/      from the hub
  dnaembed convert downloads/DNABERT-S dnabert-s/       from a folder
  dnaembed embed reads.fasta --model dnabert-s/ -o reads.npy
"""


@command(_EXAMPLES)
def convert(
    source: Annotated[str, Argument(metavar="SRC", help="A folder or a Hugging Face hub id.")],
    output: Annotated[
        str,
        Argument(metavar="OUT", help="A new folder; appears when it is complete."),
        OUTPUT_FOLDER,
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
