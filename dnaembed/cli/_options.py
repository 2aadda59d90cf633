"""Options that several commands share, each declared once, and groups of them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from typer import Argument, Option

if TYPE_CHECKING:
    from .. import DNABertSEmbedder
    from ..species._saved import EmbeddingSource

logger = logging.getLogger("dnaembed")

# A chunk of a stream: enough to batch sequences of like lengths, and small on any machine.
CHUNK_SEQUENCES = 1 << 13
CHUNK_BASES = 1 << 26

# Marks of options that are the place of a file, or of a folder that is new or replaced as a whole.
# They are checked before the work; options without a mark are inputs, but for these metavars.
OUTPUT_FILE, OUTPUT_FOLDER = "outputs", "folders"
NO_FILES = {None, "NAME", "[NAME]", "N", "X", "K", "BP", "I/N", "HEX", "DIR"}

READS_HELP = (
    "FASTA or FASTQ, plain or compressed by gzip, bzip2, xz or zstd; several are read one after "
    "the other; - is standard input."
)
MODEL_HELP = "default (the bundled model), a folder, or a Hugging Face hub id."


def panel(name: str, *flags: str, **settings: Any) -> Any:
    """Declare an option under a heading of the help."""
    return Option(*flags, rich_help_panel=name, **settings)


Reads = Annotated[list[str], Argument(metavar="READS", help=READS_HELP)]
Table = Annotated[str, Option("--output", "-o", metavar="OUT.tsv", help="The table."), OUTPUT_FILE]
NewFolder = Annotated[
    str, Option("--output", "-o", metavar="FOLDER", help="A new folder."), OUTPUT_FOLDER
]
Model = Annotated[str, panel("Model", metavar="NAME", help=MODEL_HELP)]
Device = Annotated[
    str, panel("Model", help="cpu, cuda, cuda:1, mps, ...; auto: the best there is.")
]
Seed = Annotated[
    int, panel("Model", min=0, max=2**32 - 1, metavar="N", help="Of everything random.")
]
Jobs = Annotated[
    int | None,
    Option(
        *("--jobs", "-j", "--threads", "-t"),
        metavar="N",
        help="Tasks run at a time; -1: one per processor core (default: 1).",
    ),
]


@dataclass(frozen=True)
class Messages:
    """What is shown."""

    quiet: Annotated[bool, panel("Messages", "--quiet", "-q", help="Show warnings only.")] = False
    debug: Annotated[
        bool,
        panel(
            "Messages", "--debug", help="Show the traceback of an error (or set DNAEMBED_DEBUG=1)."
        ),
    ] = False


@dataclass(frozen=True)
class Embedding:
    """How sequences are embedded."""

    model: Model = "default"
    device: Device = "auto"
    strand: Annotated[
        Literal["forward", "both"],
        panel(
            "Model",
            help="both: average over the sequence and its reverse complement; without effect on "
            "models that treat both alike, as the bundled one does.",
        ),
    ] = "forward"
    jobs: Jobs = None
    seed: Seed = 0

    def embedder(self) -> DNABertSEmbedder:
        """Build the embedder that the options describe."""
        from .. import DNABertSEmbedder

        # No cache: a command embeds each sequence once, and memory must not grow with the file.
        return DNABertSEmbedder(
            self.model,
            device=self.device,
            strand=self.strand,
            n_jobs=self.jobs,
            random_state=self.seed,
            cache=None,
        )

    def rows(self, embedder: DNABertSEmbedder, ids: list[str], sequences: list[str]) -> Any:
        """Embed records; an error about one of them has its identifier."""
        with naming(ids):
            # Fitting loads the model, which stays in place; it learns nothing from the sequences.
            return embedder.fit(sequences[:1]).transform(sequences)

    def source(self, embedder: DNABertSEmbedder) -> EmbeddingSource:
        """Describe what a fitted embedder makes of sequences."""
        from ..species._saved import EmbeddingSource

        model, both = embedder.backbone_, self.strand == "both"
        return EmbeddingSource(model.fingerprint(), model.window_size, both, self.model)


@contextmanager
def naming(ids: Sequence[str]) -> Iterator[None]:
    """Put the identifier of a record in place of its position into an error of the embedder."""
    from ..embedding._engine import NotFiniteError

    try:
        yield
    except NotFiniteError as error:
        raise NotFiniteError(error.reason, ids[int(error.which)]) from None


@dataclass(frozen=True)
class Optimising:
    """What every training has; None: the library's default."""

    mixed_precision: Annotated[
        Literal["fp32", "bf16", "fp16"] | None,
        panel("Training", help="Of matrix products (default: fp32)."),
    ] = None
    budget: Annotated[
        int | None,
        panel(
            "Training",
            min=1,
            metavar="N",
            help="Tokens (k-mer models: sequences) that pass through the model at once; larger "
            "batches are computed in pieces, with the same gradients (default: as many as suit "
            "the model).",
        ),
    ] = None

    def given(self) -> dict[str, Any]:
        """Return what was given, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Reading:
    """What sequence files may hold."""

    skip_empty: Annotated[
        bool,
        panel(
            "Reading",
            "--skip-empty",
            help="Leave records without a base out, with a warning, instead of stopping.",
        ),
    ] = False
    allow_duplicate_ids: Annotated[
        bool,
        panel(
            "Reading",
            "--allow-duplicate-ids",
            help="Accept records with the same identifier, as the two files of paired reads have.",
        ),
    ] = False

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
        """Read sequences in chunks of bounded size."""
        from ..io import iter_sequences
        from ..utils._chunks import iter_chunks

        records = iter_sequences(paths, **self.settings)
        for chunk in iter_chunks(records, lambda r: len(r[1]), CHUNK_BASES, CHUNK_SEQUENCES):
            ids, sequences = zip(*chunk, strict=True)
            yield list(ids), list(sequences)


@dataclass(frozen=True)
class Hub:
    """Where a model is looked for."""

    revision: Annotated[
        str | None, panel("Hub", metavar="NAME", help="Branch, tag or commit of a hub model.")
    ] = None
    cache_dir: Annotated[
        str | None, panel("Hub", metavar="DIR", help="Where downloads are kept.")
    ] = None
    offline: Annotated[
        bool, panel("Hub", "--offline", help="Use what was downloaded before, never go online.")
    ] = False
    sha256: Annotated[
        list[str] | None,
        panel(
            "Hub",
            metavar="HEX",
            help="Stop unless the weights have this sha256; once for each file of weights.",
        ),
    ] = None

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments of `dnaembed.backbones.load_backbone`."""
        return {
            "revision": self.revision,
            "cache_dir": self.cache_dir,
            "local_files_only": self.offline,
            "sha256": self.sha256 or None,
        }
