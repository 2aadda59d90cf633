"""``dnaembed train`` and ``adapt``: models from folders of genomes, and from the reads at hand."""

from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option

from ._app import command, flag, group, logger, option
from ._options import LABELS_HELP, Columns, Computing, Folder, Model, Reading, Reads, given

_TRAIN_EXAMPLES = """\
  dnaembed train genomes/ -o run/                      a k-mer model from scratch
  dnaembed train genomes/ -o run/ --resume             resume after an interruption
  dnaembed train genomes/ -o run/ --config recipe.toml --split train
  dnaembed train genomes/ -o run/ --model dnabert-s/ --learning-rate 3e-6
  dnaembed train genomes/ more/ -o run/                several folders
  torchrun --nproc-per-node 8 -m dnaembed train ...    several GPUs

genomes/ holds one FASTA file per genome; catalog.tsv in it (columns path, label and,
optionally, domain and split) says which genomes are of one species; without
it, each file is a species. Genomes that are too short are left out and counted.
run/model is the result, for --model; run/log.csv has the loss every 20 steps, and
run/best is the best model so far, with --validation-split.

A recipe (TOML or JSON) has the sections [model], [pairs], [training], [linear] and
[output]. An option replaces what the recipe says.
"""
_ADAPT_EXAMPLES = """\
  dnaembed adapt reads.fastq.gz -o adapted/                 to a sample, without labels
  dnaembed adapt known.fasta --labels known.tsv -o tuned/   to a few labelled reads
  dnaembed bin contigs.fasta --model adapted/ -o bins/

Without labels, two parts of one read make a pair: reads shorter than
--min-read-length are left out. With labels, two reads of one label make a pair;
reads without a line in LABELS.tsv are of unknown species. From few reads the model would
get worse: with fewer than --min-reads (2000 without labels, 300 with them) it stays
as it is.
"""


@group("Model")
class Start(Computing):
    """What the model is made of."""

    architecture: Literal["kmer_profile", "dnabert"] | None = option(
        "Kind of a new model (default: kmer_profile)."
    )
    model: str | None = option("Start from this model instead.", "NAME")


@group("Training")
class Training:
    """What a recipe has in its section training; None: as the recipe says."""

    n_steps: int | None = option("Optimiser steps (default: 5000).", "N", "--steps", min=1)
    batch_size: int | None = option("Pairs per step (default: 256).", "N", min=1)
    learning_rate: float | None = option("Peak learning rate (default: 0.001).", "X")


@group()
class Run:
    """What is trained on, and whether it has begun."""

    split: str | None = option("Train on this split of the catalogue.", "NAME")
    validation_split: str | None = option("Measure the loss on this split.", "NAME")
    resume: bool = flag("Resume from the newest checkpoint in RUN.")


@command(_TRAIN_EXAMPLES)
def train(
    genomes: Annotated[
        list[str],
        Argument(metavar="GENOMES", help="Folders of genomes, each with or without a catalogue."),
    ],
    output: Annotated[str, Option("--output", "-o", metavar="RUN", help="New folder of the run.")],
    run: Run,
    training: Training,
    start: Start,
    config: Annotated[str | None, Option(metavar="RECIPE", help="Recipe, .toml or .json.")] = None,
) -> None:
    """Train a model on folders of genomes.

    It learns that pieces of genomes of one species lie close together, by curriculum contrastive
    learning on pieces drawn anew at every step.
    """
    from ..training import train_model
    from ..training._recipe import merge_recipes, read_recipe

    if start.model is not None and start.architecture is not None:
        raise ValueError("--model has its own architecture: give one of --model, --architecture.")
    begin = {"architecture": start.architecture, "path": start.model}
    options = {
        "model": {name: value for name, value in begin.items() if value is not None},
        "training": given(training),
    }
    recipe = merge_recipes(read_recipe(config) if config is not None else {}, options)
    train_model(genomes, recipe, output, device=start.device, seed=start.seed, **vars(run))


@group("Training")
class Tuning:
    """Parameters of `ContrastiveFineTuner`; None: its default."""

    n_steps: int | None = option("Optimiser steps (default: 300).", "N", "--steps", min=1)
    batch_size: int | None = option("Pairs per step (default: 128).", "N", min=1)
    learning_rate: float | None = option(
        "Peak learning rate (default: 0.0005; with labels 0.00003).", "X"
    )
    min_read_length: int | None = option("Shorter reads are left out (default: 1000).", "BP", min=1)
    min_reads: int | None = option(
        "With fewer, the model stays as it is (default: 2000; with labels 300).", "N", min=0
    )


@command(_ADAPT_EXAMPLES)
def adapt(
    reads: Reads,
    output: Folder,
    tuning: Tuning,
    reading: Reading,
    model: Model,
    columns: Columns,
    labels: Annotated[str | None, Option(metavar="LABELS.tsv", help=LABELS_HELP)] = None,
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
        raise FileExistsError(f"{output} exists: remove it, or choose another folder.")
    table = columns.labels_of(labels) if labels is not None else None
    ids, sequences = reading.read(reads)
    y = None
    if table is not None:
        told = by_first_word(ids, table)
        numbers = {species: i for i, species in enumerate(sorted(set(table.values())))}
        y = [numbers[told[i]] if i in told else -1 for i in ids]
        if not (n_species := len(set(y) - {-1})):
            raise ValueError(f"{labels}: none of the {len(ids):,} reads has a label.")
        counts = (sum(number >= 0 for number in y), len(ids), n_species)
        logger.info("%s of %s reads have labels, of %s species.", *(f"{n:,}" for n in counts))
    tuner = ContrastiveFineTuner(**given(tuning))
    backbone = load_backbone(model.model)
    backbone.model.to(resolve_device(model.device, backbone.is_light))
    try:
        tuned = tuner.fine_tune(backbone, sequences, y, random_state=model.seed)
    except FloatingPointError as error:
        raise FloatingPointError(f"model {model.model!r}: {error}") from None
    tuned.model.to("cpu")
    tuned.save(output)
    logger.info("Wrote %s, after %d steps.", output, tuner.n_steps_)
