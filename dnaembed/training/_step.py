"""Loss and gradients of one step over the whole batch: all processes, all chunks."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from itertools import chain

import torch
from accelerate.utils import gather, reduce
from torch import Tensor, nn

from ..backbones import Backbone
from ..utils._randomness import derive_seed, own_generators, seeded
from ._config import TrainingConfig
from ._losses import i_mix, mi_mix, supcon, weighted_simclr
from ._prepare import Chunk, PreparedStep
from ._processes import process_state

_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class StepOutput:
    """What a step gave besides gradients, over the whole batch.

    Attributes
    ----------
    loss : Tensor
        Scalar, detached.
    z1, z2 : Tensor of shape (n_pairs, d)
        Unit vectors, detached; `z1` of the mixed views where the step mixes.
    """

    loss: Tensor
    z1: Tensor
    z2: Tensor


class ContrastiveStep:
    """Computes loss and gradients; holds nothing that changes from step to step.

    A contrastive loss is no sum over examples, so neither averaging the gradients of processes nor
    adding those of smaller batches gives that of the whole. Instead (GradCache):

    1. every process embeds its rows, chunk by chunk;
    2. the unit vectors, a few numbers a row, are gathered: every process computes the loss of the
       whole batch and its gradient with respect to all vectors;
    3. each process takes that gradient at its own rows back through the model, chunk by chunk
       (embedding again, with the same dropout, if there was more than one), and the gradients of
       the weights are *added* over the processes.

    Parameters
    ----------
    backbone : Backbone
        On `device`.
    head : Module
        From embeddings to unit vectors.
    config : TrainingConfig
        Hyperparameters.
    device : torch.device
        Where the model is.

    References
    ----------
    Gao et al., "Scaling deep contrastive learning batch size under memory limited setup",
    RepL4NLP 2021.
    """

    def __init__(
        self, backbone: Backbone, head: nn.Module, config: TrainingConfig, device: torch.device
    ) -> None:
        self.backbone = backbone
        self.head = head
        self.config = config
        self.device = device
        self.processes = process_state(device)

    def gradients(
        self, prepared: PreparedStep, step: int, scaler: torch.amp.GradScaler | None = None
    ) -> StepOutput:
        """Add the gradients of a step to the weights, scaled if there is a scaler."""
        chunks = [chunk.to(self.device) for chunk in prepared.chunks]
        seeds = [
            derive_seed(self.config.seed, step, self.processes.process_index, i)
            for i in range(len(chunks))
        ]
        at_once = len(chunks) == 1
        with torch.set_grad_enabled(at_once):
            parts = [self._forward(chunk, seed) for chunk, seed in zip(chunks, seeds, strict=True)]
        with torch.no_grad():
            own = torch.empty(
                (sum(map(len, parts)), parts[0].shape[1]), dtype=parts[0].dtype, device=self.device
            )
            for chunk, part in zip(chunks, parts, strict=True):
                own[chunk.rows] = part
        z1, z2 = self._gather(own)
        z1.requires_grad_()
        z2.requires_grad_()
        loss = self._loss(prepared, z1, z2, step)
        (loss if scaler is None else scaler.scale(loss)).backward()
        gradient = self._own_gradient(z1, z2)
        for i, (chunk, seed) in enumerate(zip(chunks, seeds, strict=True)):
            part = parts[i] if at_once else self._forward(chunk, seed)
            # What is recomputed on the way back draws its dropout again.
            redraws = self.config.gradient_checkpointing
            with own_generators(self.device) if redraws else nullcontext():
                part.backward(gradient[chunk.rows])
        self._add_over_processes()
        return StepOutput(loss.detach(), z1.detach(), z2.detach())

    @torch.no_grad()
    def evaluate(self, prepared: PreparedStep, step: int) -> StepOutput:
        """Compute the loss alone; the modules are in evaluation mode."""
        chunks = [chunk.to(self.device) for chunk in prepared.chunks]
        parts = [self._forward(chunk, seed=0) for chunk in chunks]
        own = torch.empty_like(torch.cat(parts))
        for chunk, part in zip(chunks, parts, strict=True):
            own[chunk.rows] = part
        z1, z2 = self._gather(own)
        return StepOutput(self._loss(prepared, z1, z2, step), z1, z2)

    def _forward(self, chunk: Chunk, seed: int) -> Tensor:
        dtype = _AUTOCAST.get(self.config.mixed_precision)
        with (
            seeded(seed, self.device),
            torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None),
        ):
            embeddings = self.backbone.embed(chunk.inputs, chunk.mixing)
            unit: Tensor = self.head(embeddings[: len(chunk.rows)])
        return unit

    def _gather(self, own: Tensor) -> tuple[Tensor, Tensor]:
        """Return the views 1 and 2 of the whole batch from those of this process."""
        n = self.processes.num_processes
        if n == 1:
            half = len(own) // 2
            return own[:half], own[half:]
        everyone = gather(own).reshape(n, 2, len(own) // 2, -1)
        return (
            everyone[:, 0].flatten(0, 1).contiguous(),
            everyone[:, 1].flatten(0, 1).contiguous(),
        )

    def _own_gradient(self, z1: Tensor, z2: Tensor) -> Tensor:
        gradients = []
        for z in (z1, z2):
            # Without any negative in the batch the loss does not depend on the vectors.
            gradient = torch.zeros_like(z) if z.grad is None else z.grad
            size = len(z) // self.processes.num_processes
            start = self.processes.process_index * size
            gradients.append(gradient[start : start + size])
        return torch.cat(gradients)

    def _loss(self, prepared: PreparedStep, z1: Tensor, z2: Tensor, step: int) -> Tensor:
        temperature = self.config.temperature_at(step)
        labels = None if prepared.labels is None else prepared.labels.to(self.device)
        if prepared.permutation is not None and prepared.coefficients is not None:
            mixed = i_mix if prepared.loss == "i_mix" else mi_mix
            return mixed(
                z1,
                z2,
                prepared.permutation.to(self.device),
                prepared.coefficients.to(self.device),
                temperature=temperature,
                labels=labels,
            )
        whole = supcon if prepared.loss == "supcon" else weighted_simclr
        return whole(z1, z2, temperature=temperature, labels=labels)

    def _add_over_processes(self) -> None:
        if self.processes.num_processes == 1:
            return
        trained = [
            p
            for p in chain(self.backbone.model.parameters(), self.head.parameters())
            if p.requires_grad
        ]
        # One message for all: a gradient that this process did not need counts as zero.
        flat = torch.cat(
            [(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in trained]
        )
        total = reduce(flat, reduction="sum")
        for p, part in zip(trained, total.split([p.numel() for p in trained]), strict=True):
            p.grad = part.view_as(p).clone()
