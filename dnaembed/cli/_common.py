"""What several sub-commands share: options, the embedder, reading with a count."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterable, Iterator
from textwrap import fill
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .. import DNABertSEmbedder

logger = logging.getLogger("dnaembed")

# A chunk of a stream: enough to batch sequences of like lengths, and small on any machine.
CHUNK_SEQUENCES = 1 << 13
CHUNK_BASES = 1 << 26

READS_HELP = (
    "FASTA or FASTQ, plain or compressed by gzip, bzip2, xz or zstd; several are read one after "
    "the other; - is standard input"
)


def new_parser(
    subparsers: Any, name: str, *, summary: str, description: str, examples: str
) -> argparse.ArgumentParser:
    """Add a sub-command whose help ends with examples."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        name,
        help=summary,
        description=fill(description, 80),
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add the options about how sequences are embedded."""
    group = parser.add_argument_group("embedding")
    group.add_argument(
        "--model",
        default="default",
        metavar="NAME",
        help="a model of the package, a folder, or a Hugging Face hub id such as "
        "zhihan1996/DNABERT-S (default: the model of the package)",
    )
    group.add_argument(
        "--device", default="auto", help="cpu, cuda, cuda:1, mps, ... (default: the best there is)"
    )
    group.add_argument(
        "--strand",
        choices=("forward", "both"),
        default="forward",
        help="both: average over the sequence and its reverse complement; without effect on models "
        "that see both alike, as the package's own (default: forward)",
    )
    group.add_argument(
        "--jobs",
        "-j",
        type=int,
        default=None,
        metavar="N",
        help="pieces of work done at a time; -1: one a processor core (default: 1)",
    )
    group.add_argument(
        "--seed", type=_seed, default=0, metavar="N", help="of everything random (default: 0)"
    )


def add_reading_options(parser: argparse.ArgumentParser) -> None:
    """Add the options about what sequence files may hold."""
    group = parser.add_argument_group("reading")
    group.add_argument(
        "--skip-empty",
        action="store_true",
        help="leave records without a base out, with a warning, instead of stopping",
    )
    group.add_argument(
        "--allow-duplicate-ids",
        action="store_true",
        help="accept records of one identifier, as the two files of paired reads have",
    )


def _seed(text: str) -> int:
    value = int(text)
    if not 0 <= value < 2**32:
        raise argparse.ArgumentTypeError(f"expected 0 to 4294967295, got {value}")
    return value


def positive_int(text: str) -> int:
    """Read an option's number of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {value}")
    return value


positive_int.__name__ = "number"  # argparse shows it: "invalid number value: 'x'"
_seed.__name__ = "number"


def embedder_of(args: argparse.Namespace) -> DNABertSEmbedder:
    """Build the embedder that the options describe."""
    from .. import DNABertSEmbedder

    # No cache: a command embeds each sequence once, and memory must not grow with the file.
    return DNABertSEmbedder(
        args.model,
        device=args.device,
        strand=args.strand,
        n_jobs=args.jobs,
        random_state=args.seed,
        cache=None,
    )


def read(args: argparse.Namespace, paths: Iterable[str]) -> tuple[list[str], list[str]]:
    """Read all sequences and say how many there are."""
    from ..io import read_sequences

    ids, sequences = read_sequences(
        paths, skip_empty=args.skip_empty, duplicate_ids=duplicate_ids(args)
    )
    logger.info("Read %s sequences, %s bp.", f"{len(ids):,}", f"{sum(map(len, sequences)):,}")
    return ids, sequences


def read_chunks(
    args: argparse.Namespace, paths: Iterable[str]
) -> Iterator[tuple[list[str], list[str]]]:
    """Read sequences in chunks of bounded size."""
    from ..io import iter_sequences

    ids: list[str] = []
    sequences: list[str] = []
    bases = 0
    for identifier, sequence in iter_sequences(
        paths, skip_empty=args.skip_empty, duplicate_ids=duplicate_ids(args)
    ):
        if ids and (len(ids) >= CHUNK_SEQUENCES or bases + len(sequence) > CHUNK_BASES):
            yield ids, sequences
            ids, sequences, bases = [], [], 0
        ids.append(identifier)
        sequences.append(sequence)
        bases += len(sequence)
    yield ids, sequences  # a file without any sequence has raised


def duplicate_ids(args: argparse.Namespace) -> str:
    return "allow" if args.allow_duplicate_ids else "error"
