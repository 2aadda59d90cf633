"""One step: pairs drawn and collated ahead, in threads; then loss and gradients of the batch.

Work is divided into chunks that fit a budget, and over processes.
"""

import os
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, distributed, nn
from torch.nn.functional import normalize

from ..backbones import Backbone, Mixing
from ..backbones._device import resolve_device
from ..utils._randomness import derive_seed, seeded
from ._config import TrainingConfig
from ._losses import LOSSES
from ._pairs import PairSource

_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


class ProjectionHead(nn.Sequential):
    """Map embeddings to the unit vectors that the loss compares.

    ``Linear(d, d, no bias) - ReLU - Linear(d, size, no bias)``, then L2 normalisation; with `size`
    None only the normalisation. The weights are named as in the head that the authors of DNABERT-S
    save: ``0.weight`` and ``2.weight``.

    Parameters
    ----------
    embedding_size, size : int, the latter default=128 or None
        Columns of the embedding, ``d``, and of the result.
    seed : int, default=0
        Of the initial weights.

    Examples
    --------
    >>> import torch
    >>> from dnaembed.training import ProjectionHead
    >>> head = ProjectionHead(8, 4)
    >>> list(head.state_dict()), head(torch.ones(2, 8)).shape
    (['0.weight', '2.weight'], torch.Size([2, 4]))
    """

    def __init__(self, embedding_size: int, size: int | None = 128, *, seed: int = 0) -> None:
        layers: list[nn.Module] = []
        # Layers draw their weights from the global generator: lend them one of our own.
        with seeded(seed, torch.device("cpu")):
            if size is not None:
                layers += [nn.Linear(embedding_size, embedding_size, bias=False), nn.ReLU()]
                layers.append(nn.Linear(embedding_size, size, bias=False))
        super().__init__(*layers)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Return unit vectors, in float32 at least, of shape (n, size)."""
        projected = super().forward(embeddings)
        wide = torch.promote_types(projected.dtype, torch.float32)
        return normalize(projected.to(wide), dim=1)


def join_processes(device: str | torch.device | None = None) -> tuple[int, int, torch.device]:
    """Join the processes that ``torchrun`` started: the number of this one, of all, its device."""
    chosen = resolve_device("auto") if device is None else torch.device(device)
    if not (distributed.is_available() and distributed.is_initialized()):
        if int(os.environ.get("WORLD_SIZE", "1")) < 2:
            return 0, 1, chosen
        distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    if chosen.type == "cuda" and chosen.index is None:  # each has a GPU of its own
        chosen = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(chosen)  # for messages that are not tensors
    return distributed.get_rank(), distributed.get_world_size(), chosen


class Chunk(NamedTuple):
    """Inputs of rows, which are among the views of this process (1, then 2), then of partners."""

    rows: Tensor
    inputs: dict[str, Tensor]
    mixing: Mixing | None


class PreparedStep(NamedTuple):
    """Chunks of one process, and labels and mixing of the pairs of all, where there are any."""

    loss: str
    chunks: list[Chunk]
    labels: Tensor | None
    mixing: Mixing | None


class StepOutput(NamedTuple):
    """Loss and unit vectors of the whole batch, detached; `z1` may be mixed."""

    loss: Tensor
    z1: Tensor
    z2: Tensor


class ContrastiveStep:
    """Prepares steps and computes them; holds nothing that changes from step to step.

    GradCache (Gao et al., RepL4NLP 2021): every process embeds its rows, chunk by chunk, computes
    the loss of the whole batch and its gradient at all unit vectors, and takes that of its own rows
    back through the model, chunk by chunk; gradients of weights are *added* over the processes.
    """

    def __init__(
        self, backbone: Backbone, head: nn.Module, config: TrainingConfig, device: torch.device
    ) -> None:
        self.backbone = backbone
        self.head = head
        self.config = config
        self.process, self.n_processes, self.device = join_processes(device)

    def prepare(self, source: PairSource, step: int, loss: str | None = None) -> PreparedStep:
        """Do what needs no gradient: draw pairs and mixing, make the inputs of this process.

        Each process draws the whole batch, a pure function of the step, and featurises its share.
        """
        n, loss = self.config.batch_size, loss or self.config.loss_at(step)
        batch = source.sample(step, n)
        labels = None if batch.labels is None else torch.from_numpy(np.asarray(batch.labels))
        found = len(batch.view1), len(batch.view2), n if labels is None else len(labels)
        if found != (n, n, n):
            got = f"{found[0]} and {found[1]} views and {found[2]} labels at step {step}"
            raise ValueError(f"The pair source gave {got}; {n} of each are expected.")
        share = n // self.n_processes
        own = range(self.process * share, (self.process + 1) * share)
        draw = None
        partner: dict[int, int] = {}
        if mixed_layers := LOSSES[loss].mixed_layers:
            n_layers = 1 if mixed_layers == "first" else self.backbone.n_mixing_layers
            draw = draw_mixing(n, n_layers, seed=self.config.seed, step=step)
            partner = {i: int(draw.permutation[i]) for i in own}
        # Sequences are numbered: view 1 of the whole batch, then view 2.
        mine = [*own, *(n + i for i in own)]
        wanted = [*mine, *sorted(set(partner.values()) - set(mine))]
        views = [*batch.view1, *batch.view2]
        featurized = self.backbone.featurize([views[i] for i in wanted])
        features = dict(zip(wanted, featurized, strict=True))
        costs = {number: self.backbone.cost(f) for number, f in features.items()}
        position = {number: row for row, number in enumerate(mine)}
        chunks = []
        for kept, extra in plan_chunks(mine, partner, costs, self.config.budget):
            together = [*kept, *extra]
            mixing = None
            if draw is not None:
                row = {number: i for i, number in enumerate(together)}
                permutation = torch.arange(len(row))
                # Views 2 and added partners are mixed with nothing: they keep all of themselves.
                coefficients = torch.ones(len(row))
                for i, number in enumerate(kept):
                    if number in partner:
                        permutation[i] = row[partner[number]]
                        coefficients[i] = draw.coefficients[number]
                mixing = Mixing(draw.layer, permutation, coefficients)
            inputs = self.backbone.collate([features[i] for i in together])
            chunks.append(Chunk(torch.tensor([position[i] for i in kept]), inputs, mixing))
        return PreparedStep(loss, chunks, labels, draw)

    def gradients(
        self, prepared: PreparedStep, step: int, scaler: torch.amp.GradScaler | None = None
    ) -> StepOutput:
        """Add the gradients of a step to the weights, scaled if there is a scaler."""
        chunks = prepared.chunks
        seeds = [derive_seed(self.config.seed, step, self.process, i) for i in range(len(chunks))]
        at_once = len(chunks) == 1
        with torch.set_grad_enabled(at_once):
            parts = [self._forward(chunk, seed) for chunk, seed in zip(chunks, seeds, strict=True)]
        z1, z2 = self._gather(chunks, parts)
        z1.requires_grad_()
        z2.requires_grad_()
        loss = self._loss(prepared, z1, z2)
        (loss if scaler is None else scaler.scale(loss)).backward()
        # Without any negative in the batch the loss does not depend on the vectors.
        of_all = (torch.zeros_like(z) if z.grad is None else z.grad for z in (z1, z2))
        gradient = torch.cat([g.chunk(self.n_processes)[self.process] for g in of_all])
        for i, (chunk, seed) in enumerate(zip(chunks, seeds, strict=True)):
            part = parts[i] if at_once else self._forward(chunk, seed)
            part.backward(gradient[chunk.rows])
        if self.n_processes > 1:
            self._add_over_processes()
        return StepOutput(loss.detach(), z1.detach(), z2.detach())

    @torch.no_grad()
    def evaluate(self, prepared: PreparedStep) -> StepOutput:
        """Compute the loss alone; the modules are in evaluation mode."""
        parts = [self._forward(chunk, seed=0) for chunk in prepared.chunks]
        z1, z2 = self._gather(prepared.chunks, parts)
        return StepOutput(self._loss(prepared, z1, z2), z1, z2)

    def _forward(self, chunk: Chunk, seed: int) -> Tensor:
        dtype = _AUTOCAST.get(self.config.mixed_precision)
        inputs = {n: x.to(self.device, non_blocking=True) for n, x in chunk.inputs.items()}
        casting = torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None)
        with seeded(seed, self.device), casting:
            embeddings = self.backbone.embed(inputs, chunk.mixing)
            unit: Tensor = self.head(embeddings[: len(chunk.rows)])
        return unit

    @torch.no_grad()
    def _gather(self, chunks: list[Chunk], parts: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the views 1 and 2 of the whole batch from those of this process."""
        own = torch.empty_like(torch.cat(parts))
        for chunk, part in zip(chunks, parts, strict=True):
            own[chunk.rows] = part
        n = self.n_processes
        everyone = [own]
        if n > 1:
            everyone = [torch.empty_like(own) for _ in range(n)]
            distributed.all_gather(everyone, own)
        views = torch.stack(everyone).unflatten(1, (2, -1))
        return views[:, 0].flatten(0, 1).contiguous(), views[:, 1].flatten(0, 1).contiguous()

    def _loss(self, prepared: PreparedStep, z1: Tensor, z2: Tensor) -> Tensor:
        labels = None if prepared.labels is None else prepared.labels.to(self.device)
        views = [z1, z2]
        if (mixing := prepared.mixing) is not None:
            views += [mixing.permutation.to(self.device), mixing.coefficients.to(self.device)]
        function = LOSSES[prepared.loss].function
        return function(*views, temperature=self.config.temperature, labels=labels)

    def _add_over_processes(self) -> None:
        weights = chain(self.backbone.model.parameters(), self.head.parameters())
        trained = [p for p in weights if p.requires_grad]
        # One message for all: a gradient that this process did not need counts as zero.
        parts = (torch.zeros_like(p) if p.grad is None else p.grad for p in trained)
        flat = torch.cat([part.flatten() for part in parts])
        distributed.all_reduce(flat)
        for p, part in zip(trained, flat.split([p.numel() for p in trained]), strict=True):
            p.grad = part.view_as(p).clone()


def draw_mixing(n_pairs: int, n_layers: int, *, seed: int, step: int) -> Mixing:
    """Draw layer, permutation and coefficients (``max(c, 1 - c)``, c ~ Beta(1, 1)) of a batch."""
    rng = np.random.default_rng((seed, step))
    layer = int(rng.integers(n_layers))
    share = rng.beta(1.0, 1.0, size=n_pairs)
    permutation = torch.from_numpy(rng.permutation(n_pairs).astype(np.int64))
    shares = np.maximum(share, 1 - share).astype(np.float32)
    return Mixing(layer, permutation, torch.from_numpy(shares))


def plan_chunks(
    numbers: Sequence[int], partner: dict[int, int], costs: dict[int, int], budget: int | None
) -> list[tuple[list[int], list[int]]]:
    """Divide rows into chunks that fit a budget together with the partners that they mix with.

    A chunk, returned as rows and further partners, costs its number times its costliest row. A row
    that is over the budget with its partner is a chunk of its own.
    """
    with_own: dict[int, int] = {i: partner.get(i, i) for i in numbers}
    if budget is None:
        chunks = [list(numbers)]
    else:
        chunks = []
        present: set[int] = set()
        largest = 0
        for i in sorted(numbers, key=lambda i: -max(costs[i], costs[with_own[i]])):
            pair = {i, with_own[i]}
            cost = max(costs[j] for j in pair)
            if not chunks or max(largest, cost) * (len(present) + len(pair - present)) > budget:
                chunks.append([])
                present, largest = set(), 0
            chunks[-1].append(i)
            present |= pair
            largest = max(largest, cost)
    return [(kept, sorted({with_own[i] for i in kept} - set(kept))) for kept in chunks]
