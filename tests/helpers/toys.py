"""A tiny backbone and a tiny pair source: what the trainer needs and nothing else."""

import csv
from bisect import bisect_left
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from dnaembed.backbones import Backbone
from dnaembed.training import ContrastiveTrainer, PairBatch, TrainingConfig


@dataclass
class ToyConfig:
    hidden_size: int = 16
    num_hidden_layers: int = 3
    dropout: float = 0.0
    model_type: ClassVar[str] = "toy"


class ToyModel(nn.Module):
    config_class, dtype = ToyConfig, property(lambda self: self.last.weight.dtype)
    device = torch.device("cpu")

    def __init__(self, config):
        super().__init__()
        self.config, size = config, config.hidden_size
        self.first = nn.Linear(16, size)
        self.blocks = nn.ModuleList(nn.Linear(size, size) for _ in range(config.num_hidden_layers))
        self.dropout = nn.Dropout(config.dropout)
        self.last = nn.Linear(size, 8)
        for weight in self.parameters():
            nn.init.normal_(weight, std=0.02 if weight.ndim > 1 else 0)

    def forward(self, counts, mixing=None):
        hidden = self.first(counts)
        for number, block in enumerate(self.blocks):
            if mixing is not None and mixing.layer == number:
                hidden = mixing.mix(hidden)
            hidden = hidden + self.dropout(torch.tanh(block(hidden)))
        return self.last(hidden)


class ToyBackbone(Backbone):
    """A residual network on dinucleotide frequencies; the cost of a read is its length."""

    default_budget, embedding_size, model_class = 1000, 8, ToyModel

    def __init__(self, *, seed=0, **config):
        super().__init__(self._random_model(config, seed))

    @property
    def n_mixing_layers(self):
        return self.model.config.num_hidden_layers

    def featurize(self, sequences):
        return [self._features(sequence) for sequence in sequences]

    @staticmethod
    def _features(sequence):
        codes = np.frombuffer(sequence.encode(), np.uint8) // 2 % 4  # A C G T: 0 1 3 2
        counts = np.bincount(codes[:-1] * 4 + codes[1:], minlength=16)
        frequencies = counts / max(1, counts.sum()) * 4
        return np.append(frequencies, len(sequence)).astype(np.float32)

    def cost(self, features):
        return int(features[-1])

    def collate(self, features):
        return {"counts": torch.from_numpy(np.stack(features)[:, :-1])}

    def embed(self, batch, mixing=None):
        return self.model(batch["counts"].to(self.model.dtype), mixing)


class ToySource:
    """Species are Markov chains; both views of a pair come from the same one."""

    def __init__(self, *, seed=0, n_species=20, length=(40, 200), labelled=True, unlike=1.0):
        self.seed, self.length, self.labelled = seed, length, labelled
        chains = np.random.default_rng(99).dirichlet(np.full(4, 0.5), (n_species, 4))
        self.chains = unlike * chains + (1 - unlike) * 0.25

    def sample(self, step, n_pairs):
        rng = np.random.default_rng((self.seed, step))
        labels = rng.integers(len(self.chains), size=n_pairs)
        view1, view2 = ([self._read(rng, label) for label in labels] for _ in range(2))
        return PairBatch(view1, view2, labels if self.labelled else None)

    def _read(self, rng, label):
        cumulative = self.chains[label].cumsum(1).tolist()
        letters, state = [], 0
        for u in rng.random(rng.integers(*self.length)).tolist():
            state = min(3, bisect_left(cumulative[state], u))
            letters.append("ACGT"[state])
        return "".join(letters)


def weights(trainer):
    """Return copies of all weights of a trainer, by name."""
    named = dict(trainer.backbone.model.state_dict())
    named |= {f"head.{name}": tensor for name, tensor in trainer.head.state_dict().items()}
    return {name: tensor.clone() for name, tensor in named.items()}


def make_trainer(
    tmp_path=None, *, seed=0, dropout=0.0, source=None, n_layers=3, validation_source=None, **config
):
    """Return a trainer of toys that makes a few large steps."""
    config = {"n_steps": 6, "batch_size": 8, "learning_rate": 1e-2, "log_every": 1} | config
    backbone = ToyBackbone(seed=seed, dropout=dropout, num_hidden_layers=n_layers)
    where = {"validation_source": validation_source, "output_dir": tmp_path, "device": "cpu"}
    return ContrastiveTrainer(backbone, source or ToySource(), TrainingConfig(**config), **where)


def gradients(trainer, step):
    """Return the output of a step and the gradients of all weights."""
    trainer._both.train()
    output = trainer._compute.gradients(trainer._compute.prepare(trainer.source, step), step)
    return output, [p.grad.clone() for p in trainer._weights]


def same(one, other):
    """Tell whether two mappings hold the same tensors."""
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def read_rows(path):
    """Read a CSV file as one mapping per row."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
