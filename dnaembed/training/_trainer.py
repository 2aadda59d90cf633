"""`ContrastiveTrainer`: curriculum contrastive learning of any backbone, from any pairs."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from contextlib import closing
from math import isfinite
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, distributed

from ..backbones import Backbone
from ..utils._ahead import ahead
from ..utils._atomic import atomic_folder, atomic_output
from ..utils._progress import progress
from ..utils._randomness import derive_seed
from ._checkpoint import Checkpoint, latest_checkpoint, write_checkpoint, write_rows
from ._config import TrainingConfig
from ._losses import LOSSES, alignment, uniformity, unmixed
from ._pairs import PairSource
from ._prepare import PreparedStep, prepare_step
from ._step import ContrastiveStep, ProjectionHead, StepOutput, join_processes
from ._weights import (
    assign,
    checkpointed,
    copies,
    exchanged,
    freeze_first_layers,
    move_towards,
    weight_groups,
)

logger = logging.getLogger("dnaembed")

_MAX_NORM = 1.0  # longer gradients are shortened to this
_VALIDATION_STEPS = 4  # of the validation source, the same each time
_SHOWN = ("loss", "alignment", "uniformity")


class ContrastiveTrainer:
    """Train a backbone so that sequences of one species lie close together.

    The default is Curriculum Contrastive Learning (C2LR): Weighted SimCLR for the first third of
    the steps, Manifold Instance Mixup for the rest.

    With ``torchrun`` it trains in several processes. It is not built on transformers' ``Trainer``,
    which adds up losses of examples over accumulation steps and averages gradients over processes:
    a contrastive loss belongs to the batch as a whole. Here unit vectors are gathered over all
    processes and the loss, its negatives, its masks and its mixing permutation are those of the
    whole batch, so that neither the number of processes, but for the draws of dropout, nor that of
    chunks (`budget`) changes the result.

    Every step is a pure function of the weights, the seeds and the step number: pairs, mixing and
    dropout are drawn from generators keyed by the step, never from a global one. A run that was
    killed and resumed gives the same weights, bit for bit on a CPU.

    Parameters
    ----------
    backbone : Backbone
        Trained in place.
    source : PairSource
        Gives the pairs of each step.
    config : TrainingConfig, default=None
        Hyperparameters; the defaults if None.
    validation_source : PairSource, default=None
        Pairs of other species; its first steps are used, the same in each validation. The loss of
        unmixed pairs in evaluation mode is what `validation_loss` means.
    output_dir : path-like, default=None
        Folder for ``log.csv``, ``validation.csv``, ``training.json``, ``checkpoints`` and ``best``.
        None writes nothing.
    device : str or torch.device, default=None
        None takes the best there is, a GPU of its own for each process.

    Attributes
    ----------
    backbone : Backbone
        The model.
    head : ProjectionHead
        The projection that is trained along.
    step : int
        Steps done.
    history, validations : list of dict
        What was logged, in rows.
    best : dict or None
        The row of `validations` whose weights are best.

    Raises
    ------
    ValueError
        If the batch cannot be divided by the processes, or parameters contradict each other.

    References
    ----------
    Zhou et al., "DNABERT-S: pioneering species differentiation with species-aware DNA
    embeddings", Bioinformatics 41 (2025), i255.
    """

    def __init__(
        self,
        backbone: Backbone,
        source: PairSource,
        config: TrainingConfig | None = None,
        *,
        validation_source: PairSource | None = None,
        output_dir: str | os.PathLike[str] | None = None,
        device: str | torch.device | None = None,
    ) -> None:
        config = config or TrainingConfig()
        self.processes = join_processes(device)
        _check_config(config, backbone, self.processes.number)
        if config.checkpoint_every is not None and output_dir is None:
            raise ValueError("checkpoint_every needs an output_dir.")
        self.config = config
        self.backbone = backbone
        self.source = source
        self.validation_source = validation_source
        self.output_dir = None if output_dir is None else Path(output_dir)
        self.device = self.processes.device(device)
        self.head = ProjectionHead(
            backbone.embedding_size, config.head_size, seed=derive_seed(config.seed)
        )
        self.step = 0
        self.history: list[dict[str, Any]] = []
        self.validations: list[dict[str, Any]] = []
        self.best: dict[str, Any] | None = None
        self._best_weights: list[Tensor] | None = None
        backbone.model.to(self.device)
        self.head.to(self.device)
        self._frozen: list[torch.nn.Parameter] = []
        if config.n_trainable_layers is not None:
            self._frozen = freeze_first_layers(
                backbone.model, backbone.n_mixing_layers, config.n_trainable_layers
            )
        self._encoder_weights = [p for p in backbone.model.parameters() if p.requires_grad]
        self._weights = [*self._encoder_weights, *self.head.parameters()]
        if not self._weights:
            raise ValueError("The model has no parameter to train.")
        self._same_start()
        self._anchor = copies(self._encoder_weights) if config.anchor else None
        self._average = copies(self._weights) if config.ema_decay is not None else None
        rate, decay = config.learning_rate, config.weight_decay
        head_rate = rate if config.head_learning_rate is None else config.head_learning_rate
        self._optimizer = torch.optim.AdamW(
            weight_groups(backbone.model, rate, decay) + weight_groups(self.head, head_rate, decay),
            lr=rate,
            betas=config.betas,
            fused=self.device.type in ("cpu", "cuda"),
        )
        self._scaler = torch.amp.GradScaler(
            self.device.type, enabled=config.mixed_precision == "fp16"
        )
        self._compute = ContrastiveStep(backbone, self.head, config, self.device)

    def train(self, *, resume: bool = False) -> Backbone:
        """Train, and leave the best weights in the backbone.

        Best are those of the best validation where there is validation, else the average where
        there is one, else the last.

        Parameters
        ----------
        resume : bool, default=False
            Continue from the newest checkpoint in `output_dir`; start if there is none.

        Returns
        -------
        Backbone
            `backbone`, in evaluation mode.

        Raises
        ------
        ValueError
            If the checkpoint was written with other hyperparameters.
        FloatingPointError
            If the loss is not finite.
        """
        checkpoint = None
        if resume and self.output_dir is not None:
            checkpoint = latest_checkpoint(self.output_dir / "checkpoints")
        if checkpoint is not None:
            self._restore(checkpoint)
        self._begin_tables()
        try:
            with checkpointed(self.backbone.model, self.config.gradient_checkpointing):
                self._run()
        finally:
            for parameter in self._frozen:
                parameter.requires_grad_(True)
            self._optimizer.zero_grad()
            self.backbone.model.eval()
        if self._best_weights is not None:
            assign(self._encoder_weights, self._best_weights)
        elif self._average is not None:
            assign(self._weights, self._average)
        return self.backbone

    def _run(self) -> None:
        config, n_ahead = self.config, self.config.n_workers
        numbers = range(self.step, config.n_steps)
        steps = ahead(numbers, self._prepare, n_threads=n_ahead, depth=n_ahead)
        bar = progress(total=config.n_steps, description="training", unit="step", initial=self.step)
        start = perf_counter()
        self._training_mode()
        with closing(steps), bar:
            while self.step < config.n_steps:
                prepared = next(steps)
                output, norm = self._update(prepared)
                self.step += 1
                last = self.step == config.n_steps
                bar.update()
                if self.step % config.log_every == 0 or last:
                    row = self._row(prepared, output, norm, perf_counter() - start)
                    self.history.append(row)
                    bar.set_postfix({k: f"{row[k]:.3f}" for k in _SHOWN}, refresh=False)
                    self._log("log.csv", row)
                if last or (config.eval_every and self.step % config.eval_every == 0):
                    self._validate()
                if config.checkpoint_every and (self.step % config.checkpoint_every == 0 or last):
                    self._save()

    def _prepare(
        self, step: int, source: PairSource | None = None, loss: str | None = None
    ) -> PreparedStep:
        return prepare_step(
            self.backbone,
            source or self.source,
            self.config,
            step,
            loss=loss or self.config.loss_at(step),
            process=self.processes.index,
            n_processes=self.processes.number,
        )

    def _update(self, prepared: PreparedStep) -> tuple[StepOutput, Tensor]:
        config = self.config
        factor = config.learning_rate_factor(self.step)
        for group in self._optimizer.param_groups:
            group["lr"] = group["highest"] * factor
        self._optimizer.zero_grad()
        output = self._compute.gradients(prepared, self.step, self._scaler)
        self._scaler.unscale_(self._optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self._weights, _MAX_NORM)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        if self._anchor is not None:
            share = min(1.0, config.learning_rate * factor * config.anchor)
            move_towards(self._encoder_weights, self._anchor, share)
        if self._average is not None and config.ema_decay is not None:
            decay = min(config.ema_decay, (1 + self.step) / (10 + self.step))
            move_towards(self._average, self._weights, 1 - decay)
        return output, norm

    def _row(
        self, prepared: PreparedStep, output: StepOutput, norm: Tensor, seconds: float
    ) -> dict[str, Any]:
        loss = output.loss.item()
        if not isfinite(loss):
            raise FloatingPointError(
                f"The loss is {loss} at step {self.step}: lower learning_rate, or use another "
                "mixed_precision."
            )
        near = alignment(output.z1, output.z2)
        if (mixing := prepared.mixing) is not None:  # a mixed view belongs to two others
            share = mixing.coefficients.to(self.device)
            own = (output.z1 - output.z2).square().sum(1)
            other = (output.z1 - output.z2[mixing.permutation.to(self.device)]).square().sum(1)
            near = (share * own + (1 - share) * other).mean()
        factor = self.config.learning_rate_factor(self.step - 1)
        return {
            "step": self.step,
            "phase": prepared.loss,
            "loss": loss,
            "alignment": near.item(),
            "uniformity": uniformity(output.z2).item() if len(output.z2) > 1 else 0.0,
            "gradient_norm": norm.item(),
            "learning_rate": self.config.learning_rate * factor,
            "seconds": seconds,
        }

    def _validate(self) -> None:
        if self.validation_source is None:
            return
        self.backbone.model.eval()
        self.head.eval()
        with exchanged(self._weights, self._average):
            rows = [{"step": self.step} | self._validation_loss(self.validation_source)]
            if self.processes.number > 1:  # all take the decisions of the first
                distributed.broadcast_object_list(rows)
            self._keep_if_best(rows[0])
        self._training_mode()
        self.validations.append(rows[0])
        self._log("validation.csv", rows[0])

    def _validation_loss(self, source: PairSource) -> dict[str, Any]:
        sums = torch.zeros(3)
        for step in range(_VALIDATION_STEPS):
            # Unmixed, so that values are comparable over the whole run.
            output = self._compute.evaluate(self._prepare(step, source, unmixed(self.config.loss)))
            near, spread = alignment(output.z1, output.z2), uniformity(output.z2)
            sums += torch.stack([output.loss, near, spread]).cpu()
        names = ("validation_loss", "validation_alignment", "validation_uniformity")
        return dict(zip(names, (sums / _VALIDATION_STEPS).tolist(), strict=True))

    def _keep_if_best(self, row: dict[str, Any]) -> None:
        """Keep the weights in use if they are the best so far."""
        if self.best is not None and row["validation_loss"] >= self.best["validation_loss"]:
            return
        self.best = row
        self._best_weights = copies(self._encoder_weights)
        if self.output_dir is not None and self.processes.is_first:
            with atomic_folder(self.output_dir / "best") as beside:
                self.backbone.save(beside / "model")
                (beside / "validation.json").write_text(json.dumps(row), encoding="utf-8")

    def _training_mode(self) -> None:
        self.backbone.model.train()
        self.head.train()

    def _same_start(self) -> None:
        """Give all processes the weights of the first."""
        if self.processes.number > 1:
            flat = torch.cat([p.detach().flatten() for p in self._weights])
            distributed.broadcast(flat, 0)
            parts = flat.split([p.numel() for p in self._weights])
            pairs = zip(self._weights, parts, strict=True)
            assign(self._weights, [part.view_as(p) for p, part in pairs])

    def _begin_tables(self) -> None:
        """Begin the tables with what a checkpoint knows; what came after it happens again."""
        if self.output_dir is None or not self.processes.is_first:
            return
        self.output_dir.mkdir(parents=True, exist_ok=True)
        content = {"config": self.config.to_dict(), "n_processes": self.processes.number}
        with atomic_output(self.output_dir / "training.json") as beside:
            beside.write_text(json.dumps(content, indent=2), encoding="utf-8")
        write_rows(self.output_dir / "log.csv", self.history)
        write_rows(self.output_dir / "validation.csv", self.validations)

    def _log(self, name: str, row: dict[str, Any]) -> None:
        if self.output_dir is not None and self.processes.is_first:
            write_rows(self.output_dir / name, [row], append=True)

    def _save(self) -> None:
        if self.output_dir is None or not self.processes.is_first:
            return
        tensors = {f"model.{name}": t for name, t in self.backbone.model.state_dict().items()}
        tensors |= {f"head.{name}": t for name, t in self.head.state_dict().items()}
        for index, values in self._optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": t for name, t in values.items()}
        for name, weights in (
            ("average", self._average),
            ("anchor", self._anchor),
            ("best", self._best_weights),
        ):
            tensors |= {f"{name}.{i}": t for i, t in enumerate(weights or [])}
        state = {
            "config": self.config.to_dict(),
            "scaler": self._scaler.state_dict(),
            "history": self.history,
            "validations": self.validations,
            "best": self.best,
        }
        write_checkpoint(self.output_dir / "checkpoints", self.step, tensors, state)

    def _restore(self, checkpoint: Checkpoint) -> None:
        state = checkpoint.state
        known = self.config.to_dict()
        before = TrainingConfig.from_dict({k: v for k, v in state["config"].items() if k in known})
        changed = self.config.differences(before)
        if changed:
            raise ValueError(
                f"The checkpoint of step {checkpoint.step} was written with other values of "
                f"{changed}; resume with the same, or train into a new folder."
            )
        parts = _by_prefix(checkpoint.tensors)
        self.backbone.model.load_state_dict(parts["model"])
        self.head.load_state_dict(parts.get("head", {}))
        moments = _by_prefix(parts.get("optimizer", {}))
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict(
            {"state": {int(i): values for i, values in moments.items()}, "param_groups": groups}
        )
        self._scaler.load_state_dict(state["scaler"])
        for name, weights in (("average", self._average), ("anchor", self._anchor)):
            if weights is not None:
                assign(weights, _in_order(parts[name]))
        if "best" in parts:
            self._best_weights = copies(self._encoder_weights)
            assign(self._best_weights, _in_order(parts["best"]))
        self.step = checkpoint.step
        self.history = state["history"]
        self.validations = state["validations"]
        self.best = state["best"]
        logger.info("Continuing from the checkpoint of step %d.", self.step)


def _check_config(config: TrainingConfig, backbone: Backbone, n_processes: int) -> None:
    if config.batch_size % n_processes:
        raise ValueError(
            f"batch_size={config.batch_size} cannot be divided by {n_processes} processes."
        )
    if LOSSES[config.loss].mixes and backbone.n_mixing_layers < 1:
        others = [name for name, loss in LOSSES.items() if not loss.mixes]
        raise ValueError(
            f"loss={config.loss!r} mixes at the input of a hidden layer, and this model has none; "
            f"use one of {others}."
        )
    can = getattr(backbone.model, "supports_gradient_checkpointing", False)
    if config.gradient_checkpointing and not can:
        raise ValueError(
            f"gradient_checkpointing is not possible with {type(backbone.model).__name__}."
        )


def _by_prefix(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Group tensors by the part of their names before the first dot."""
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        prefix, _, rest = name.partition(".")
        parts.setdefault(prefix, {})[rest] = tensor
    return parts


def _in_order(parts: Mapping[str, Tensor]) -> list[Tensor]:
    return [parts[str(i)] for i in range(len(parts))]
