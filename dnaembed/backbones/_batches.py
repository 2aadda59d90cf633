"""Batches that waste little: sequences of like length together, within a budget."""

from __future__ import annotations

from collections.abc import Sequence


def budget_batches(costs: Sequence[int], budget: int, *, padded: bool = True) -> list[list[int]]:
    """Group items so that each batch stays within a budget.

    In a padded batch every item costs as much as the costliest. An item over the budget is a batch
    alone. Returned are positions in `costs`, each exactly once; the costliest come first, so that
    memory runs out, if it does, on the first batch rather than after hours.
    """
    batches: list[list[int]] = []
    left = 0
    price = 0
    for i in sorted(range(len(costs)), key=lambda i: -costs[i]):
        if not batches or (price if padded else costs[i]) > left:
            batches.append([])
            left, price = budget, max(1, costs[i])
        batches[-1].append(i)
        left -= price if padded else costs[i]
    return batches
