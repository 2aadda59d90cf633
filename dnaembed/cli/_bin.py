"""``dnaembed bin``: contigs into one FASTA file per species."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Annotated, Literal

from typer import Argument, BadParameter, Option

from ._app import command
from ._options import OUTPUT_FILE, OUTPUT_FOLDER, READS_HELP, Embedding, panel
from ._rows import Scale, open_rows, rows_of

logger = logging.getLogger("dnaembed")

_EXAMPLES = """\
  dnaembed bin contigs.fasta.gz -o bins/
  dnaembed bin contigs.fasta.gz -o bins/ --picture bins.png --gzip --force
  dnaembed bin contigs.fasta.gz -o bins/ --min-similarity 0.8     fewer, purer bins
  dnaembed bin contigs.fasta.gz -o bins/ --abundance one.bam.tsv --abundance two.bam.tsv
  dnaembed bin one.fasta two.fasta -o bins/ --prefix     both have a contig k141_1

  dnaembed embed contigs.fasta.gz -o contigs.npy
  dnaembed bin contigs.fasta.gz --embeddings contigs.npy -o bins/   embedded once

  dnaembed bin contigs.fasta.gz -o bins/ --save bins.safetensors
  dnaembed bin others.fasta.gz --assign bins.safetensors -o others/

Tables of coverage have a header and one line per contig: identifier, then a column of mean
coverages for each sequenced sample, separated by tabs. Those of
jgi_summarize_bam_contig_depths, CoverM, samtools coverage, BBMap and strobealign --aemb are fine.
"""


def _auto_or(expected: str, accepts: Callable[[float], bool]) -> Callable[[str], float | str]:
    def parse(text: str) -> float | str:
        try:
            value = text if text == "auto" else float(text)
        except ValueError:
            value = float("nan")
        if value != "auto" and not accepts(float(value)):
            raise BadParameter(f"expected auto or a number {expected}, got {text!r}.")
        return value

    return parse


@dataclass(frozen=True)
class Binning:
    """Parameters of `SpeciesClusterer`; None: its default."""

    method: Annotated[
        Literal["auto", "graph", "kmedoid"] | None,
        panel(
            "Binning",
            help="How bins are found (default: kmedoid, which needs --min-similarity, if that is "
            "given, else graph).",
        ),
    ] = None
    resolution: Annotated[
        str | None,
        panel(
            "Binning",
            parser=_auto_or("above 0", lambda value: 0 < value < float("inf")),
            metavar="X",
            help="Of the graph: larger gives more bins; auto: one unit for every 500 contigs.",
        ),
    ] = None
    min_similarity: Annotated[
        float | None,
        panel(
            "Binning",
            min=0,
            max=1,
            metavar="X",
            help="Of a contig to the centre of its bin, for the K-medoid.",
        ),
    ] = None
    min_bin_size: Annotated[
        int | None,
        panel(
            "Binning",
            min=1,
            metavar="N",
            help="Bins of fewer contigs and bases are discarded (default: 10, or a tenth of the "
            "contigs if these are fewer than 100).",
        ),
    ] = None
    min_bin_bases: Annotated[
        int | None,
        panel("Binning", min=1, metavar="BP", help="See --min-bin-size (default: 200,000)."),
    ] = None
    neighbors: Annotated[
        Literal["auto", "exact", "approximate"],
        panel(
            "Binning",
            help="Of the graph: exact compares all pairs of contigs; auto is exact up to 200,000 "
            "contigs.",
        ),
    ] = "auto"
    abundance_weight: Annotated[
        str | None,
        panel(
            "Binning",
            parser=_auto_or("from 0 to 1", lambda value: 0 <= value <= 1),
            metavar="X",
            help="Of --abundance beside the sequence, from 0 to 1 (default: 0.1 for one sample, "
            "0.3 for three, 0.5 from ten on).",
        ),
    ] = None


@command(_EXAMPLES)
def bin_(
    contigs: Annotated[list[str], Argument(metavar="CONTIGS", help=READS_HELP)],
    output: Annotated[
        str, Option("--output", "-o", metavar="BINS_DIR", help="The folder."), OUTPUT_FOLDER
    ],
    binning: Binning,
    scale: Scale,
    embedding: Embedding,
    abundance: Annotated[
        list[str] | None,
        Option(
            metavar="TABLE.tsv",
            help="Coverages of the contigs in one or more samples, or a sorted BAM file; give it "
            "once for each table.",
        ),
    ] = None,
    circular: Annotated[
        str | None,
        Option(
            metavar="FILE",
            help="Names of circular contigs, one per line, or assembly_info.txt of Flye; what "
            "other assemblers write into headers is seen without it.",
        ),
    ] = None,
    prefix: Annotated[
        bool, Option("--prefix", help="Put the name of its file before the name of each contig.")
    ] = False,
    min_length: Annotated[
        int, Option(min=1, metavar="BP", help="Bins are made of contigs of at least this length.")
    ] = 2500,
    min_recruit_length: Annotated[
        int,
        Option(
            min=1,
            metavar="BP",
            help="With --abundance, bins also take in contigs of at least this length.",
        ),
    ] = 1000,
    skip_empty: Annotated[
        bool, Option("--skip-empty", help="Leave records without a base out, with a warning.")
    ] = False,
    gzip: Annotated[bool, Option("--gzip", help="Compress the FASTA files.")] = False,
    picture: Annotated[
        str | None,
        Option(metavar="FILE.png", help="Draw a map of the contigs and the size of each bin."),
        OUTPUT_FILE,
    ] = None,
    force: Annotated[
        bool, Option("--force", help="Replace the bins of an earlier run in BINS_DIR.")
    ] = False,
) -> None:
    """Sort contigs into one FASTA file per species.

    There are as many bins as are found. Writes a folder: one FASTA file per bin, unbinned.fasta,
    bins.tsv (size, N50, GC, coverage of each), contigs.tsv (bin, -1 for none, and confidence of
    each), and the bins as tables for AMBER and DAS_Tool.
    """
    import numpy as np
    import pandas as pd

    from .. import SpeciesClusterer
    from ..io import abundance_of, read_abundance, write_bins
    from ..io._bins import check_bins_folder, circular_contigs, read_contigs
    from ..species._bins import bin_confidence, bin_contigs, long_enough, reasons_of
    from ..species._saved import check_source, load_clusters, save_clusters

    check_bins_folder(output, overwrite=force)  # now, not after the work
    if binning.method == "kmedoid" and binning.min_similarity is None:
        raise ValueError("--method kmedoid needs --min-similarity.")
    scale.refuse_with_assign(
        method=binning.method, min_similarity=binning.min_similarity, resolution=binning.resolution
    )
    table = read_abundance(abundance) if abundance else None
    found = read_contigs(contigs, skip_empty=skip_empty, prefix=prefix)
    lengths = np.array([len(sequence) for sequence in found.sequences])
    logger.info("Read %s contigs, %s bp.", f"{len(lengths):,}", f"{lengths.sum():,}")
    kept = long_enough(lengths, min_length, None if table is None else min_recruit_length)
    ids = [found.ids[i] for i in kept]
    coverage = None
    if table is not None:
        values = abundance_of(ids, table, where=", ".join(abundance or []))
        coverage = pd.DataFrame(values, columns=table.samples)
    if scale.embeddings is not None:
        row_ids, rows, source = open_rows(scale.embeddings)
        rows = rows_of(ids, row_ids, rows, where=scale.embeddings)
    else:
        embedder = embedding.embedder()
        rows = embedding.rows(embedder, ids, [found.sequences[i] for i in kept])
        source = embedding.source(embedder)
    if scale.assign is None:
        given = {name: value for name, value in asdict(binning).items() if value is not None}
        clusterer = SpeciesClusterer(**given, random_state=embedding.seed)
    else:
        clusterer, saved = load_clusters(scale.assign)
        check_source(scale.assign, clusterer, saved, source, rows.shape[1])
    rings = circular_contigs(found, circular)
    labels = np.full(len(lengths), -1)
    labels[kept] = bin_contigs(
        [found.sequences[i] for i in kept],
        clusterer,
        embeddings=rows,
        abundance=coverage,
        circular=rings[kept],
        min_length=min_length,
        min_recruit_length=min_recruit_length,
    )
    if scale.save is not None:
        save_clusters(scale.save, clusterer, source)
    confidence = np.full(len(lengths), np.nan)
    n_profiles = 0 if coverage is None else coverage.shape[1]
    confidence[kept] = bin_confidence(rows, labels[kept], lengths[kept], n_profiles=n_profiles)
    if coverage is not None:
        coverage = coverage.set_axis(kept).reindex(range(len(lengths)))
    write_bins(
        output,
        found.ids,
        found.records,
        labels,
        overwrite=force,
        headers=found.headers,
        confidence=confidence,
        reasons=reasons_of(labels, kept, coverage),
        abundance=coverage,
        circular=rings,
        compress=gzip,
    )
    if picture is not None:
        from ..plotting import plot_bins

        plot_bins(rows, labels[kept], lengths[kept]).savefig(picture)
    none = np.flatnonzero(labels < 0)
    logger.info("Wrote %s: %d bins.", output, len(set(labels[labels >= 0].tolist())))
    if len(none):
        longest = none[lengths[none].argmax()]
        logger.info(
            "%d of %d contigs are in no bin; the longest is %s, %s bp.",
            len(none),
            len(labels),
            found.ids[longest],
            f"{lengths[longest]:,}",
        )
