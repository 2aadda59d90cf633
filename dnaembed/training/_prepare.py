"""Everything of a step that needs no gradient: drawn, featurised and collated ahead, in threads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..backbones import Backbone, Mixing
from ._config import TrainingConfig
from ._losses import LOSSES
from ._pairs import PairSource


@dataclass(frozen=True)
class Chunk:
    """Rows that pass through the model together, with the mixing in terms of these rows.

    `rows` says where the first rows of `inputs` belong among the views of this process (1, then 2);
    what follows them are partners of mixing.
    """

    rows: Tensor
    inputs: dict[str, Tensor]
    mixing: Mixing | None

    def to(self, device: torch.device) -> Chunk:
        """Return a copy on a device."""
        inputs = {name: value.to(device, non_blocking=True) for name, value in self.inputs.items()}
        return Chunk(self.rows.to(device), inputs, self.mixing)  # mixing moves when it is done


@dataclass(frozen=True)
class PreparedStep:
    """Chunks of one process, and labels and mixing of the pairs of all, where there are any."""

    loss: str
    chunks: list[Chunk]
    labels: Tensor | None
    mixing: Mixing | None


def draw_mixing(n_pairs: int, n_layers: int, *, seed: int, step: int) -> Mixing:
    """Draw layer, permutation and coefficients (``max(c, 1 - c)``, c ~ Beta(1, 1)) of a batch."""
    rng = np.random.default_rng((seed, step))
    layer = int(rng.integers(n_layers))
    share = rng.beta(1.0, 1.0, size=n_pairs)
    permutation = torch.from_numpy(rng.permutation(n_pairs).astype(np.int64))
    shares = np.maximum(share, 1 - share).astype(np.float32)
    return Mixing(layer, permutation, torch.from_numpy(shares))


def prepare_step(
    backbone: Backbone,
    source: PairSource,
    config: TrainingConfig,
    step: int,
    *,
    loss: str,
    process: int = 0,
    n_processes: int = 1,
) -> PreparedStep:
    """Draw the pairs and the mixing of a step and make the inputs of one process.

    Each process draws the whole batch, a pure function of the step, and featurises its own share.
    """
    n = config.batch_size
    batch = source.sample(step, n)
    lengths = len(batch.view1), len(batch.view2), n if batch.labels is None else len(batch.labels)
    if lengths != (n, n, n):
        raise ValueError(
            f"The pair source gave {lengths[0]} and {lengths[1]} views and {lengths[2]} labels at "
            f"step {step}; {n} of each are expected."
        )
    share = n // n_processes
    own = range(process * share, (process + 1) * share)
    draw = None
    partner = {i: i for i in own}
    if mixed_layers := LOSSES[loss].mixed_layers:
        n_layers = 1 if mixed_layers == "first" else backbone.n_mixing_layers
        draw = draw_mixing(n, n_layers, seed=config.seed, step=step)
        partner = {i: int(draw.permutation[i]) for i in own}
    # Sequences are numbered: view 1 of the whole batch, then view 2.
    mine = [*own, *(n + i for i in own)]
    wanted = [*mine, *sorted(set(partner.values()) - set(mine))]
    views = [*batch.view1, *batch.view2]
    features = dict(zip(wanted, backbone.featurize([views[i] for i in wanted]), strict=True))
    costs = {number: backbone.cost(f) for number, f in features.items()}
    position = {number: row for row, number in enumerate(mine)}
    chunks = []
    for kept, extra in plan_chunks(mine, partner, costs, config.budget):
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
        inputs = backbone.collate([features[i] for i in together])
        chunks.append(Chunk(torch.tensor([position[i] for i in kept]), inputs, mixing))
    labels = None if batch.labels is None else torch.from_numpy(np.asarray(batch.labels))
    return PreparedStep(loss, chunks, labels, draw)


def plan_chunks(
    numbers: Sequence[int],
    partner: dict[int, int],
    costs: dict[int, int],
    budget: int | None,
) -> list[tuple[list[int], list[int]]]:
    """Divide rows into chunks that fit a budget together with the partners that they mix with.

    A chunk, returned as rows and further partners, costs its number times its costliest row. A row
    that is over the budget with its partner is a chunk of its own.
    """
    # A row without a partner is its own.
    with_own: dict[int, int] = {i: partner.get(i, i) for i in numbers}
    if budget is None:
        chunks = [list(numbers)]
    else:
        chunks = []
        present: set[int] = set()
        largest = 0
        # Like costs together waste little padding.
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
