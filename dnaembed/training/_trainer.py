"""`ContrastiveTrainer`: curriculum contrastive learning of any backbone, from any pairs."""

import json
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial
from math import isfinite
from pathlib import Path
from time import perf_counter
from typing import Any

import pandas as pd
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, distributed

from ..backbones import Backbone
from ..utils._ahead import ahead
from ..utils._atomic import atomic_folder, atomic_output, flush_to_disk
from ..utils._progress import progress
from ..utils._randomness import derive_seed
from ._config import FREE, TrainingConfig
from ._losses import LOSSES, alignment, uniformity
from ._pairs import PairSource
from ._step import ContrastiveStep, PreparedStep, ProjectionHead, StepOutput, join_processes

logger = logging.getLogger("dnaembed")

_MAX_NORM = 1.0  # longer gradients are shortened to this
_N_KEPT = 2  # newest checkpoints that stay
_VALIDATION_STEPS = 4  # of the validation source, the same each time
_SHOWN = ("loss", "alignment", "uniformity")


class ContrastiveTrainer:
    """Train a backbone so that sequences of one species lie close together.

    The default is Curriculum Contrastive Learning (C2LR; Zhou et al., "DNABERT-S", Bioinformatics
    41 (2025), i255): Weighted SimCLR for a third of the steps, then Manifold Instance Mixup. With
    ``torchrun`` it trains in several processes; the loss is always that of the whole batch, so that
    neither their number (but for the draws of dropout) nor `budget` changes the result. A run that
    was killed and resumed gives the same weights, bit for bit on a CPU.

    Parameters
    ----------
    backbone : Backbone
        Trained in place.
    source : PairSource
        Gives the pairs of each step.
    config : TrainingConfig, default=None
        Hyperparameters; the defaults if None.
    validation_source : PairSource, default=None
        Pairs of other species; its first steps are used, the same in each validation, unmixed and
        in evaluation mode.
    output_dir : path-like, default=None
        Folder for ``log.csv``, ``validation.csv``, ``training.json``, ``checkpoints`` and ``best``.
        None writes nothing.
    device : str or torch.device, default=None
        None takes the best there is, a GPU of its own for each process.

    Attributes
    ----------
    backbone, head : Backbone and ProjectionHead
        The model, and the projection that is trained along.
    step : int
        Steps done.
    history, validations : list of dict
        What was logged, in rows.
    best : dict or None
        The row of `validations` whose weights are best.
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
        self._process, self._n_processes, self.device = join_processes(device)
        n = config.batch_size
        if n % self._n_processes:
            raise ValueError(f"batch_size={n} cannot be divided by {self._n_processes} processes.")
        if LOSSES[config.loss].mixed_layers and backbone.n_mixing_layers < 1:
            others = [name for name, loss in LOSSES.items() if not loss.mixed_layers]
            why = "mixes at the input of a hidden layer, and this model has none"
            raise ValueError(f"loss={config.loss!r} {why}; use one of {others}.")
        if config.checkpoint_every is not None and output_dir is None:
            raise ValueError("checkpoint_every needs an output_dir.")
        self.config = config
        self.backbone = backbone
        self.source = source
        self.validation_source = validation_source
        self.output_dir = None if output_dir is None else Path(output_dir)
        self._written = None if self._process else self.output_dir  # the first one writes
        size, seed = backbone.embedding_size, derive_seed(config.seed)
        self.head = ProjectionHead(size, config.head_size, seed=seed)
        self.step = 0
        self.history: list[dict[str, Any]] = []
        self.validations: list[dict[str, Any]] = []
        self.best: dict[str, Any] | None = None
        self._both = torch.nn.ModuleDict({"model": backbone.model, "head": self.head})
        self._both.to(self.device)
        self._frozen: list[torch.nn.Parameter] = []
        if (n_trainable := config.n_trainable_layers) is not None:
            n_layers = backbone.n_mixing_layers
            self._frozen = freeze_first_layers(backbone.model, n_layers, n_trainable)
        self._encoder_weights = [p for p in backbone.model.parameters() if p.requires_grad]
        self._weights = [*self._encoder_weights, *self.head.parameters()]
        if not self._weights:
            raise ValueError("The model has no parameter to train.")
        if self._n_processes > 1:  # all start with the weights of the first
            for weights in self._weights:
                distributed.broadcast(weights.detach(), 0)
        # Copies of weights that a step or a validation needs, by their names in a checkpoint.
        self._kept: dict[str, list[Tensor]] = {}
        if config.anchor:
            self._kept["anchor"] = copies(self._encoder_weights)
        if config.ema_decay is not None:
            self._kept["average"] = copies(self._weights)
        groups: list[dict[str, Any]] = []
        for module in self._both.values():
            trained = [p for p in module.parameters() if p.requires_grad]
            groups.append({"params": [p for p in trained if p.ndim > 1]})
            groups.append({"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0})
        how: Any = {"betas": config.betas, "weight_decay": config.weight_decay}
        how["fused"] = self.device.type in ("cpu", "cuda")
        self._optimizer = torch.optim.AdamW([g for g in groups if g["params"]], **how)
        is_fp16 = config.mixed_precision == "fp16"
        self._scaler = torch.amp.GradScaler(self.device.type, enabled=is_fp16)
        self._compute = ContrastiveStep(backbone, self.head, config, self.device)

    def train(self, *, resume: bool = False) -> Backbone:
        """Train, and leave the best weights in the backbone, which is returned in evaluation mode.

        These are those of the best validation or, without validation, the average, or the last.

        Parameters
        ----------
        resume : bool, default=False
            Continue from the newest checkpoint in `output_dir`; start if there is none.

        Raises
        ------
        ValueError, FloatingPointError
            If the checkpoint has other hyperparameters; if the loss is not finite.
        """
        if resume and self.output_dir is not None:
            self._restore(self.output_dir / "checkpoints")
        self._begin_tables()
        try:
            self._run()
        finally:
            for parameter in self._frozen:
                parameter.requires_grad_(True)
            self._optimizer.zero_grad()
        self._both.eval()
        if "best" in self._kept:
            assign(self._encoder_weights, self._kept["best"])
        elif "average" in self._kept:
            assign(self._weights, self._kept["average"])
        return self.backbone

    def _run(self) -> None:
        config, n_ahead = self.config, self.config.n_workers
        prepare = partial(self._compute.prepare, self.source)
        steps = ahead(range(self.step, config.n_steps), prepare, n_threads=n_ahead, depth=n_ahead)
        bar = progress(total=config.n_steps, description="training", unit="step", initial=self.step)
        start = perf_counter()
        self._both.train()
        with closing(steps), bar:
            while self.step < config.n_steps:
                prepared = next(steps)
                output, norm = self._update(prepared)
                self.step += 1
                last = self.step == config.n_steps
                bar.update()
                if self.step % config.log_every == 0 or last:
                    row = self._row(prepared.loss, output, norm, perf_counter() - start)
                    self.history.append(row)
                    bar.set_postfix({k: f"{row[k]:.3f}" for k in _SHOWN}, refresh=False)
                    self._log("log.csv", [row])
                if last or (config.eval_every and self.step % config.eval_every == 0):
                    self._validate()
                if config.checkpoint_every and (self.step % config.checkpoint_every == 0 or last):
                    self._save()

    def _update(self, prepared: PreparedStep) -> tuple[StepOutput, Tensor]:
        config = self.config
        rate = config.learning_rate * config.learning_rate_factor(self.step)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.zero_grad()
        output = self._compute.gradients(prepared, self.step, self._scaler)
        self._scaler.unscale_(self._optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self._weights, _MAX_NORM)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        if "anchor" in self._kept:
            share = min(1.0, rate * config.anchor)
            move_towards(self._encoder_weights, self._kept["anchor"], share)
        if config.ema_decay is not None:
            decay = min(config.ema_decay, (1 + self.step) / (10 + self.step))
            move_towards(self._kept["average"], self._weights, 1 - decay)
        return output, norm

    def _row(self, loss_name: str, output: StepOutput, norm: Tensor, seconds: float) -> dict:
        loss = output.loss.item()
        if not isfinite(loss):
            advice = "lower learning_rate, or use another mixed_precision."
            raise FloatingPointError(f"The loss is {loss} at step {self.step}: {advice}")
        return {
            "step": self.step,
            "phase": loss_name,
            "loss": loss,
            "alignment": alignment(output.z1, output.z2).item(),
            "uniformity": uniformity(output.z2).item() if len(output.z2) > 1 else 0.0,
            "gradient_norm": norm.item(),
            "learning_rate": self._optimizer.param_groups[0]["lr"],
            "seconds": seconds,
        }

    def _validate(self) -> None:
        if self.validation_source is None:
            return
        self._both.eval()
        own = copies(self._weights)
        assign(self._weights, self._kept.get("average", own))
        rows = [{"step": self.step} | self._validation_loss(self.validation_source)]
        if self._n_processes > 1:  # all take the decisions of the first
            distributed.broadcast_object_list(rows)
        row = rows[0]
        if self.best is None or row["validation_loss"] < self.best["validation_loss"]:
            self.best = row
            self._kept["best"] = copies(self._encoder_weights)
            if self._written is not None:
                with atomic_folder(self._written / "best") as beside:
                    self.backbone.save(beside / "model")
                    (beside / "validation.json").write_text(json.dumps(row), encoding="utf-8")
        assign(self._weights, own)
        self._both.train()
        self.validations.append(row)
        self._log("validation.csv", [row])

    def _validation_loss(self, source: PairSource) -> dict[str, Any]:
        sums = torch.zeros(3)
        # A loss that does not mix, so that values are comparable over the whole run.
        phases = LOSSES[self.config.loss].phases or (self.config.loss,)
        loss = next((name for name in phases if not LOSSES[name].mixed_layers), "weighted_simclr")
        for step in range(_VALIDATION_STEPS):
            output = self._compute.evaluate(self._compute.prepare(source, step, loss))
            near, spread = alignment(output.z1, output.z2), uniformity(output.z2)
            sums += torch.stack([output.loss, near, spread]).cpu()
        means = (sums / _VALIDATION_STEPS).tolist()
        return {f"validation_{name}": mean for name, mean in zip(_SHOWN, means, strict=True)}

    def _begin_tables(self) -> None:
        """Begin the tables with what a checkpoint knows; what came after it happens again."""
        if self._written is None:
            return
        self._written.mkdir(parents=True, exist_ok=True)
        content = {"config": self.config.to_dict(), "n_processes": self._n_processes}
        with atomic_output(self._written / "training.json") as beside:
            beside.write_text(json.dumps(content, indent=2), encoding="utf-8")
        for name, rows in (("log.csv", self.history), ("validation.csv", self.validations)):
            (self._written / name).write_bytes(b"")
            self._log(name, rows)

    def _log(self, name: str, rows: list[dict[str, Any]]) -> None:
        if self._written is not None and rows:
            path = self._written / name
            how: Any = {"index": False, "float_format": "%.7g", "header": not path.stat().st_size}
            pd.DataFrame(rows).to_csv(path, mode="a", **how)

    def _save(self) -> None:
        if self._written is None:
            return
        tensors = self._both.state_dict()
        for index, values in self._optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": t for name, t in values.items()}
        for name, weights in self._kept.items():
            tensors |= {f"{name}.{i}": t for i, t in enumerate(weights)}
        state = {
            "config": self.config.to_dict(),
            "scaler": self._scaler.state_dict(),
            "history": self.history,
            "validations": self.validations,
            "best": self.best,
        }
        write_checkpoint(self._written / "checkpoints", self.step, tensors, state)

    def _restore(self, folder: Path) -> None:
        """Continue from the newest checkpoint of a folder, if it has one."""
        checkpoint = latest_checkpoint(folder)
        if checkpoint is None:
            return
        step, tensors, state = checkpoint
        before = TrainingConfig().to_dict() | state["config"]
        now = self.config.to_dict()
        changed = [name for name in now if name not in FREE and now[name] != before[name]]
        if changed:
            why = f"was written with other values of {changed}"
            advice = "resume with the same, or train into a new folder"
            raise ValueError(f"The checkpoint of step {step} {why}; {advice}.")
        parts = _by_prefix(tensors)
        for name, module in self._both.items():
            module.load_state_dict(parts.get(name, {}))
        moments = _by_prefix(parts.get("optimizer", {}))
        of_optimizer = self._optimizer.state_dict()
        of_optimizer["state"] = {int(i): values for i, values in moments.items()}
        self._optimizer.load_state_dict(of_optimizer)
        self._scaler.load_state_dict(state["scaler"])
        if "best" in parts:
            self._kept["best"] = copies(self._encoder_weights)
        for name, weights in self._kept.items():
            assign(weights, [parts[name][str(i)] for i in range(len(weights))])
        self.step = step
        self.history = state["history"]
        self.validations = state["validations"]
        self.best = state["best"]
        logger.info("Continuing from the checkpoint of step %d.", step)


def _by_prefix(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Group tensors by the part of their names before the first dot."""
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        prefix, _, rest = name.partition(".")
        parts.setdefault(prefix, {})[rest] = tensor
    return parts


def freeze_first_layers(
    model: torch.nn.Module, n_layers: int, n_trainable: int
) -> list[torch.nn.Parameter]:
    """Freeze what comes before the last of the layers, one ``ModuleList``; return what it is."""
    lists = (module for module in model.modules() if isinstance(module, torch.nn.ModuleList))
    stack = next((modules for modules in lists if len(modules) == n_layers), None)
    if stack is None:
        needs = f"a model whose {n_layers} hidden layers are one ModuleList"
        raise ValueError(f"n_trainable_layers needs {needs}; {type(model).__name__} has none.")
    kept = set(stack[max(0, n_layers - n_trainable) :].parameters())
    inside = set(stack.parameters())
    parameters = list(model.parameters())  # in order of definition
    end = max(i for i, parameter in enumerate(parameters) if parameter in inside)
    frozen = [p for p in parameters[: end + 1] if p.requires_grad and p not in kept]
    for parameter in frozen:
        parameter.requires_grad_(False)
    return frozen


def copies(parameters: Sequence[Tensor]) -> list[Tensor]:
    """Return detached copies of tensors."""
    return [parameter.detach().clone() for parameter in parameters]


@torch.no_grad()
def assign(parameters: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    """Copy values into parameters."""
    if parameters:
        torch._foreach_copy_(list(parameters), list(values))


@torch.no_grad()
def move_towards(parameters: Sequence[Tensor], targets: Sequence[Tensor], share: float) -> None:
    """Move parameters by a share of the way to their targets."""
    if parameters:
        torch._foreach_lerp_(list(parameters), list(targets), share)


def write_checkpoint(
    folder: Path, step: int, tensors: Mapping[str, Tensor], state: Mapping[str, Any]
) -> None:
    """Write ``step-...`` beside and rename it into `folder`, then drop all but the newest two."""
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_folder(folder / f"step-{step:09d}") as beside:
        held = {name: t.detach().cpu().clone().contiguous() for name, t in tensors.items()}
        save_file(held, beside / "state.safetensors")
        content = json.dumps({"step": step} | dict(state), indent=1)
        (beside / "state.json").write_text(content, encoding="utf-8")
        for file in beside.iterdir():
            flush_to_disk(file)
    for old in _checkpoints(folder)[:-_N_KEPT]:
        shutil.rmtree(old)


def latest_checkpoint(folder: Path) -> tuple[int, dict[str, Tensor], dict[str, Any]] | None:
    """Read step, tensors and state of the newest checkpoint of a folder; None if there is none."""
    found = _checkpoints(folder)
    if not found:
        return None
    state = json.loads((found[-1] / "state.json").read_text(encoding="utf-8"))
    return state.pop("step"), load_file(found[-1] / "state.safetensors"), state


def _checkpoints(folder: Path) -> list[Path]:
    found = folder.glob("step-*")
    return sorted(path for path in found if path.name.removeprefix("step-").isdecimal())
