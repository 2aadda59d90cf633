"""``dnaembed bin``: contigs into one FASTA file a species."""

from __future__ import annotations

import argparse
import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from ._common import (
    READS_HELP,
    add_model_options,
    add_reading_options,
    embedder_of,
    new_parser,
    positive_int,
    read,
)
from ._rows import (
    add_row_options,
    check_source,
    open_rows,
    refuse_options,
    rows_of,
    source_of_model,
)

if TYPE_CHECKING:
    from .. import SpeciesClusterer

logger = logging.getLogger("dnaembed")

_EXAMPLES = """\
  dnaembed bin contigs.fasta.gz -o bins/
  dnaembed bin contigs.fasta.gz -o bins/ --min-length 1500 --min-bin-size 5 --force
  dnaembed bin contigs.fasta.gz -o bins/ --min-similarity 0.8     fewer, purer bins
  dnaembed bin contigs.fasta.gz -o bins/ --abundance coverage.tsv

  dnaembed embed contigs.fasta.gz -o contigs.npy
  dnaembed bin contigs.fasta.gz --embeddings contigs.npy -o bins/     embedded once, on disk

  dnaembed bin contigs.fasta.gz -o bins/ --save bins.safetensors
  dnaembed bin others.fasta.gz --assign bins.safetensors -o others/

coverage.tsv has a header and one line a contig: identifier, then a column of mean coverages for
each sequenced sample, separated by tabs. Tables of jgi_summarize_bam_contig_depths are fine.
"""


def add_parser(subparsers: Any) -> None:
    """Add the sub-command."""
    parser = new_parser(
        subparsers,
        "bin",
        summary="sort contigs into one FASTA file a species",
        description="Sort contigs into bins, as many as there are. Writes a folder: one FASTA file "
        "a bin, bins.tsv (size, N50 and GC of each) and contigs.tsv (id, bin; -1: in none).",
        examples=_EXAMPLES,
    )
    parser.add_argument("contigs", nargs="+", metavar="CONTIGS", help=READS_HELP)
    parser.add_argument("-o", "--output", required=True, metavar="BINS_DIR", help="the folder")
    parser.add_argument(
        "--method",
        choices=("auto", "graph", "kmedoid", "hdbscan"),
        default="auto",
        help="how bins are found (default: kmedoid with --min-similarity, else graph)",
    )
    parser.add_argument(
        "--abundance",
        metavar="TABLE.tsv",
        help="coverages of the contigs in one or more samples, used beside the sequence",
    )
    parser.add_argument(
        "--abundance-weight",
        type=_weight,
        default=0.5,
        metavar="X",
        help="of --abundance, from 0 to 1 (default: 0.5)",
    )
    parser.add_argument(
        "--resolution",
        type=_resolution,
        default="auto",
        metavar="X",
        help="of the graph: larger gives more bins (default: a unit for every 500 contigs)",
    )
    parser.add_argument(
        "--min-similarity",
        type=_similarity,
        default="auto",
        metavar="X",
        help="of a contig to the centre of its bin, 0 to 1, for the K-medoid; auto or neighbors: "
        "estimated from the contigs",
    )
    parser.add_argument(
        "--min-bin-size",
        type=positive_int,
        default=10,
        metavar="N",
        help="contigs of smaller bins are in none (default: 10)",
    )
    parser.add_argument(
        "--neighbors",
        choices=("auto", "exact", "approximate"),
        default="auto",
        help="of the graph: exact compares all pairs of contigs, approximate needs pynndescent; "
        "auto is exact up to 200,000 contigs",
    )
    parser.add_argument(
        "--min-length",
        type=positive_int,
        default=2500,
        metavar="BP",
        help="shorter contigs are in no bin (default: 2500)",
    )
    parser.add_argument(
        "--force", action="store_true", help="replace the bins of an earlier run in BINS_DIR"
    )
    add_row_options(
        parser,
        what="bins",
        rows_help="take the embeddings that dnaembed embed wrote, found by the identifiers of "
        "CONTIGS",
    )
    add_model_options(parser)
    add_reading_options(parser)


def _similarity(text: str) -> float | str:
    if text in ("auto", "neighbors"):
        return text
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected 0 to 1, got {text}")
    return value


def _weight(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected 0 to 1, got {text}")
    return value


def _resolution(text: str) -> float | str:
    if text == "auto":
        return text
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"expected a positive number, got {text}")
    return value


_similarity.__name__ = _weight.__name__ = _resolution.__name__ = "number"


def run(args: argparse.Namespace) -> int:
    """Bin."""
    from ..io import abundance_of, read_abundance, write_bins
    from ..io._bins import check_bins_folder
    from ..species._saved import load_clusters, save_clusters
    from ..utils._atomic import check_output

    check_bins_folder(args.output, overwrite=args.force)  # now, not after the work
    refuse_options(
        args,
        {
            "--method": args.method != "auto",
            "--min-similarity": args.min_similarity != "auto",
            "--resolution": args.resolution != "auto",
        },
    )
    if args.save is not None:
        check_output(args.save)
    table = None if args.abundance is None else read_abundance(args.abundance)
    ids, sequences = read(args, args.contigs)
    long = np.flatnonzero([len(sequence) >= args.min_length for sequence in sequences])
    if not len(long):
        raise ValueError(
            f"None of {len(ids)} sequences has --min-length {args.min_length} bp; the longest has "
            f"{max(map(len, sequences))}."
        )
    if len(long) < len(ids):
        logger.info("%d sequences are shorter than %d bp.", len(ids) - len(long), args.min_length)
    abundance = None
    if table is not None:
        abundance = abundance_of([ids[i] for i in long], table, where=args.abundance)
    if args.embeddings is not None:
        row_ids, rows, source = open_rows(args.embeddings)
        if row_ids == ids:
            rows = rows[long]
        else:
            rows = rows_of([ids[i] for i in long], row_ids, rows, where=args.embeddings)
    else:
        embedder = embedder_of(args)
        rows = embedder.fit_transform([sequences[i] for i in long])
        source = source_of_model(args, embedder)
    labels = np.full(len(ids), -1)
    if args.assign is None:
        clusterer = _fitted(args, rows, abundance)
        labels[long] = clusterer.labels_
        if args.save is not None:
            save_clusters(args.save, clusterer, source)
    else:
        clusterer, saved = load_clusters(args.assign)
        check_source(args.assign, clusterer, saved, source, rows.shape[1])
        labels[long] = clusterer.predict(rows, abundance=abundance)
    write_bins(args.output, ids, sequences, labels, overwrite=args.force)
    logger.info(
        "Wrote %s: %d bins, %d of %d sequences in none.",
        args.output,
        len(set(labels[labels >= 0].tolist())),
        (labels < 0).sum(),
        len(ids),
    )
    return 0


def _fitted(
    args: argparse.Namespace, rows: np.ndarray, abundance: np.ndarray | None
) -> SpeciesClusterer:
    from .. import SpeciesClusterer

    return SpeciesClusterer(
        method=args.method,
        neighbors=args.neighbors,
        resolution=args.resolution,
        abundance_weight=args.abundance_weight,
        min_similarity=args.min_similarity,
        min_bin_size=args.min_bin_size,
        random_state=args.seed,
    ).fit(rows, abundance=abundance)
