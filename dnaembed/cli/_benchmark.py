"""``dnaembed benchmark``: which embedder to use on these reads, and how good it is."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._common import READS_HELP, add_reading_options, new_parser, positive_int, read

if TYPE_CHECKING:
    from sklearn.utils import Bunch

logger = logging.getLogger("dnaembed")

_EXAMPLES = """\
  dnaembed benchmark reads.fasta.gz labels.tsv -o benchmark/
  dnaembed benchmark reads.fasta labels.tsv -o benchmark/ --embedder raw-tnf \\
      --embedder zhihan1996/DNABERT-S --embedder mine=models/my-model
  dnaembed benchmark reads.fasta labels.tsv -o benchmark/ --training other.fasta other.tsv
"""

# Names on the command line of what `default_embedders` has.
_SHORT_NAMES = {
    "raw-tnf": "raw TNF",
    "tnf-k": "TNF-K",
    "canonical": "canonical TNF",
    "pca": "PCA of 4+5-mers",
    "lda": "LDA of 4+5-mers",
}
_SUPERVISED = ("lda",)
_PROTOCOLS = ("clustering", "few_shot", "binning", "retrieval")


def add_parser(subparsers: Any) -> None:
    """Add the sub-command."""
    parser = new_parser(
        subparsers,
        "benchmark",
        summary="compare embedders on labelled reads",
        description="Score embedders side by side on reads of known species: clustering, few-shot "
        "learning, binning and retrieval, as the DNABERT-S paper does and beyond. Writes tables "
        "(CSV, Markdown, JSON with versions and seeds) and pictures. What is done is kept in the "
        "output folder: a run that was stopped goes on.",
        examples=_EXAMPLES,
    )
    parser.add_argument("reads", metavar="READS", help=READS_HELP)
    parser.add_argument(
        "labels", metavar="LABELS.tsv", help="table of two columns: identifier and species"
    )
    parser.add_argument("-o", "--output", required=True, metavar="FOLDER", help="for the results")
    parser.add_argument(
        "--embedder",
        action="append",
        metavar="NAME",
        help=f"one of {', '.join(_SHORT_NAMES)}; or a model of the package, a folder or a Hugging "
        "Face hub id, also as NAME=MODEL; may be repeated (default: all of the former and the "
        "model of the package)",
    )
    parser.add_argument(
        "--training",
        nargs=2,
        metavar=("READS", "LABELS.tsv"),
        help="labelled reads of other species, to fit pca and lda on (which needs them)",
    )
    parser.add_argument(
        "--protocol",
        action="append",
        choices=_PROTOCOLS,
        help="may be repeated (default: all)",
    )
    parser.add_argument(
        "--repeats",
        type=positive_int,
        default=5,
        metavar="N",
        help="seeds of K-means and of shots; each score is their mean (default: 5)",
    )
    parser.add_argument(
        "--jobs",
        "-j",
        type=int,
        default=None,
        metavar="N",
        help="embedders scored at a time; -1: one a processor core (default: 1)",
    )
    parser.add_argument(
        "--force", action="store_true", help="write into a folder that holds other files"
    )
    add_reading_options(parser)


def run(args: argparse.Namespace) -> int:
    """Compare embedders."""
    folder = _check_folder(args)
    from ..benchmark import benchmark

    reads = _labelled(args, args.reads, args.labels)
    training = None
    if args.training is not None:
        other = _labelled(args, *args.training)
        training = other.sequences, other.labels
    embedders = None if args.embedder is None else _embedders(args)
    folder.mkdir(exist_ok=True)
    name = Path(args.reads).name.split(".")[0] or "reads"
    result = benchmark(
        {name: reads},
        embedders,
        protocols=args.protocol or _PROTOCOLS,
        training=training,
        n_repeats=args.repeats,
        cache=folder / ".cache",
        n_jobs=args.jobs,
    )
    result.to_csv(folder / "scores.csv")
    result.to_csv(folder / "summary.csv", summary=True)
    result.to_json(folder / "results.json")
    tables = result.to_markdown()
    from ..utils._atomic import atomic_output

    with atomic_output(folder / "tables.md") as path:
        path.write_text(tables + "\n", encoding="utf-8")
    print(tables)
    _draw(args, folder, result, name, reads, embedders, training)
    logger.info("Wrote %s.", folder)
    return 0


def _check_folder(args: argparse.Namespace) -> Path:
    folder = Path(args.output)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file; the name of a folder is expected.")
    if not folder.exists() and not folder.parent.is_dir():
        raise FileNotFoundError(f"Cannot write {folder}: there is no folder {folder.parent}.")
    is_ours = (folder / ".cache").is_dir()
    if folder.is_dir() and not is_ours and not args.force and any(folder.iterdir()):
        raise FileExistsError(
            f"{folder} holds files that are not of a benchmark; choose another folder or use "
            "--force."
        )
    return folder


def _labelled(args: argparse.Namespace, reads: str, labels: str) -> Bunch:
    import numpy as np
    from sklearn.utils import Bunch

    from ..io import labels_of, read_labels

    table = read_labels(labels)
    ids, sequences = read(args, [reads])
    return Bunch(ids=ids, sequences=sequences, labels=np.array(labels_of(ids, table, where=labels)))


def _embedders(args: argparse.Namespace) -> dict[str, Any]:
    from ..benchmark import default_embedders

    known = default_embedders(model=None)
    chosen: dict[str, Any] = {}
    for item in args.embedder:
        name, equals, model = item.partition("=")
        if not equals:
            model = name
        if model in _SHORT_NAMES:
            if model in _SUPERVISED and args.training is None:
                raise ValueError(f"--embedder {model} learns from labelled reads: give --training.")
            name = name if equals else _SHORT_NAMES[model]
            embedder: Any = known[_SHORT_NAMES[model]]
        else:
            embedder = model
        if name in chosen:
            raise ValueError(f"Two embedders have the name {name!r}.")
        chosen[name] = embedder
    return chosen


def _draw(
    args: argparse.Namespace,
    folder: Path,
    result: Any,
    name: str,
    reads: Bunch,
    embedders: dict[str, Any] | None,
    training: Any,
) -> None:
    try:
        import matplotlib  # noqa: F401
    except ModuleNotFoundError:
        logger.warning('No pictures: matplotlib is missing. pip install "dnaembed[plot]"')
        return
    from ..benchmark._embedders import check_embedders
    from ..benchmark._pictures import save_pictures

    n_reads = len(reads.sequences) if training is None else len(training[0])
    shown = check_embedders(embedders, supervised=training is not None, n_reads=n_reads)
    # The first and the last are the baseline and the model.
    ends = list(dict.fromkeys([next(iter(shown)), list(shown)[-1]]))
    fitted = {}
    for end in ends:
        fitted[end] = shown[end]
        if training is None:
            fitted[end].fit(reads.sequences)
        else:
            fitted[end].fit(*training)
    save_pictures(result, folder, reads={name: reads}, embedders=fitted)
