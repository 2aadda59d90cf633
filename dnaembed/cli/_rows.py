"""What ``cluster`` and ``bin`` share: embeddings from a file, clusters that are kept for later."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from .. import DNABertSEmbedder, SpeciesClusterer
    from ..species._saved import EmbeddingSource

logger = logging.getLogger("dnaembed")

_ROWS_AT_A_TIME = 1 << 14


def add_row_options(parser: argparse.ArgumentParser, *, what: str, rows_help: str) -> None:
    """Add the options about embeddings made before and about new reads."""
    group = parser.add_argument_group("scale")
    group.add_argument("--embeddings", metavar="ROWS.npy", help=rows_help)
    group.add_argument(
        "--save",
        metavar="FILE",
        help=f"keep the {what} there, as safetensors, for --assign",
    )
    group.add_argument(
        "--assign",
        metavar="FILE",
        help=f"sort into the {what} of an earlier --save, found with the same model, instead of "
        "finding new ones",
    )


def refuse_options(args: argparse.Namespace, given: dict[str, bool]) -> None:
    """Raise if ``--assign`` comes with an option about how groups are found."""
    for option, is_given in {"--save": args.save is not None, **given}.items():
        if args.assign is not None and is_given:
            raise ValueError(
                f"--assign {args.assign} takes the groups as they were saved, without {option}."
            )


def open_rows(path: str) -> tuple[list[str], np.ndarray, EmbeddingSource | None]:
    """Open embeddings that ``dnaembed embed`` wrote, left on disk where the format allows it."""
    import numpy as np

    from ..io import SequenceFileError, read_embeddings

    ids, rows = read_embeddings(path, mmap_mode="r")
    for start in range(0, len(rows), _ROWS_AT_A_TIME):
        finite = np.isfinite(rows[start : start + _ROWS_AT_A_TIME]).all(axis=1)
        if not finite.all():
            row = start + int(finite.argmin())
            raise SequenceFileError(
                f"{path}: the embedding of {ids[row]!r} (row {row + 1}) is not finite."
            )
    logger.info("%s embeddings of %d columns.", f"{len(rows):,}", rows.shape[1])
    return ids, rows, _source_of_file(path, rows)


def rows_of(
    ids: Sequence[str], row_ids: Sequence[str], rows: np.ndarray, *, where: str
) -> np.ndarray:
    """Return the rows of some identifiers, in their order."""
    from ..io import SequenceFileError
    from ..io._tables import in_order_of

    place = {identifier: i for i, identifier in enumerate(row_ids)}
    if len(place) < len(row_ids):
        raise SequenceFileError(f"{where}: two rows have one identifier.")
    return rows[in_order_of(ids, place, where=where, what="embedding")]


def source_of_model(args: argparse.Namespace, embedder: DNABertSEmbedder) -> EmbeddingSource:
    """Describe what a fitted embedder makes of sequences."""
    from ..species._saved import EmbeddingSource

    backbone = embedder.backbone_
    return EmbeddingSource(
        fingerprint=backbone.fingerprint(),
        window_size=backbone.window_size,
        both_strands=args.strand == "both",
        model=str(args.model),
    )


def check_source(
    path: str,
    clusterer: SpeciesClusterer,
    saved: EmbeddingSource | None,
    source: EmbeddingSource | None,
    n_columns: int,
) -> None:
    """Raise if saved groups and embeddings are not of one model."""
    if saved is not None and source is not None and not saved.agrees_with(source):
        raise ValueError(f"{path} was made with {saved}, but these embeddings with {source}.")
    if n_columns != clusterer.n_features_in_:
        raise ValueError(
            f"{path} was made of embeddings of {clusterer.n_features_in_} columns, but these have "
            f"{n_columns}: they are of another model."
        )
    if saved is None or source is None:
        logger.warning(
            "Nothing says whether %s was made with the model that these embeddings are from.", path
        )


def _source_of_file(path: str, rows: np.ndarray) -> EmbeddingSource | None:
    """Read what ``dnaembed embed`` noted about a file; None where there is no (such) note."""
    from ..io._embeddings import manifest_path
    from ..species._saved import EmbeddingSource

    manifest = manifest_path(path)
    if Path(path).suffix != ".npy" or not manifest.exists():
        return None
    try:
        note = json.loads(manifest.read_text(encoding="utf-8"))
        if (note["rows"], note["n_columns"]) != rows.shape:
            return None
        settings = note["settings"]
        return EmbeddingSource(
            fingerprint=str(settings["model"]),
            window_size=settings["window_size"],
            both_strands=bool(settings["both_strands"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        logger.warning("%s is not a note of dnaembed embed: %s", manifest, error)
        return None
