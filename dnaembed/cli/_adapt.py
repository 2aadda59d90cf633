"""``dnaembed adapt``: a model that knows the reads at hand."""

import logging
from pathlib import Path
from typing import Annotated

from typer import Option

from ._app import command
from ._options import (
    OUTPUT_FOLDER,
    Columns,
    Model,
    Optimising,
    Reading,
    Reads,
    given,
    group,
    option,
)

logger = logging.getLogger("dnaembed")

_EXAMPLES = """\
  dnaembed adapt reads.fastq.gz -o adapted/                 to a sample, without labels
  dnaembed adapt known.fasta --labels known.tsv -o tuned/   to a few labelled reads
  dnaembed bin contigs.fasta --model adapted/ -o bins/

Without labels, two parts of one read make a pair: reads shorter than
--min-read-length are left out. With labels, two reads of one label do; reads
without a line in LABELS.tsv are of unknown species. From few reads the model would
get worse: with fewer than --min-reads (2000 without labels, 300 with them) it stays
as it is.
"""


@group("Training")
class Tuning(Optimising):
    """Parameters of `ContrastiveFineTuner`; None: its default."""

    n_steps: int | None = option("Optimiser steps (default: 300).", "N", "--steps", min=1)
    batch_size: int | None = option("Pairs per step (default: 128).", "N", min=1)
    learning_rate: float | None = option("Highest (default: 0.0005; with labels 0.00003).", "X")
    anchor: float | None = option("Pull towards the model as it was (default: 0).", "X")
    n_trainable_layers: int | None = option("The last N (default: all).", "N", "--trainable-layers")
    min_read_length: int | None = option("Shorter reads are left out (default: 1000).", "BP", min=1)
    min_reads: int | None = option(
        "Fewer leave the model as it is (default: 2000; with labels 300).", "N", min=0
    )


@command(_EXAMPLES)
def adapt(
    reads: Reads,
    output: Annotated[
        str, Option("--output", "-o", metavar="FOLDER", help="A new folder."), OUTPUT_FOLDER
    ],
    tuning: Tuning,
    reading: Reading,
    model: Model,
    columns: Columns,
    labels: Annotated[
        str | None, Option(metavar="LABELS.tsv", help="Identifier and species, TSV or CSV.")
    ] = None,
) -> None:
    """Adapt a model to your reads.

    Fine-tune a model on reads or contigs, with labels or without, and write it as a folder to be
    used as --model.
    """
    from ..backbones import load_backbone
    from ..backbones._device import resolve_device
    from ..io._tables import by_first_word
    from ..training import ContrastiveFineTuner

    if Path(output).exists():
        raise FileExistsError(f"{output} exists; a new folder is expected.")
    table = columns.labels_of(labels) if labels is not None else None
    ids, sequences = reading.read(reads)
    y = None
    if table is not None:
        told = by_first_word(ids, table)
        numbers = {species: i for i, species in enumerate(sorted(set(table.values())))}
        y = [numbers[told[i]] if i in told else -1 for i in ids]
        known = sum(number >= 0 for number in y)
        if not known:
            raise ValueError(f"{labels}: none of the {len(ids)} reads has a label.")
        n_species = len(set(y) - {-1})
        logger.info("%d of %d reads have labels, of %d species.", known, len(ids), n_species)
    tuner = ContrastiveFineTuner(**given(tuning))
    backbone = load_backbone(model.model)
    backbone.model.to(resolve_device(model.device, backbone.is_light))
    try:
        tuned = tuner.fine_tune(backbone, sequences, y, random_state=model.seed)
    except FloatingPointError as error:
        raise FloatingPointError(f"model {model.model!r}: {error}") from None
    tuned.model.to("cpu")
    tuned.save(output)
    logger.info("Wrote %s.", output)
