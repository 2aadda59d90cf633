"""Batches that waste little: sequences of like length together, within a budget."""

from __future__ import annotations

from collections.abc import Sequence


def budget_batches(costs: Sequence[int], budget: int) -> list[list[int]]:
    """Group items so that a batch, padded to its costliest item, stays within a budget.

    Parameters
    ----------
    costs : sequence of int
        Cost of each item, for example its tokens.
    budget : int
        Greatest ``max(costs in batch) * len(batch)``; an item over the budget is a batch alone.

    Returns
    -------
    list of list of int
        Positions in `costs`, each exactly once; costliest first, so that memory runs out, if it
        does, on the first batch rather than after hours.
    """
    order = sorted(range(len(costs)), key=lambda i: -costs[i])
    batches: list[list[int]] = []
    largest = 0
    for i in order:
        if batches and largest * (len(batches[-1]) + 1) <= budget:
            batches[-1].append(i)
        else:
            batches.append([i])
            largest = max(1, costs[i])
    return batches


def packed_batches(costs: Sequence[int], budget: int) -> list[list[int]]:
    """Group items so that those of a batch together stay within a budget.

    Parameters
    ----------
    costs : sequence of int
        Cost of each item, for example its tokens.
    budget : int
        Greatest sum of costs in a batch; an item over the budget is a batch alone.

    Returns
    -------
    list of list of int
        Positions in `costs`, each exactly once; costliest first, so that items of like cost are
        neighbours.
    """
    order = sorted(range(len(costs)), key=lambda i: -costs[i])
    batches: list[list[int]] = []
    left = 0
    for i in order:
        if batches and costs[i] <= left:
            batches[-1].append(i)
        else:
            batches.append([i])
            left = budget
        left -= costs[i]
    return batches
