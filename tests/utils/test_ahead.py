import threading
from contextlib import closing

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dnaembed.utils._ahead import ahead, pin, prefetch, to_device


def threads():
    return [t for t in threading.enumerate() if t.name.startswith("dnaembed-ahead")]


@given(st.lists(st.integers(), max_size=20), st.integers(1, 3), st.integers(0, 3))
def test_items_and_results_keep_their_order(items, n_threads, depth):
    assert list(ahead(iter(items), depth=depth)) == list(prefetch(items)) == items
    assert list(ahead(items, str, n_threads=n_threads, depth=depth)) == list(map(str, items))
    assert not threads()


@pytest.mark.parametrize("n_threads", [1, 2])
def test_an_error_stands_in_the_place_of_its_item(n_threads):
    ready = ahead(range(3, -100, -1), lambda x: 6 / x, n_threads=n_threads)
    assert [next(ready) for _ in range(3)] == [2, 3, 6]
    with pytest.raises(ZeroDivisionError):
        next(ready)
    assert not threads()


def test_no_more_is_begun_than_the_depth_allows():
    taken = []
    ready = ahead(map(taken.append, range(100)), lambda _: None, n_threads=2, depth=1)
    next(ready)
    assert len(taken) == 4  # the one given out, two in the making, and one that waits
    ready.close()
    assert not threads()


def test_items_are_made_ahead_in_another_thread_but_not_all():
    makers = []
    third, closed = threading.Event(), threading.Event()

    def items():
        try:
            for i in range(100):
                makers.append(threading.current_thread())
                if i == 2:
                    third.set()
                yield i
        finally:
            closed.set()

    with closing(prefetch(items())) as ready:
        assert next(ready) == 0
        assert third.wait(timeout=30)  # though nobody asked for it yet
    assert closed.is_set()
    assert threading.current_thread() not in makers
    assert 3 <= len(makers) <= 4  # the one taken, two ready, and one in the making
    assert not threads()


def test_lengths_stay_on_the_cpu():
    batch = {"input_ids": torch.arange(5), "lengths": torch.tensor([2, 3])}
    there = to_device(pin(batch, torch.device("cpu")), torch.device("meta"))
    assert there["input_ids"].device.type == "meta"
    assert there["lengths"] is batch["lengths"]
