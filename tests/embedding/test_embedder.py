import pickle

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError

from dnaembed import DNABertSEmbedder, clear_memory_cache, reverse_complement
from dnaembed.backbones import DnaBertBackbone
from dnaembed.utils.estimator_checks import check_sequence_transformer

pytestmark = pytest.mark.usefixtures("empty_cache")


@pytest.fixture
def embedded(monkeypatch):
    """Sequences that a transformer embedded, in order of arrival."""
    seen = []
    featurize = DnaBertBackbone.featurize

    def counting(self, sequences):
        seen.extend(sequences)
        return featurize(self, sequences)

    monkeypatch.setattr(DnaBertBackbone, "featurize", counting)
    return seen


def test_checks_of_sequence_transformers(tiny_dnabert_folder):
    check_sequence_transformer(DNABertSEmbedder(tiny_dnabert_folder))
    check_sequence_transformer(DNABertSEmbedder())


def test_each_distinct_sequence_is_embedded_once(tiny_dnabert_folder, reads, embedded):
    embedder = DNABertSEmbedder(tiny_dnabert_folder).fit(reads)
    rows = embedder.transform([*reads, *reads, reads[0].lower()])
    assert sorted(embedded) == sorted(reads)
    assert (rows[12:24] == rows[:12]).all()
    assert (rows[24] == rows[0]).all()
    clone(embedder).fit_transform(reads[:5])
    assert len(embedded) == len(reads)


@pytest.mark.parametrize(
    ("change", "misses"),
    [
        ({"strand": "both"}, True),
        ({"window_size": 60}, True),
        ({"dtype": "bfloat16"}, True),
        ({"cache": None}, True),
        ({"normalize": True}, False),
        ({"batch_tokens": 64}, False),
        ({"n_jobs": 2}, False),
    ],
)
def test_the_cache_tells_settings_apart_that_matter(
    tiny_dnabert_folder, reads, embedded, change, misses
):
    plain = DNABertSEmbedder(tiny_dnabert_folder).fit_transform(reads)
    before = len(embedded)
    changed = DNABertSEmbedder(tiny_dnabert_folder, **change).fit_transform(reads)
    assert (len(embedded) > before) == misses
    alike = change.keys() & {"cache", "batch_tokens", "n_jobs"}
    assert bool(alike) == np.allclose(plain, changed, atol=1e-6)


@pytest.mark.parametrize("model", ["tiny", "default"])
def test_strands_and_normalisation(tiny_dnabert_folder, reads, model):
    model = tiny_dnabert_folder if model == "tiny" else model
    both = DNABertSEmbedder(model, strand="both", normalize=True)
    rows = both.fit_transform(reads)
    others = both.transform([reverse_complement(read) for read in reads])
    assert rows == pytest.approx(others, abs=1e-5)
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-6)
    assert np.isfinite(both.transform(["N" * 50, "A", "ACGT" * 5000])).all()


def test_pickles_without_the_pretrained_weights(tiny_dnabert_folder, reads):
    embedder = DNABertSEmbedder(tiny_dnabert_folder)
    assert len(pickle.dumps(embedder)) < 5000
    rows = embedder.fit_transform(reads)
    data = pickle.dumps(embedder)
    assert len(data) < 5000
    assert (pickle.loads(data).transform(reads) == rows).all()


class Scale(BaseEstimator):
    """A fine-tuner that can be checked: multiplies all weights."""

    def __init__(self, factor=2.0):
        self.factor = factor

    def fine_tune(self, backbone, sequences, y=None, *, random_state=None):
        self.n_sequences_ = len(sequences)
        self.y_ = y
        with torch.no_grad():
            for parameter in backbone.model.parameters():
                parameter.mul_(self.factor)
        return backbone


def test_fine_tuning_changes_a_copy_and_travels_in_the_pickle(tiny_dnabert_folder, reads, tmp_path):
    plain = DNABertSEmbedder(tiny_dnabert_folder)
    rows = plain.fit_transform(reads)
    tuner = Scale()
    embedder = DNABertSEmbedder(tiny_dnabert_folder, fine_tuner=tuner).fit(reads, [1] * len(reads))
    tuned = embedder.transform(reads)
    assert not np.allclose(tuned, rows)
    assert not hasattr(tuner, "y_")
    assert embedder.fine_tuner_.y_ == [1] * len(reads)
    clear_memory_cache()
    assert (plain.transform(reads) == rows).all()
    assert (pickle.loads(pickle.dumps(embedder)).transform(reads) == tuned).all()
    embedder.save_model(tmp_path / "tuned")
    loaded = DNABertSEmbedder(tmp_path / "tuned").fit_transform(reads)
    assert (loaded == tuned).all()


def test_another_fine_tuner_or_none(tiny_dnabert_folder, reads):
    embedder = DNABertSEmbedder(tiny_dnabert_folder, fine_tuner=Scale())
    embedder.set_params(fine_tuner__factor=3.0)
    assert embedder.fit(reads).fine_tuner_.factor == 3.0
    rows = embedder.set_params(fine_tuner=None).fit_transform(reads)
    assert (rows == DNABertSEmbedder(tiny_dnabert_folder).fit_transform(reads)).all()
    assert not hasattr(embedder, "fine_tuner_")


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"model": 5}, ValueError, "'model' parameter"),
        ({"strand": "reverse"}, ValueError, "'strand' parameter"),
        ({"window_size": 0}, ValueError, "'window_size' parameter"),
        ({"dtype": "float8"}, ValueError, "'dtype' parameter"),
        ({"device": "abacus"}, ValueError, "not a torch device"),
        ({"fine_tuner": "yes"}, ValueError, "'fine_tuner' parameter"),
        ({"model": "no-such-model"}, FileNotFoundError, "no-such-model"),
    ],
)
def test_bad_parameters(parameters, error, message):
    with pytest.raises(error, match=message):
        DNABertSEmbedder(**parameters).fit(["ACGT"])


def test_unfitted():
    for use in (DNABertSEmbedder().transform, DNABertSEmbedder().save_model):
        with pytest.raises(NotFittedError):
            use("somewhere")
