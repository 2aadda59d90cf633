import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnaembed import KmerEmbedder, reverse_complement
from dnaembed.composition import kmer_names
from dnaembed.utils.estimator_checks import check_sequence_transformer

DATA = Path(__file__).parents[1] / "data"


@pytest.mark.parametrize("method", ["canonical", "raw"])
def test_checks_of_sequence_transformers(method):
    check_sequence_transformer(KmerEmbedder(method=method))


def test_raw_is_the_tnf_of_the_reference():
    golden = json.loads((DATA / "tnf.json").read_text())
    embedder = KmerEmbedder(method="raw", dtype="float64")
    assert embedder.fit_transform(golden["sequences"]) == pytest.approx(
        np.array(golden["tnf"]), abs=1e-12
    )


@given(st.lists(st.text("ACGTN", min_size=1, max_size=80), min_size=1, max_size=5))
def test_canonical_is_finite_and_sees_no_strand(sequences):
    embedder = KmerEmbedder().fit(sequences)
    rows = embedder.transform(sequences)
    assert np.isfinite(rows).all()
    assert (rows == embedder.transform(list(map(reverse_complement, sequences)))).all()


def test_canonical_profile_by_hand():
    # AAAC: one AA/TT pair twice and AC/GT once among three dinucleotides.
    row = KmerEmbedder(k=2, dtype="float64").fit_transform(["AAAC"])[0]
    expected = dict.fromkeys(kmer_names(2), 0.0) | {"AA": 2 / 3, "AC": 1 / 3}
    palindromes = {"AT", "CG", "GC", "TA"}
    for name, value in zip(kmer_names(2), row, strict=True):
        uniform = (1 if name in palindromes else 2) / 16
        assert value == pytest.approx(np.sqrt(expected[name]) - np.sqrt(uniform))


@pytest.mark.parametrize(("method", "k", "n"), [("raw", 3, 64), ("canonical", 5, 512)])
def test_shapes_names_and_zeros_where_there_are_no_kmers(method, k, n):
    embedder = KmerEmbedder(k=k, method=method)
    rows = embedder.fit_transform(["ACGTACGTAC", "NNNNNNNN", "AC"])
    assert rows.shape == (3, n)
    assert rows.any(axis=1).tolist() == [True, False, False]
    names = embedder.get_feature_names_out()
    assert len(names) == n
    assert names[0] == "A" * k


def test_names_are_of_the_columns():
    frame = KmerEmbedder(k=2, method="raw").set_output(transform="pandas").fit_transform(["ACACC"])
    assert frame.iloc[0][lambda values: values > 0].to_dict() == {"AC": 0.5, "CA": 0.25, "CC": 0.25}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [({"k": 0}, "'k' parameter"), ({"method": "4-mers"}, "'method' parameter")],
)
def test_bad_parameters(parameters, message):
    with pytest.raises(ValueError, match=message):
        KmerEmbedder(**parameters).fit(["ACGT"])
