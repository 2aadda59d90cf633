"""`ContrastiveFineTuner`: adapt a model to the reads at hand, with labels or without."""

import warnings
from copy import deepcopy
from dataclasses import fields
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils import check_consistent_length, check_random_state, column_or_1d
from sklearn.utils._param_validation import Interval, StrOptions

from .._sequences import check_sequences
from ..backbones import Backbone
from ._config import TrainingConfig
from ._pairs import ReadPairs, number_labels
from ._trainer import ContrastiveTrainer


class ContrastiveFineTuner(BaseEstimator):
    """Fine-tune a pretrained model on reads, as part of `DNABertSEmbedder`.

    With labels, pairs are pieces of reads of one label, and pairs of one label are never pushed
    apart. Without, they are two parts of one read that do not overlap. The loss is Weighted SimCLR
    on the embedding itself.

    Parameters
    ----------
    n_steps, batch_size : int, default=300, 128
        Optimiser steps, and pairs per step.
    learning_rate : float or "auto", default="auto"
        Highest learning rate; it rises over the first tenth of the steps and falls with a cosine.
        ``"auto"`` is what measured best with k-mer models (5e-4 without labels, 3e-5 with them),
        and 1e-5 for transformers.
    anchor, n_trainable_layers : float and int, default=0.0 and None
        As in `TrainingConfig`: two means against forgetting.
    min_length, max_length : int, default=800, 10000
        Lengths, in bases, of the pieces of reads; as far as a read is long enough.
    min_read_length : int, default=1000
        A read shorter than this is not cut in two: it takes part only with other reads of its
        label, and not at all without labels.
    min_reads : int or "auto", default="auto"
        The model stays as it is, with a warning, if fewer reads than this can be used. ``"auto"``
        is 2000 without labels and 300 with them, from which the bundled model was measured better.
    mixed_precision, budget : str and int, default="fp32" and None
        As in `TrainingConfig`.

    Attributes
    ----------
    n_steps_ : int
        Steps done, those of `partial_fine_tune` included.
    history_ : list of dict
        Loss, alignment and uniformity by step.

    Examples
    --------
    >>> from dnaembed.training import ContrastiveFineTuner
    >>> ContrastiveFineTuner(learning_rate=1e-5, n_trainable_layers=2)
    ContrastiveFineTuner(learning_rate=1e-05, n_trainable_layers=2)
    """

    __module__ = "dnaembed.training"

    _parameter_constraints: ClassVar[dict] = {
        "n_steps": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 2, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "anchor": [Interval(Real, 0, None, closed="left")],
        "n_trainable_layers": [Interval(Integral, 0, None, closed="left"), None],
        "min_length": [Interval(Integral, 1, None, closed="left")],
        "max_length": [Interval(Integral, 1, None, closed="left")],
        "min_read_length": [Interval(Integral, 2, None, closed="left")],
        "min_reads": [Interval(Integral, 0, None, closed="left"), StrOptions({"auto"})],
        "mixed_precision": [StrOptions({"fp32", "bf16", "fp16"})],
        "budget": [Interval(Integral, 1, None, closed="left"), None],
    }

    def __init__(
        self,
        *,
        n_steps: int = 300,
        batch_size: int = 128,
        learning_rate: float | str = "auto",
        anchor: float = 0.0,
        n_trainable_layers: int | None = None,
        min_length: int = 800,
        max_length: int = 10_000,
        min_read_length: int = 1000,
        min_reads: int | str = "auto",
        mixed_precision: str = "fp32",
        budget: int | None = None,
    ) -> None:
        self.n_steps = n_steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.anchor = anchor
        self.n_trainable_layers = n_trainable_layers
        self.min_length = min_length
        self.max_length = max_length
        self.min_read_length = min_read_length
        self.min_reads = min_reads
        self.mixed_precision = mixed_precision
        self.budget = budget

    def fine_tune(
        self, backbone: Backbone, X: Any, y: ArrayLike | None = None, *, random_state: Any = None
    ) -> Backbone:
        """Return a copy of a model, fine-tuned.

        Parameters
        ----------
        backbone : Backbone
            The pretrained model; left as it is.
        X : iterable of str of length n_samples
            The reads.
        y : array-like of shape (n_samples,), default=None
            Their labels; negative integers are unknown. None: all are unknown.
        random_state : int, RandomState instance or None, default=None
            Of the pairs, the mixing and the dropout.

        Returns
        -------
        Backbone
            In evaluation mode, on the device of `backbone`. The weights as before, with a warning,
            if all usable reads are of one label, or there are fewer than `min_reads`.
        """
        self.n_steps_ = 0
        self.history_: list[dict[str, Any]] = []
        return self.partial_fine_tune(backbone, X, y, random_state=random_state)

    def partial_fine_tune(
        self, backbone: Backbone, X: Any, y: ArrayLike | None = None, *, random_state: Any = None
    ) -> Backbone:
        """Continue from a fine-tuned model with more reads; it is also the anchor."""
        if not hasattr(self, "n_steps_"):
            return self.fine_tune(backbone, X, y, random_state=random_state)
        self._validate_params()
        reads = check_sequences(X)
        check_consistent_length(reads, y)
        numbers = number_labels(y if y is None else column_or_1d(y), len(reads))
        lengths = np.array([len(read) for read in reads])
        counts = np.bincount(numbers[numbers >= 0], minlength=1)
        together = (numbers >= 0) & (counts[np.maximum(numbers, 0)] > 1)
        usable = ((lengths >= self.min_read_length) | together) & (lengths > 1)
        if not usable.any():
            why = f"all are shorter than min_read_length={self.min_read_length}"
            alone = "" if y is None else ", and no two have one label"
            raise ValueError(f"None of the {len(reads)} reads can make a pair: {why}{alone}.")
        backbone = deepcopy(backbone)
        seeds = check_random_state(random_state).randint(2**31 - 1, size=2)
        kept = numbers[usable]
        labelled = bool((kept >= 0).any())
        obstacle, least = "", self.min_reads
        if isinstance(least, str):
            least = 300 if labelled else 2000
        if len(np.unique(kept[kept >= 0])) + (kept < 0).sum() < 2:
            obstacle = "Nothing to fine-tune on: the reads are of one label, and two are needed."
        elif len(kept) < least:
            what = f"{len(kept)} reads {'with' if labelled else 'without'} labels"
            obstacle = f"{what} are too few: min_reads (--min-reads) is {least}."
        if obstacle:
            warnings.warn(f"{obstacle} The model stays as it is.", UserWarning, stacklevel=3)
            backbone.model.eval()
            return backbone
        rate = self.learning_rate
        own = {field.name for field in fields(TrainingConfig)} & self.get_params().keys()
        config = TrainingConfig(
            **{name: getattr(self, name) for name in own - {"learning_rate"}},
            learning_rate=backbone.fine_tuning_rate(labelled) if isinstance(rate, str) else rate,
            loss="weighted_simclr",
            head_size=None,
            warmup=0.1,
            weight_decay=0.0,
            seed=int(seeds[1]),
            log_every=10,
        )
        taken = [read for read, use in zip(reads, usable, strict=True) if use]
        lengths_of_pieces = {"min_length": self.min_length, "max_length": self.max_length}
        source = ReadPairs(taken, kept, **lengths_of_pieces, seed=int(seeds[0]))
        trainer = ContrastiveTrainer(backbone, source, config, device=backbone.model.device)
        tuned = trainer.train()
        self.history_ += [row | {"step": self.n_steps_ + row["step"]} for row in trainer.history]
        self.n_steps_ += trainer.step
        return tuned
