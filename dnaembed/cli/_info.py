"""``dnaembed info``: what a model is."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ._common import new_parser
from ._convert import add_hub_options

_EXAMPLES = """\
  dnaembed info                         the model that ships with the package
  dnaembed info dnabert-s/
  dnaembed info zhihan1996/DNABERT-S --offline
"""


def add_parser(subparsers: Any) -> None:
    """Add the sub-command."""
    parser = new_parser(
        subparsers,
        "info",
        summary="show what a model is: architecture, sizes, checksums",
        description="Show the architecture, the sizes and the checksums of a model, and whether "
        "its weights are published ones.",
        examples=_EXAMPLES,
    )
    parser.add_argument(
        "model",
        nargs="?",
        default="default",
        metavar="MODEL",
        help="a model of the package, a folder, or a Hugging Face hub id (default: the model of "
        "the package)",
    )
    add_hub_options(parser)


def run(args: argparse.Namespace) -> int:
    """Print one property a line."""
    from ..backbones._load import find_folder

    folder = find_folder(
        args.model,
        revision=args.revision,
        cache_dir=args.cache_dir,
        local_files_only=args.offline,
        sha256=args.sha256,
    )
    rows = _describe(folder)
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value}")
    return 0


def _describe(folder: Path) -> list[tuple[str, str]]:
    from ..backbones._checkpoint import file_sha256, weight_files
    from ..backbones._convert import published_name
    from ..backbones._load import load_folder

    backbone = load_folder(folder)
    window = backbone.window_size
    n_parameters = sum(parameter.numel() for parameter in backbone.model.parameters())
    rows = [
        ("folder", str(folder)),
        ("architecture", str(backbone.model.config.model_type)),
        ("parameters", f"{n_parameters:,}"),
        ("embedding size", f"{backbone.embedding_size:,}"),
        ("hidden layers", f"{backbone.n_mixing_layers}"),
        ("window", "any length" if window is None else f"{window:,} bp"),
        ("sees both strands alike", "yes" if backbone.strand_invariant else "no"),
        ("fingerprint", backbone.fingerprint()),
    ]
    for file in weight_files(folder):
        sha256 = file_sha256(file)
        published = published_name(sha256)
        known = f" (published {published})" if published else ""
        rows += [
            ("weights", f"{file.name}, {file.stat().st_size:,} bytes"),
            ("sha256", f"{sha256}{known}"),
        ]
    return rows
