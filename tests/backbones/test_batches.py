from hypothesis import given
from hypothesis import strategies as st

from dnaembed.backbones._batches import budget_batches, packed_batches


@given(st.lists(st.integers(1, 50), max_size=60), st.integers(1, 120))
def test_batches_hold_each_item_once_within_the_budget(costs, budget):
    batches = budget_batches(costs, budget)
    assert sorted(i for batch in batches for i in batch) == list(range(len(costs)))
    for batch in batches:
        assert len(batch) == 1 or max(costs[i] for i in batch) * len(batch) <= budget
    heads = [costs[batch[0]] for batch in batches]
    assert heads == sorted(heads, reverse=True)


def test_a_batch_is_filled_before_the_next_begins():
    assert budget_batches([1, 1, 1, 4], 4) == [[3], [0, 1, 2]]


@given(st.lists(st.integers(1, 50), max_size=60), st.integers(1, 120))
def test_packed_batches_hold_each_item_once_within_the_budget(costs, budget):
    batches = packed_batches(costs, budget)
    order = [i for batch in batches for i in batch]
    assert sorted(order) == list(range(len(costs)))
    assert [costs[i] for i in order] == sorted(costs, reverse=True)
    totals = [sum(costs[i] for i in batch) for batch in batches]
    for i, batch in enumerate(batches):
        assert len(batch) == 1 or totals[i] <= budget
        assert i + 1 == len(batches) or totals[i] + costs[batches[i + 1][0]] > budget
