from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from dnaembed.utils._chunks import iter_chunks


@given(st.lists(st.integers(0, 50), max_size=60), st.integers(1, 80), st.none() | st.integers(1, 9))
def test_chunks_keep_the_order_are_bounded_and_no_smaller_than_need_be(sizes, most, most_items):
    chunks = list(iter_chunks(iter(sizes), int, most, most_items))
    assert [size for chunk in chunks for size in chunk] == sizes
    for chunk in chunks:
        assert sum(chunk) <= most or len(chunk) == 1
        assert most_items is None or len(chunk) <= most_items
    for chunk, following in pairwise(chunks):
        assert sum(chunk) + following[0] > most or len(chunk) == most_items
