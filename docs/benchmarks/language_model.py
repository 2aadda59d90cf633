"""A DNA language model beside the k-mer models: HyenaDNA, the one whose weights a package ships.

``python docs/benchmarks/language_model.py GENOMES WEIGHTS -o docs/results/language_model.csv``

WEIGHTS is the file ``remag/hyenadna_classifier/models/pytorch_model.bin*`` of the wheel of REMAG
0.6.1 (MIT): 600 thousand weights. It is a pickled model: tensors are read from it by PyTorch's
``weights_only``, and names of classes stand for empty ones of ours, so that no code of it runs. A
read's embedding is the mean of the last hidden states of its bases.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from _shared import arguments, write_rows
from results import SETS, genome_sets
from sklearn.base import BaseEstimator, TransformerMixin
from torch.nn import functional

from dnaembed import DNABertSEmbedder, KmerEmbedder
from dnaembed.benchmark import clustering_scores, few_shot_scores

COLUMNS = ("embedder", "reads", "K-means ARI", "F1, 2 reads", "F1, 10 reads")
# The vocabulary of HyenaDNA.
_CODES = bytes.maketrans(b"ACGTN", bytes(range(7, 12)))


class _Empty:
    """Stands for a class that a pickle names."""

    def __new__(cls, *args, **kwargs):
        return object.__new__(cls)

    def __init__(self, *args, **kwargs):
        pass

    def __setstate__(self, state):
        vars(self).update(state if isinstance(state, dict) else {})


def read_tensors(path):
    """Return the tensors of a pickled module by name."""
    names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    allowed = [(type(name.rpartition(".")[2], (_Empty,), {}), name) for name in names]
    with torch.serialization.safe_globals(allowed):
        return dict(_walk(torch.load(path, weights_only=True, map_location="cpu"), ""))


def _walk(module, prefix):
    for kind in ("_parameters", "_buffers"):
        for name, value in vars(module).get(kind, {}).items():
            if value is not None:
                yield prefix + name, value.detach()
    for name, child in vars(module).get("_modules", {}).items():
        if child is not None:
            yield from _walk(child, f"{prefix}{name}.")


class HyenaEmbedder(TransformerMixin, BaseEstimator):
    """Mean hidden states of HyenaDNA (Nguyen et al., NeurIPS 2023), as the paper describes it."""

    def __init__(self, weights):
        self.weights = weights

    def fit(self, X, y=None):
        """Read the weights."""
        self.tensors_ = read_tensors(self.weights)
        return self

    def transform(self, X):
        """Embed sequences, one at a time."""
        with torch.inference_mode():
            return np.stack([self._embed(sequence) for sequence in X])

    def _embed(self, sequence):
        letters = sequence.encode().translate(_CODES)
        codes = np.frombuffer(letters, dtype=np.uint8).astype(np.int64)
        rows = self._of("backbone.embeddings.word_embeddings.weight")[codes]
        for i in range(2):
            layer = f"backbone.layers.{i}."
            rows = rows + self._mix(self._normal(rows, layer + "norm1"), layer + "mixer.")
            inner = functional.gelu(
                self._linear(self._normal(rows, layer + "norm2"), layer + "mlp.fc1"),
                approximate="tanh",
            )
            rows = rows + self._linear(inner, layer + "mlp.fc2")
        return self._normal(rows, "backbone.ln_f").mean(dim=0).numpy()

    def _mix(self, rows, layer):
        """Gate, convolve with a filter as long as the read, and gate again."""
        length, width = rows.shape
        wide = self._linear(rows, layer + "in_proj").T
        short = (self._of(f"{layer}short_filter.{name}") for name in ("weight", "bias"))
        wide = functional.conv1d(wide[None], *short, padding=2, groups=3 * width)[0, :, :length]
        gate, x, v = wide.split(width)
        inside = layer + "filter_fn."
        values = self._of(inside + "pos_emb.z")[0, :length]
        for i in (0, 2, 4):
            values = self._linear(values, f"{inside}implicit_filter.{i}")
            values = torch.sin(self._of(f"{inside}implicit_filter.{i + 1}.freq") * values)
        values = values @ self._of(inside + "implicit_filter.6.weight").T
        time = self._of(inside + "pos_emb.t")[0, :length]
        decay = torch.exp(-time * self._of(inside + "modulation.deltas")[0].abs())
        kernel = (values * (decay + 0.05)).T
        v = v * x
        product = torch.fft.rfft(v, 2 * length) * torch.fft.rfft(kernel, 2 * length)
        long = torch.fft.irfft(product, 2 * length)[:, :length]
        long = long + v * self._of(inside + "bias")[:, None]
        return self._linear((long * gate).T, layer + "out_proj")

    def _of(self, name):
        return self.tensors_[name]

    def _linear(self, rows, name):
        return functional.linear(rows, self._of(name + ".weight"), self._of(name + ".bias"))

    def _normal(self, rows, name):
        return functional.layer_norm(
            rows, rows.shape[-1:], self._of(name + ".weight"), self._of(name + ".bias")
        )


def main(argv=None):
    """Embed one draw of reads by each model, and score."""
    parser = arguments(__doc__, output="CSV file")
    parser.add_argument("genomes", type=Path, help="folder with a catalog.tsv")
    parser.add_argument("weights", type=Path, help="pickled HyenaDNA of REMAG's wheel")
    parser.add_argument("--reads", type=int, default=20, help="per species (default: 20)")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    recipes = {"clean": SETS["clean"]}
    [reads] = genome_sets(args.genomes, seeds=[0], n_reads=args.reads, recipes=recipes)["clean"]
    embedders = {
        "raw TNF": KmerEmbedder(method="raw"),
        "HyenaDNA, mean of hidden states": HyenaEmbedder(args.weights),
        "bundled model": DNABertSEmbedder(n_jobs=1, cache=None),
    }
    labels, rows = np.asarray(reads.labels), []
    for name, embedder in embedders.items():
        X = embedder.fit(reads.sequences[:50]).transform(reads.sequences)
        ari = clustering_scores(X, labels, n_repeats=3)["ari"]
        f1 = few_shot_scores(X, labels, shots=(2, 10), n_test=args.reads // 2, n_repeats=5)
        values = [name, len(labels), *(f"{v:.3f}" for v in (ari, f1[2], f1[10]))]
        rows.append(dict(zip(COLUMNS, values, strict=True)))
        print(rows[-1])
    write_rows(args.output, COLUMNS, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
