"""``dnaembed info``: what a model is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument

from ._app import command
from ._options import MODEL_HELP, Hub

_EXAMPLES = """\
  dnaembed info                         the bundled model
  dnaembed info dnabert-s/
  dnaembed info zhihan1996/DNABERT-S --offline
"""


@command(_EXAMPLES)
def info(
    hub: Hub,
    model: Annotated[str, Argument(metavar="MODEL", help=MODEL_HELP)] = "default",
) -> None:
    """Show what a model is: architecture, sizes, checksums.

    Also shows whether its weights are published ones.
    """
    from ..backbones._load import find_folder

    rows = _describe(find_folder(model, **hub.settings))
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value}")


def _describe(folder: Path) -> list[tuple[str, str]]:
    from ..backbones._checkpoint import file_sha256, weights_file
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
        ("same for both strands", "yes" if backbone.strand_invariant else "no"),
        ("fingerprint", backbone.fingerprint()),
    ]
    file = weights_file(folder)
    sha256 = file_sha256(file)
    published = published_name(sha256)
    known = f" (published {published})" if published else ""
    rows += [
        ("weights", f"{file.name}, {file.stat().st_size:,} bytes"),
        ("sha256", f"{sha256}{known}"),
    ]
    return rows
