"""``dnaembed adapt``: a model that knows the reads at hand."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from typer import Option

from ._app import command
from ._options import Device, Model, NewFolder, Optimising, Reading, Reads, Seed, panel

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


@dataclass(frozen=True)
class Tuning(Optimising):
    """Parameters of `ContrastiveFineTuner`; None: its default."""

    n_steps: Annotated[
        int | None,
        panel("Training", "--steps", min=1, metavar="N", help="Optimiser steps (default: 300)."),
    ] = None
    batch_size: Annotated[
        int | None, panel("Training", min=1, metavar="N", help="Pairs per step (default: 128).")
    ] = None
    learning_rate: Annotated[
        float | None,
        panel("Training", metavar="X", help="Highest (default: 0.0005; with labels 0.00003)."),
    ] = None
    anchor: Annotated[
        float | None,
        panel("Training", metavar="X", help="Pull towards the model as it was (default: 0)."),
    ] = None
    n_trainable_layers: Annotated[
        int | None,
        panel(
            "Training",
            "--trainable-layers",
            metavar="N",
            help="Train only the last N hidden layers (default: all).",
        ),
    ] = None
    min_read_length: Annotated[
        int | None,
        panel("Training", min=1, metavar="BP", help="Shorter reads are left out (default: 1000)."),
    ] = None
    min_reads: Annotated[
        int | None,
        panel(
            "Training",
            min=0,
            metavar="N",
            help="Fewer reads leave the model as it is (default: 2000; with labels 300).",
        ),
    ] = None


@command(_EXAMPLES)
def adapt(
    reads: Reads,
    output: NewFolder,
    tuning: Tuning,
    reading: Reading,
    labels: Annotated[
        str | None, Option(metavar="LABELS.tsv", help="Identifier, tab, species.")
    ] = None,
    model: Model = "default",
    device: Device = "auto",
    seed: Seed = 0,
) -> None:
    """Adapt a model to your reads.

    Fine-tune a model on reads or contigs, with labels or without, and write it as a folder to be
    used as --model.
    """
    from ..backbones import load_backbone
    from ..backbones._device import resolve_device
    from ..io import read_labels
    from ..training import ContrastiveFineTuner

    if Path(output).exists():
        raise FileExistsError(f"{output} exists; a new folder is expected.")
    table = read_labels(labels) if labels is not None else None
    ids, sequences = reading.read(reads)
    y = None
    if table is not None:
        numbers = {species: i for i, species in enumerate(sorted(set(table.values())))}
        y = [numbers[table[i]] if i in table else -1 for i in ids]
        known = sum(number >= 0 for number in y)
        if not known:
            raise ValueError(f"{labels}: none of the {len(ids)} reads has a label.")
        logger.info(
            "%d of %d reads have labels, of %d species.", known, len(ids), len(set(y) - {-1})
        )
    tuner = ContrastiveFineTuner(**tuning.given())
    backbone = load_backbone(model)
    backbone.model.to(resolve_device(device))
    tuned = tuner.fine_tune(backbone, sequences, y, random_state=seed)
    tuned.model.to("cpu")
    tuned.save(output)
    logger.info("Wrote %s.", output)
