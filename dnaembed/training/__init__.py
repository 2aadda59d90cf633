"""Contrastive training: losses, pairs, the trainer, and fine-tuning for the estimators."""

from ..datasets._genomes import GenomeRecord, GenomeStore, list_genomes
from ..datasets._read_errors import add_errors
from ._config import TrainingConfig
from ._fine_tuner import ContrastiveFineTuner
from ._fit_profile import add_linear_part, fit_profile_statistics
from ._losses import LOSSES, Loss, i_mix, mi_mix, supcon, weighted_simclr
from ._pairs import GenomePairs, PairBatch, PairSource, ReadPairs
from ._recipe import train_model
from ._step import ProjectionHead
from ._trainer import ContrastiveTrainer

__all__ = [
    "LOSSES",
    "ContrastiveFineTuner",
    "ContrastiveTrainer",
    "GenomePairs",
    "GenomeRecord",
    "GenomeStore",
    "Loss",
    "PairBatch",
    "PairSource",
    "ProjectionHead",
    "ReadPairs",
    "TrainingConfig",
    "add_errors",
    "add_linear_part",
    "fit_profile_statistics",
    "i_mix",
    "list_genomes",
    "mi_mix",
    "supcon",
    "train_model",
    "weighted_simclr",
]
