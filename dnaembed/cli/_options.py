"""Options that several commands share, each declared once, and groups of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal

from typer import Argument, Option

from ._app import OUTPUT_FOLDER, READS_FILES, flag, group, logger, option

if TYPE_CHECKING:
    from .. import DNABertSEmbedder
    from ..embedding._mixin import EmbeddingSource

# A chunk of a stream: enough to batch sequences of like lengths, and small on any machine.
CHUNK_SEQUENCES = 1 << 13
CHUNK_BASES = 1 << 26

TABLES, PICTURES = (".tsv", ".csv", ".parquet"), (".png", ".pdf", ".svg")
TABLE_FILE, PICTURE_FILE, PAGE_FILE = (("outputs", s) for s in (TABLES, PICTURES, (".html",)))
MAP_FILE, SAVED_FILE = ("outputs", (*PICTURES, ".html", *TABLES)), ("outputs", (".safetensors",))
READS_HELP = (
    "FASTA or FASTQ, plain or compressed by gzip, bzip2, xz or zstd, folders of such files, and "
    "patterns in quotes; several are read one after the other; - is standard input."
)
LABELS_HELP = "Identifier and species, TSV or CSV."
MODEL_HELP = "default (the bundled model), a folder, or a Hugging Face hub id."

Reads = Annotated[list[str], Argument(metavar="READS", help=READS_HELP), READS_FILES]
Queries = Annotated[list[str], Argument(metavar="QUERY", help=READS_HELP), READS_FILES]
Contigs = Annotated[list[str], Argument(metavar="CONTIGS", help=READS_HELP), READS_FILES]
TABLE_HELP = "The table: .tsv, .csv or .parquet; - is standard output, as a .tsv."
FOLDER_HELP = "The new folder; it appears complete."
Folder = Annotated[str, Option("--output", "-o", metavar="FOLDER", help=FOLDER_HELP), OUTPUT_FOLDER]
Table = Annotated[str, Option("--output", "-o", metavar="OUT.tsv", help=TABLE_HELP), TABLE_FILE]


@group("Model")
class Computing:
    """On which device, from which seed."""

    device: str = option("cpu, cuda, cuda:1 or mps; auto: the best there is.", default="auto")
    seed: int = option("Seed of everything random.", "N", default=0, min=0, max=2**32 - 1)


@group("Model")
class Model(Computing):
    """Which model."""

    model: str = option(MODEL_HELP, "NAME", default="default")


@group("Model")
class Jobs:
    """How many tasks at a time."""

    jobs: int | None = option(
        "Chunks embedded at a time; -1: one per core (default: -1 for k-mer models, else 1).",
        *("N", "--jobs", "-j", "--threads", "-t"),
    )


@group("Model")
class Embedding(Jobs, Model):
    """How sequences are embedded."""

    strand: Literal["forward", "both"] = option(
        "both: the mean of both strands, which the bundled model treats alike.", default="forward"
    )

    @cached_property
    def embedder(self) -> DNABertSEmbedder:
        """The embedder that the options describe."""
        from .. import DNABertSEmbedder

        # No cache: a command embeds each sequence once, and memory must not grow with the file.
        how: Any = {"device": self.device, "strand": self.strand, "random_state": self.seed}
        return DNABertSEmbedder(self.model, n_jobs=self.jobs, cache=None, **how)

    def rows(self, ids: list[str], sequences: list[str]) -> Any:
        """Embed records; an error about one of them has its identifier."""
        with naming(ids):
            # Fitting loads the model, which stays in place; it learns nothing from the sequences.
            return self.embedder.fit(sequences[:1]).transform(sequences)

    def source(self) -> EmbeddingSource:
        """Describe what the embedder, which has made rows, makes of sequences."""
        from ..embedding._mixin import EmbeddingSource

        model, both = self.embedder.backbone_, self.strand == "both"
        return EmbeddingSource(model.fingerprint(), model.window_size, both, self.model)


@contextmanager
def naming(ids: Sequence[str]) -> Iterator[None]:
    """Put the identifier of a record in place of its position into an error of the embedder."""
    from ..embedding._engine import NotFiniteError

    try:
        yield
    except NotFiniteError as error:
        raise NotFiniteError(error.reason, ids[int(error.which)]) from None


def given(options: Any) -> dict[str, Any]:
    """Return the options of a group that were given, by name."""
    return {name: value for name, value in vars(options).items() if value is not None}


@group("Reading")
class SkipEmpty:
    """Whether sequence files may hold empty records."""

    skip_empty: bool = flag("Leave out records without a base, with a warning.")


@group("Reading")
class Reading(SkipEmpty):
    """What sequence files may hold."""

    allow_duplicate_ids: bool = flag("Accept equal identifiers, as in the two files of read pairs.")

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments of the readers of `dnaembed.io`."""
        duplicate_ids = "allow" if self.allow_duplicate_ids else "error"
        return {"skip_empty": self.skip_empty, "duplicate_ids": duplicate_ids}

    def read(self, paths: Iterable[str]) -> tuple[list[str], list[str]]:
        """Read all sequences and say how many there are."""
        from ..io import read_sequences

        ids, sequences = read_sequences(paths, **self.settings)
        logger.info("Read %s sequences, %s bp.", f"{len(ids):,}", f"{sum(map(len, sequences)):,}")
        return ids, sequences

    def chunks(self, paths: Iterable[str]) -> Iterator[tuple[list[str], list[str]]]:
        """Read sequences in chunks of bounded size, and say how many are short."""
        from ..io import iter_sequences
        from ..utils._chunks import iter_chunks

        records, n_short = iter_sequences(paths, **self.settings), 0
        for chunk in iter_chunks(records, lambda r: len(r[1]), CHUNK_BASES, CHUNK_SEQUENCES):
            ids, sequences = zip(*chunk, strict=True)
            n_short += sum(len(sequence) - sequence.count("N") < 500 for sequence in sequences)
            yield list(ids), list(sequences)
        if n_short:
            logger.warning("%s sequences have under 500 known bp and say little.", f"{n_short:,}")


@group("Reading")
class Columns:
    """Which columns of a table of labels are read."""

    id_column: str | None = option("Header of the identifiers (default: the first column).", "NAME")
    label_column: str | None = option("Header of the labels, such as species.", "NAME")

    def labels_of(self, path: str) -> dict[str, str]:
        """Read the table."""
        from ..io import read_labels

        return read_labels(path, id_column=self.id_column, label_column=self.label_column)


@group("Hub")
class Hub:
    """Where a model is looked for."""

    revision: str | None = option("Branch, tag or commit of a hub model.", "NAME")
    cache_dir: str | None = option("Where downloads are kept.", "DIR")
    offline: bool = flag("Use earlier downloads only, never go online.")
    sha256: list[str] | None = option("Digest the weights must have; may be repeated.", "HEX")

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments of `dnaembed.backbones.load_backbone`."""
        where = {"revision": self.revision, "cache_dir": self.cache_dir}
        return where | {"local_files_only": self.offline, "sha256": self.sha256 or None}
