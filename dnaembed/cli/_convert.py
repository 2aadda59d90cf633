"""``dnaembed convert``: a published checkpoint becomes a folder of safetensors."""

from __future__ import annotations

import argparse
import logging
from typing import Any

from ._common import new_parser

logger = logging.getLogger("dnaembed")

_EXAMPLES = """\
  dnaembed convert zhihan1996/DNABERT-S dnabert-s/      from the hub
  dnaembed convert downloads/DNABERT-S dnabert-s/       from a folder
  dnaembed embed reads.fasta --model dnabert-s/ -o reads.npy
"""


def add_parser(subparsers: Any) -> None:
    """Add the sub-command."""
    parser = new_parser(
        subparsers,
        "convert",
        summary="turn a published checkpoint into a folder of safetensors",
        description="Turn a published DNABERT-2 or DNABERT-S checkpoint into a folder with the "
        "same weights as safetensors, the right padding token, the tokenizer, and a model card "
        "with the checksum of the source. No code of the checkpoint is run.",
        examples=_EXAMPLES,
    )
    parser.add_argument("source", metavar="SRC", help="a folder or a Hugging Face hub id")
    parser.add_argument("output", metavar="OUT", help="a new folder; appears when it is complete")
    add_hub_options(parser)


def add_hub_options(parser: argparse.ArgumentParser) -> None:
    """Add the options about downloads."""
    group = parser.add_argument_group("hub")
    group.add_argument("--revision", metavar="NAME", help="branch, tag or commit of a hub model")
    group.add_argument("--cache-dir", metavar="DIR", help="where downloads are kept")
    group.add_argument(
        "--offline", action="store_true", help="use what was downloaded before, never go online"
    )
    group.add_argument(
        "--sha256",
        action="append",
        metavar="HEX",
        help="stop unless the weights have this sha256; once for each file of weights",
    )


def run(args: argparse.Namespace) -> int:
    """Convert."""
    from ..backbones import convert_checkpoint

    convert_checkpoint(
        args.source,
        args.output,
        revision=args.revision,
        cache_dir=args.cache_dir,
        local_files_only=args.offline,
        sha256=args.sha256,
    )
    logger.info("Wrote %s.", args.output)
    return 0
