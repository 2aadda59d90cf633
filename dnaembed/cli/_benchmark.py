"""``dnaembed benchmark``: which embedder to use on these reads, and how good it is."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from ._app import READS_FILES, command, flag, group, logger, option
from ._options import LABELS_HELP, Columns, Jobs, Reading

_EXAMPLES = """\
  dnaembed benchmark reads.fasta.gz labels.tsv -o benchmark/
  dnaembed benchmark reads.fasta labels.tsv -o benchmark/ --embedder raw-tnf \\
      --embedder zhihan1996/DNABERT-S --embedder mine=models/my-model
  dnaembed benchmark reads.fasta labels.tsv -o benchmark/ \\
      --training other.fasta other.tsv
"""

_READS_HELP = "FASTA or FASTQ, plain or compressed; a folder of such files; a pattern in quotes."
_SHORT_NAMES = {
    "raw-tnf": "raw TNF",
    "canonical": "canonical TNF",
    "pca": "PCA of 4+5-mers",
    "lda": "LDA of 4+5-mers",
}


# Of `PROTOCOLS`, those that need no lineage.
Protocol = StrEnum("Protocol", ["clustering", "few_shot", "binning", "retrieval"])


@group()
class Comparing(Columns, Jobs):
    """What is compared, and how."""

    embedder: list[str] | None = option(
        f"One of {', '.join(_SHORT_NAMES)}; or default (the bundled model), a folder or a hub id, "
        "also as NAME=MODEL; may be repeated (default: all of these, lda with --training).",
        "NAME",
    )
    training: tuple[str, str] | None = option(
        "Reads of other species, to fit pca and lda on; lda needs them.", "READS LABELS.tsv"
    )
    protocol: list[Protocol] | None = option("What to score; may be repeated (default: all).")
    repeats: int = option("Number of seeds; each score is a mean over them.", "N", default=5, min=1)
    force: bool = flag("Write into a folder that holds other files.")


@command(_EXAMPLES)
def benchmark(
    reads: Annotated[str, Argument(metavar="READS", help=_READS_HELP), READS_FILES],
    labels: Annotated[str, Argument(metavar="LABELS.tsv", help=LABELS_HELP)],
    output: Annotated[str, Option("--output", "-o", metavar="FOLDER", help="For the results.")],
    comparing: Comparing,
    reading: Reading,
) -> None:
    """Compare embedders on labelled reads.

    Score embedders side by side on reads of known species: clustering, few-shot learning, binning
    and retrieval, as the DNABERT-S paper does and beyond. Writes tables (CSV, Markdown, JSON with
    versions and seeds) and pictures. What is done is kept in the output folder: a run that was
    interrupted resumes.
    """
    folder = _check_folder(output, comparing.force)
    from ..benchmark import benchmark
    from ..benchmark._benchmark import check_embedders
    from ..benchmark._pictures import save_pictures
    from ..benchmark._results import MAIN_SCORES
    from ..utils._atomic import atomic_output

    test = _labelled(reading, comparing, reads, labels)
    known = _labelled(reading, comparing, *comparing.training) if comparing.training else None
    other = None if known is None else (known.sequences, known.labels)
    n_reads = len((test if known is None else known).sequences)
    chosen = _embedders(comparing.embedder, known is not None)
    compared = check_embedders(chosen, supervised=known is not None, n_reads=n_reads)
    folder.mkdir(exist_ok=True)
    name = Path(reads).name.split(".")[0] or "reads"
    protocols = [one.value for one in comparing.protocol or Protocol]
    how: Any = {"training": other, "n_repeats": comparing.repeats, "n_jobs": comparing.jobs}
    result = benchmark({name: test}, compared, protocols=protocols, cache=folder / ".cache", **how)
    result.to_csv(folder / "scores.csv")
    result.to_csv(folder / "summary.csv", summary=True)
    result.to_json(folder / "results.json")
    with atomic_output(folder / "tables.md") as path:
        path.write_text(result.to_markdown() + "\n", encoding="utf-8")
    header, rows = result.table(name)
    columns = [[MAIN_SCORES.get(score, "") for score in header]]
    columns += [[text + " *" * best for text, best in row] for row in rows]
    widths = [max(map(len, column)) for column in columns]
    for line in zip(*columns, strict=True):
        print("  ".join(map(str.ljust, line, widths)).rstrip())
    shown = {end: compared[end] for end in (next(iter(compared)), list(compared)[-1])}
    for one in shown.values():
        one.fit(*((test.sequences,) if other is None else other))
    save_pictures(result, folder, test, shown)
    logger.info(
        "* is the best. Wrote %s: scores in tables.md, pictures in map.png and others.", folder
    )


def _check_folder(output: str, force: bool) -> Path:
    folder = Path(output)
    if not folder.is_dir():  # raises now, not after the work, if it can't be made
        folder.mkdir()
        folder.rmdir()
    is_ours = (folder / ".cache").is_dir()
    if folder.is_dir() and not is_ours and not force and any(folder.iterdir()):
        advice = "choose another folder or use --force."
        raise FileExistsError(f"{folder} holds files that are not of a benchmark; {advice}")
    return folder


def _labelled(reading: Reading, columns: Columns, reads: str, labels: str) -> Any:
    import numpy as np
    from sklearn.utils import Bunch

    from ..io import labels_of

    table = columns.labels_of(labels)
    ids, sequences = reading.read([reads])
    return Bunch(sequences=sequences, labels=np.array(labels_of(ids, table, where=labels)))


def _embedders(names: list[str] | None, trained: bool) -> list[tuple[str, Any]] | None:
    if not names:
        return None
    from ..backbones._load import bundled_models
    from ..benchmark import default_embedders
    from ..benchmark._benchmark import model_name

    known = default_embedders(model=None)
    own = (*_SHORT_NAMES, "default", *bundled_models())
    chosen: list[tuple[str, Any]] = []
    for name, _, model in (item.partition("=") for item in names):
        kind = model or name
        if kind == "lda" and not trained:
            raise ValueError(f"--embedder {kind} learns from labelled reads: give --training.")
        if not (kind in own or "/" in kind or Path(kind).is_dir()):
            raise ValueError(f"--embedder {kind} is no folder, nor {', '.join(_SHORT_NAMES)}.")
        usual = _SHORT_NAMES.get(kind, model_name(kind))
        chosen.append((name if model else usual, known.get(usual, kind)))
    return chosen
