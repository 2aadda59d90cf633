"""What users and files may hand over: strategies that several test modules and the fuzzer share."""

import numpy as np
from hypothesis import strategies as st

# Sequences as the library makes them, and as people have them.
dna = st.text("ACGTN", min_size=1, max_size=60)
messy_dna = st.text("ACGTUNacgtunRYSWKMBDHVryswkmbdhv-. \t", max_size=60)
# Bases among what does not belong there: other letters, digits, control characters, surrogates.
any_text = st.one_of(
    messy_dna, st.text(max_size=20), st.text("ACGTacgt*1L\0\x1a\x85é", max_size=20)
)

identifiers = st.text("abcXYZ0189|.:/_-", min_size=1, max_size=12)
records = st.lists(
    st.tuples(identifiers, dna), min_size=1, max_size=8, unique_by=lambda record: record[0]
)
line_ends = st.sampled_from(["\n", "\r\n"])


@st.composite
def sequence_files(draw):
    """Draw a well-formed FASTA or FASTQ file, as bytes, and its records."""
    expected = draw(records)
    end = draw(line_ends)
    text = "\ufeff" if draw(st.booleans()) else ""
    if draw(st.booleans()):
        blank = draw(st.sampled_from(["", end, f" \t{end}{end}"]))
        for identifier, sequence in expected:
            text += f"@{identifier} text{end}{sequence}{end}+{end}{'I' * len(sequence)}{end}{blank}"
    else:
        width = draw(st.integers(1, 70))
        for identifier, sequence in expected:
            lines = [sequence[i : i + width] for i in range(0, len(sequence), width)]
            text += f">{identifier} text{end}" + "".join(line + end for line in lines)
    return text.encode(), expected


def _object_array(items):
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


_odd_items = st.one_of(
    any_text, st.none(), st.integers(), st.floats(), st.binary(max_size=4), st.just(["ACGT"])
)
_item_lists = st.lists(_odd_items, max_size=5) | st.lists(messy_dna, max_size=5)
#: Whatever somebody may pass where sequences are expected.
containers = st.one_of(
    _item_lists,
    _item_lists.map(tuple),
    _item_lists.map(_object_array),
    _item_lists.map(lambda items: _object_array(items).reshape(-1, 1)),
    st.lists(dna, max_size=5).map(lambda items: np.array(items, dtype="U")),
    st.lists(dna, max_size=5).map(lambda items: np.array([items, items], dtype="U")),
    st.lists(dna, max_size=5).map(lambda items: np.array(items, dtype="S")),
    _item_lists.map(iter),
    st.dictionaries(dna, dna, max_size=3),
    st.one_of(any_text, st.none(), st.integers(), st.binary(max_size=9)),
)
