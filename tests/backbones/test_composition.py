import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dnaembed import KmerEmbedder
from dnaembed.backbones import composition_backbone, load_backbone


def rows(backbone, sequences):
    with torch.inference_mode():
        return backbone.embed(backbone.collate(backbone.featurize(sequences))).numpy()


@given(st.lists(st.text("ACGT", min_size=5, max_size=200), min_size=1, max_size=4))
def test_same_numbers_as_the_embedder_of_kmers(sequences):
    expected = KmerEmbedder().fit_transform(sequences)
    assert rows(composition_backbone(), sequences) == pytest.approx(expected, abs=1e-6)


def test_several_lengths_are_side_by_side():
    sequence = ["ACGTTGCAAACC"]
    both = rows(composition_backbone([2, 3]), sequence)
    parts = [rows(composition_backbone([k]), sequence) for k in (2, 3)]
    assert (both == np.hstack(parts)).all()


def test_ships_with_the_package():
    assert load_backbone("kmer-composition").fingerprint() == composition_backbone().fingerprint()
