"""Everything of a step that needs no gradient: drawn, featurised and collated ahead, in threads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..backbones import Backbone, Mixing
from ._config import TrainingConfig
from ._losses import LOSSES
from ._pairs import PairBatch, PairSource


@dataclass(frozen=True)
class Chunk:
    """Rows that pass through the model together, with the mixing in terms of these rows.

    `rows` says where the first rows of `inputs` belong among the views of this process (all views
    1, then all views 2). What follows them was added as partners of mixing and is thrown away.
    """

    rows: Tensor
    inputs: dict[str, Tensor]
    mixing: Mixing | None

    def to(self, device: torch.device) -> Chunk:
        """Return a copy on a device."""
        inputs = {
            name: tensor.to(device, non_blocking=True) for name, tensor in self.inputs.items()
        }
        return Chunk(self.rows.to(device), inputs, self.mixing)  # mixing moves when it is done


@dataclass(frozen=True)
class PreparedStep:
    """A step, ready for the model: this process's chunks, and what concerns the whole batch.

    The chunks together hold each view of this process once. Labels and mixing are in terms of the
    pairs of the whole batch, over all processes; None where there are none.
    """

    loss: str
    chunks: list[Chunk]
    labels: Tensor | None
    mixing: Mixing | None


def draw_mixing(n_pairs: int, n_layers: int, *, seed: int, step: int, alpha: float = 1.0) -> Mixing:
    """Draw layer, permutation and coefficients of one step, for the whole batch.

    The layer is uniform over the `n_layers`, the coefficients are ``max(c, 1 - c)`` with ``c ~
    Beta(alpha, alpha)``, and the permutation is uniform over the whole batch. Everything depends on
    the arguments alone: each process draws the same, so partners are row numbers of the gathered
    batch whatever the number of processes.
    """
    rng = np.random.default_rng((seed, step))
    layer = int(rng.integers(n_layers))
    share = rng.beta(alpha, alpha, size=n_pairs)
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

    Each process draws the whole batch, which is a pure function of the step, and featurises its
    own share: no process waits for another, and partners of mixing that belong to another one are
    at hand.
    """
    batch = source.sample(step, config.batch_size)
    _check_batch(batch, config.batch_size, step)
    share = config.batch_size // n_processes
    own = range(process * share, (process + 1) * share)
    draw = None
    partner = {i: i for i in own}
    if (entry := LOSSES[loss]).mixes:
        n_layers = 1 if entry.mixed_layers == "first" else backbone.n_mixing_layers
        draw = draw_mixing(
            config.batch_size, n_layers, seed=config.seed, step=step, alpha=config.mixing_alpha
        )
        partner = {i: int(draw.permutation[i]) for i in own}
    # Sequences are numbered: view 1 of the whole batch, then view 2.
    wanted = [*own, *(config.batch_size + i for i in own)]
    wanted += sorted(set(partner.values()) - set(wanted))
    sequences = [
        batch.view1[i] if i < config.batch_size else batch.view2[i - config.batch_size]
        for i in wanted
    ]
    features = dict(zip(wanted, backbone.featurize(sequences), strict=True))
    position = {number: row for row, number in enumerate(wanted[: 2 * share])}
    costs = {number: backbone.cost(f) for number, f in features.items()}
    chunks = [
        _chunk(backbone, kept, extra, features, position, partner, draw)
        for kept, extra in plan_chunks(wanted[: 2 * share], partner, costs, config.budget)
    ]
    return PreparedStep(
        loss=loss,
        chunks=chunks,
        labels=None if batch.labels is None else torch.from_numpy(np.asarray(batch.labels)),
        mixing=draw,
    )


def plan_chunks(
    numbers: Sequence[int],
    partner: dict[int, int],
    costs: dict[int, int],
    budget: int | None,
) -> list[tuple[list[int], list[int]]]:
    """Divide rows into chunks that fit a budget together with the partners that they mix with.

    A chunk costs its number of rows times the cost of its costliest. A row that is over the budget
    with its partner is a chunk of its own. Each chunk is returned as its rows, and the partners
    that are not among them.
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


def _chunk(
    backbone: Backbone,
    kept: list[int],
    extra: list[int],
    features: dict[int, NDArray],
    position: dict[int, int],
    partner: dict[int, int],
    draw: Mixing | None,
) -> Chunk:
    mixing = None
    if draw is not None:
        row = {number: i for i, number in enumerate([*kept, *extra])}
        permutation = torch.arange(len(row))
        # Views 2 and added partners are mixed with nothing: they keep all of themselves.
        coefficients = torch.ones(len(row))
        for i, number in enumerate(kept):
            if number in partner:
                permutation[i] = row[partner[number]]
                coefficients[i] = draw.coefficients[number]
        mixing = Mixing(draw.layer, permutation, coefficients)
    inputs = backbone.collate([features[i] for i in [*kept, *extra]])
    return Chunk(torch.tensor([position[i] for i in kept]), inputs, mixing)


def _check_batch(batch: PairBatch, n_pairs: int, step: int) -> None:
    lengths = len(batch.view1), len(batch.view2)
    n_labels = n_pairs if batch.labels is None else len(batch.labels)
    if lengths != (n_pairs, n_pairs) or n_labels != n_pairs:
        raise ValueError(
            f"The pair source gave {lengths[0]} and {lengths[1]} views and {n_labels} labels at "
            f"step {step}; {n_pairs} of each are expected."
        )
