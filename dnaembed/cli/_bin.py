"""``dnaembed bin``: contigs into one FASTA file per species."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import Annotated, Literal

from typer import Argument, BadParameter, Option

from ._app import command
from ._options import READS_HELP, Embedding, Reading, panel
from ._rows import Scale, open_rows, rows_of

logger = logging.getLogger("dnaembed")

_EXAMPLES = """\
  dnaembed bin contigs.fasta.gz -o bins/
  dnaembed bin contigs.fasta.gz -o bins/ --min-length 1500 --min-bin-size 5 --force
  dnaembed bin contigs.fasta.gz -o bins/ --min-similarity 0.8     fewer, purer bins
  dnaembed bin contigs.fasta.gz -o bins/ --abundance coverage.tsv

  dnaembed embed contigs.fasta.gz -o contigs.npy
  dnaembed bin contigs.fasta.gz --embeddings contigs.npy -o bins/   embedded once

  dnaembed bin contigs.fasta.gz -o bins/ --save bins.safetensors
  dnaembed bin others.fasta.gz --assign bins.safetensors -o others/

coverage.tsv has a header and one line per contig: identifier, then a column of mean
coverages for each sequenced sample, separated by tabs. Tables of
jgi_summarize_bam_contig_depths are fine.
"""


def _resolution(text: str) -> float | str:
    if text == "auto":
        return text
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < float("inf"):
        raise BadParameter(f"expected auto or a number above 0, got {text!r}.")
    return value


def _share(text: str) -> float | str:
    if text == "auto":
        return text
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value <= 1:
        raise BadParameter(f"expected auto or a number from 0 to 1, got {text!r}.")
    return value


@dataclass(frozen=True)
class Binning:
    """Parameters of `SpeciesClusterer`; None: its default."""

    method: Annotated[
        Literal["auto", "graph", "kmedoid", "hdbscan"] | None,
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
            parser=_resolution,
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
        int, panel("Binning", min=1, metavar="N", help="Contigs of smaller bins are in none.")
    ] = 10
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
            parser=_share,
            metavar="X",
            help="Of --abundance beside the sequence, from 0 to 1 (default: 0.1 for one sample, "
            "0.3 for three, 0.5 from ten on).",
        ),
    ] = None


@command(_EXAMPLES)
def bin_(
    contigs: Annotated[list[str], Argument(metavar="CONTIGS", help=READS_HELP)],
    output: Annotated[str, Option("--output", "-o", metavar="BINS_DIR", help="The folder.")],
    binning: Binning,
    scale: Scale,
    embedding: Embedding,
    reading: Reading,
    abundance: Annotated[
        str | None,
        Option(
            metavar="TABLE.tsv",
            help="Coverages of the contigs in one or more samples, used beside the sequence.",
        ),
    ] = None,
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
    force: Annotated[
        bool, Option("--force", help="Replace the bins of an earlier run in BINS_DIR.")
    ] = False,
) -> None:
    """Sort contigs into one FASTA file per species.

    There are as many bins as are found. Writes a folder: one FASTA file per bin, bins.tsv (size,
    N50 and GC of each) and contigs.tsv (id, bin; -1: in none).
    """
    import numpy as np

    from .. import SpeciesClusterer
    from ..io import abundance_of, read_abundance, write_bins
    from ..io._bins import check_bins_folder
    from ..species._bins import long_enough, recruits
    from ..species._saved import check_source, load_clusters, save_clusters

    check_bins_folder(output, overwrite=force)  # now, not after the work
    if binning.method == "kmedoid" and binning.min_similarity is None:
        raise ValueError("--method kmedoid needs --min-similarity.")
    scale.refuse_with_assign(
        method=binning.method, min_similarity=binning.min_similarity, resolution=binning.resolution
    )
    table = None if abundance is None else read_abundance(abundance)
    ids, sequences = reading.read(contigs)
    long = long_enough(sequences, min_length)
    kept, coverages = long, None
    if table is not None:
        kept = np.concatenate([long, recruits(sequences, min_length, min_recruit_length)])
        coverages = abundance_of([ids[i] for i in kept], table, where=str(abundance))
    if scale.embeddings is not None:
        row_ids, rows, source = open_rows(scale.embeddings)
        if row_ids == ids:
            rows = rows[kept]
        else:
            rows = rows_of([ids[i] for i in kept], row_ids, rows, where=scale.embeddings)
    else:
        embedder = embedding.embedder()
        rows = embedding.rows(embedder, [ids[i] for i in kept], [sequences[i] for i in kept])
        source = embedding.source(embedder)
    labels = np.full(len(ids), -1)
    n_long = len(kept) if scale.assign is not None else len(long)
    first = None if coverages is None else coverages[:n_long]
    if scale.assign is None:
        given = {name: value for name, value in asdict(binning).items() if value is not None}
        clusterer = SpeciesClusterer(**given, random_state=embedding.seed)
        labels[long] = clusterer.fit(rows[:n_long], abundance=first).labels_
        if scale.save is not None:
            save_clusters(scale.save, clusterer, source)
    else:
        clusterer, saved = load_clusters(scale.assign)
        check_source(scale.assign, clusterer, saved, source, rows.shape[1])
        labels[kept] = clusterer.predict(rows, abundance=coverages)
    if coverages is not None and len(kept) > n_long:
        labels[kept[n_long:]] = clusterer.predict(rows[n_long:], abundance=coverages[n_long:])
    write_bins(output, ids, sequences, labels, overwrite=force)
    logger.info(
        "Wrote %s: %d bins, %d of %d sequences in none.",
        output,
        len(set(labels[labels >= 0].tolist())),
        (labels < 0).sum(),
        len(ids),
    )
