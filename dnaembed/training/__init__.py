"""Contrastive training: losses, pairs, the trainer, and fine-tuning for the estimators."""

from ..datasets._genomes import GenomeRecord, GenomeStore, list_genomes
from ..datasets._read_errors import ErrorModel, add_errors
from ._config import TrainingConfig
from ._fine_tuner import ContrastiveFineTuner
from ._fit_profile import add_linear_part, fit_profile_statistics
from ._head import ProjectionHead
from ._losses import alignment, i_mix, mi_mix, supcon, uniformity, weighted_simclr
from ._mixing import MixingDraw, draw_mixing
from ._pair_batch import PairBatch, PairSource
from ._pairs import GenomePairs, ReadPairs
from ._trainer import ContrastiveTrainer

__all__ = [
    "ContrastiveFineTuner",
    "ContrastiveTrainer",
    "ErrorModel",
    "GenomePairs",
    "GenomeRecord",
    "GenomeStore",
    "MixingDraw",
    "PairBatch",
    "PairSource",
    "ProjectionHead",
    "ReadPairs",
    "TrainingConfig",
    "add_errors",
    "add_linear_part",
    "alignment",
    "draw_mixing",
    "fit_profile_statistics",
    "i_mix",
    "list_genomes",
    "mi_mix",
    "supcon",
    "uniformity",
    "weighted_simclr",
]
