"""``dnaembed bin``: contigs into one FASTA file per species."""

from pathlib import Path
from typing import Literal

from ._app import command, flag, group, logger, option
from ._cluster import Scale, open_rows, rows_of
from ._options import PICTURE_FILE, Contigs, Embedding, Folder, SkipEmpty, given
from ._report import Reporting, Sequences

_EXAMPLES = """\
  dnaembed bin contigs.fasta.gz -o bins/
  dnaembed bin contigs.fasta.gz -o bins/ --picture bins.png --report bins.html --force
  dnaembed bin contigs.fasta.gz -o bins/ --min-similarity 0.75     fewer, purer bins
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


@group("Binning")
class Binning:
    """Parameters of `SpeciesClusterer`; None: its default."""

    method: Literal["auto", "graph", "kmedoid"] | None = option(
        "How bins are found (default: kmedoid if --min-similarity is given, else graph)."
    )
    resolution: float | None = option(
        "Of graph: larger values give more bins (default: chosen from the data).", "X", min=0.001
    )
    min_similarity: float | None = option(
        "Of kmedoid: least similarity of a contig to the centre of its bin.", "X", min=0, max=1
    )
    min_bin_size: int | None = option(
        "Fewest contigs in a bin (default: 10; below 100 contigs, a tenth).", "N", min=1
    )
    min_bin_bases: int | None = option("Bins this long are kept (default: 200,000).", "BP", min=1)
    neighbors: Literal["auto", "exact", "approximate"] = option(
        "Of graph: how they are found; auto: exact up to 200,000 contigs.", default="auto"
    )
    abundance_weight: float | None = option(
        "Weight of coverage (default: 0.1 for one sample, 0.5 from ten on).", "X", min=0, max=1
    )


@group()
class Own(SkipEmpty):
    """What is known of the contigs, and what is written of the bins."""

    abundance: list[str] | None = option(
        "Coverages in one or more samples, or a sorted BAM file; may be repeated.", "TABLE.tsv"
    )
    circular: str | None = option(
        "Names of circular contigs, or assembly_info.txt of Flye.", "FILE"
    )
    prefix: bool = flag("Put the name of its file before the name of each contig.")
    min_length: int = option("Shortest contigs that make bins.", "BP", default=2500, min=1)
    min_recruit_length: int = option(
        "Shortest contigs that bins take in, with --abundance.", "BP", default=1000, min=1
    )
    gzip: bool = flag("Compress the FASTA files.")
    picture: str | None = option("Draw a map and sizes of bins.", "FILE.png", mark=PICTURE_FILE)
    force: bool = flag("Replace the bins of an earlier run in FOLDER.")


@command(_EXAMPLES)
def bin_(
    contigs: Contigs,
    output: Folder,
    own: Own,
    binning: Binning,
    scale: Scale,
    embedding: Embedding,
    reporting: Reporting,
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
    from ..species._bins import bin_confidence, bin_contigs, long_enough, model_of, reasons_of
    from ..species._saved import check_source, load_clusters, save_clusters
    from ..utils._atomic import alone_in

    with alone_in(Path(output).resolve().parent):  # now, not after the work
        check_bins_folder(output, overwrite=own.force)
    if binning.method == "kmedoid" and binning.min_similarity is None:
        raise ValueError("--method kmedoid needs --min-similarity.")
    if binning.resolution is not None and binning.min_similarity is not None:
        raise ValueError("Give one: --resolution is of the graph, --min-similarity of kmedoid.")
    how_found = ("method", "min_similarity", "resolution")
    scale.refuse_with_assign(**{name: getattr(binning, name) for name in how_found})
    clusterer = SpeciesClusterer(**given(binning), random_state=embedding.seed)
    clusterer._validate_params()
    table = read_abundance(own.abundance) if own.abundance else None
    found = read_contigs(contigs, skip_empty=own.skip_empty, prefix=own.prefix)
    lengths = np.array([len(sequence) for sequence in found.sequences])
    logger.info("Read %s contigs, %s bp.", f"{len(lengths):,}", f"{lengths.sum():,}")
    kept = long_enough(lengths, own.min_length, own.min_recruit_length if own.abundance else None)
    ids, sequences = ([texts[i] for i in kept] for texts in (found.ids, found.sequences))
    coverage = None
    if table is not None:
        values = abundance_of(ids, table, where=", ".join(own.abundance or []))
        coverage = pd.DataFrame(values, columns=table.samples)
    if scale.embeddings is not None:
        row_ids, rows, source = open_rows(scale.embeddings)
        rows = rows_of(ids, row_ids, rows, where=scale.embeddings)
    else:
        rows = embedding.rows(ids, sequences)
        source = embedding.source()
    if scale.assign is not None:
        clusterer, saved = load_clusters(scale.assign)
        check_source(scale.assign, clusterer, saved, source, rows.shape[1])
    rings = circular_contigs(found, own.circular)
    labels = np.full(len(lengths), -1)
    labels[kept] = bin_contigs(
        sequences,
        clusterer,
        embeddings=rows,
        abundance=coverage,
        circular=rings[kept],
        min_length=own.min_length,
        min_recruit_length=own.min_recruit_length,
    )
    if scale.save is not None:
        save_clusters(scale.save, clusterer, source)
    confidence = np.full(len(lengths), np.nan)
    n = 0 if coverage is None else coverage.shape[1]
    confidence[kept] = bin_confidence(
        rows, labels[kept], lengths[kept], n_profiles=n, model=model_of(source)
    )
    if coverage is not None:
        coverage = coverage.set_axis(kept).reindex(range(len(lengths)))
    write_bins(
        output,
        found.ids,
        found.records,
        labels,
        headers=found.headers,
        confidence=confidence,
        abundance=coverage,
        reasons=reasons_of(labels, kept, coverage),
        circular=rings,
        overwrite=own.force,
        compress=own.gzip,
    )
    shown = Sequences()
    if own.picture is not None or reporting.report is not None:
        sure = confidence[kept].tolist()
        shown.add(ids, rows, sequences, bin=labels[kept].tolist(), confidence=sure)
    if own.picture is not None:
        from ..plotting import BinningDisplay, new_figure, save_figure

        figure, (left, right) = new_figure(2)
        title = f"{len(kept):,} contigs"
        shown.display("bin", method="pca").plot(left, title=title, legend=False)
        BinningDisplay.from_predictions(labels, lengths=lengths, ax=right)
        save_figure(figure, own.picture)
    if reporting.report is not None:
        shown.write_report(reporting.report, "dnaembed bin", "bin", "confidence")
    none = np.flatnonzero(labels < 0)
    n_bins = len(set(labels[labels >= 0].tolist()))
    logger.info("Wrote %s: %d bin%s.", output, n_bins, "s" * (n_bins != 1))
    if len(none):
        longest = none[lengths[none].argmax()]
        said = f"{len(none):,} of {len(labels):,} contigs are in no bin; the longest is"
        logger.info("%s %s, %s bp.", said, found.ids[longest], f"{lengths[longest]:,}")
