import threading
from contextlib import closing

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dnaembed.utils._ahead import pin, prefetch, to_device


def threads():
    return [t for t in threading.enumerate() if t.name == "dnaembed-prefetch"]


@given(st.lists(st.integers(), max_size=20), st.integers(1, 5))
def test_items_and_their_order_stay(items, ahead):
    assert list(prefetch(iter(items), ahead=ahead)) == items
    assert not threads()


def test_items_are_made_ahead_in_another_thread_but_not_all():
    makers = []
    third = threading.Event()

    def items():
        for i in range(100):
            makers.append(threading.current_thread())
            if i == 2:
                third.set()
            yield i

    ready = prefetch(items(), ahead=2)
    assert next(ready) == 0
    assert third.wait(timeout=30)  # though nobody asked for it yet
    assert threading.current_thread() not in makers
    ready.close()
    # The one taken, two ready, and one in the making.
    assert 3 <= len(makers) <= 4
    assert not threads()


def test_an_error_is_raised_where_items_are_taken():
    def items():
        yield 1
        raise MemoryError("too many")

    ready = prefetch(items())
    assert next(ready) == 1
    with pytest.raises(MemoryError, match="too many"):
        next(ready)
    assert not threads()


def inverses(items):
    with closing(prefetch(items)) as ready:
        return [1 / item for item in ready]


def test_no_thread_is_left_where_the_taker_fails():
    with pytest.raises(ZeroDivisionError):
        inverses(range(3, -100, -1))
    assert not threads()


def test_lengths_stay_on_the_cpu():
    batch = {"input_ids": torch.arange(5), "lengths": torch.tensor([2, 3])}
    there = to_device(pin(batch, torch.device("cpu")), torch.device("meta"))
    assert there["input_ids"].device.type == "meta"
    assert there["lengths"] is batch["lengths"]
