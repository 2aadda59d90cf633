"""What the measurements share: arguments, tables, random reads and rows, a transformer to time."""

from __future__ import annotations

import argparse
import csv
import logging
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dnaembed.backbones import DnaBertBackbone, DnaBertConfig, DnaBertModel, train_bpe_tokenizer
from dnaembed.utils._atomic import atomic_output
from dnaembed.utils._randomness import seeded

# Shares of the squared length of a row, and how fast the variance falls from axis to axis, as
# measured on the bundled model's embeddings of reads of 78 species that it had not seen.
_COMMON, _SPECIES, _READ = 0.60, 0.17, 0.23
_SPECIES_DECAY, _READ_DECAY = 1.2, 0.8
_GENUS = 0.7  # of what tells species apart, what those of a genus share
_SPECIES_A_GENUS = 3
_SIZES = 1.0  # standard deviation of the logarithm of species' abundances
_ROWS_AT_A_TIME = 1 << 14


def arguments(
    doc: str | None, *options: tuple[str, dict[str, Any]], output: str | None = None
) -> argparse.ArgumentParser:
    """Make the parser of a script: its first line of documentation, options, the output."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    name = f"python docs/benchmarks/{Path(sys.argv[0]).name}"
    parser = argparse.ArgumentParser(prog=name, description=(doc or "").split("\n")[0])
    for flags, settings in options:
        parser.add_argument(*flags.split(), **settings)
    if output is not None:
        parser.add_argument("-o", "--output", required=True, type=Path, help=output)
    return parser


def random_reads(rng: np.random.Generator, lengths: Sequence[int]) -> list[str]:
    """Draw reads of given lengths, each base as likely as the others."""
    letters = np.frombuffer(b"ACGT", dtype=np.uint8)
    return [letters[rng.integers(0, 4, length)].tobytes().decode() for length in lengths]


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read the rows of a table; none where there is no file yet."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_rows(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a table, cells that a row lacks left empty, and the folder where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_output(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def embedding_mixture(
    n_samples: int, n_features: int, n_species: int, *, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Draw rows of unit length around species, in log-normal numbers."""
    rng = np.random.default_rng(seed)
    shares = rng.lognormal(0, _SIZES, n_species)
    y = rng.choice(n_species, n_samples, p=shares / shares.sum())
    genus = rng.integers(max(1, n_species // _SPECIES_A_GENUS), size=n_species)
    axes = _axes(n_features, _SPECIES_DECAY)
    genera = rng.normal(size=(genus.max() + 1, n_features)) * axes
    own = rng.normal(size=(n_species, n_features)) * axes
    centers = np.sqrt(_GENUS) * genera[genus] + np.sqrt(1 - _GENUS) * own
    common = rng.normal(size=n_features)
    common *= np.sqrt(_COMMON) / np.linalg.norm(common)
    centers = (common + np.sqrt(_SPECIES) * centers).astype(np.float32)
    noise = (np.sqrt(_READ) * _axes(n_features, _READ_DECAY)).astype(np.float32)
    X = np.empty((n_samples, n_features), dtype=np.float32)
    for start in range(0, n_samples, _ROWS_AT_A_TIME):
        rows = X[start : start + _ROWS_AT_A_TIME]
        rng.standard_normal(out=rows, dtype=np.float32)
        rows *= noise
        rows += centers[y[start : start + _ROWS_AT_A_TIME]]
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return X, y


def _axes(n_features: int, decay: float) -> np.ndarray:
    variances = np.arange(1, n_features + 1) ** -decay
    return np.sqrt(variances / variances.sum())


def random_transformer(
    sequences: Sequence[str], config: DnaBertConfig | None = None, *, seed: int = 0
) -> DnaBertBackbone:
    """Return an encoder with random weights, which are as fast as trained ones."""
    config = DnaBertConfig() if config is None else config
    tokenizer = train_bpe_tokenizer(sequences, vocab_size=config.vocab_size)
    with seeded(seed, torch.device("cpu")):
        model = DnaBertModel(config)
    return DnaBertBackbone(model.eval(), tokenizer)


def flops(config: DnaBertConfig, tokens: Sequence[int]) -> float:
    """Operations of the layers, each token attending to all tokens of its sequence."""
    hidden, inner = config.hidden_size, config.intermediate_size
    linear = 2.0 * hidden * (4 * hidden + 3 * inner) * sum(tokens)
    attention = 4.0 * hidden * sum(n * n for n in tokens)
    return config.num_hidden_layers * (linear + attention)


def agreement(rows: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    """Return the largest difference of two arrays and the least cosine of their rows."""
    norms = np.linalg.norm(rows, axis=1) * np.linalg.norm(reference, axis=1)
    cosines = (rows * reference).sum(axis=1) / norms
    return float(np.abs(rows - reference).max()), float(cosines.min())


class MemoryWatch:
    """Looks at the memory of the process every few milliseconds.

    The system's own high-water mark knows only the largest of all that was done so far.
    """

    def __enter__(self) -> MemoryWatch:
        self._start = self._peak = self._in_use()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._peak = max(self._peak, self._in_use())

    @property
    def growth(self) -> int:
        """Bytes at the peak above those at the start."""
        return self._peak - self._start

    def _watch(self) -> None:
        while not self._stop.wait(0.01):
            self._peak = max(self._peak, self._in_use())

    @staticmethod
    def _in_use() -> int:
        status = Path("/proc/self/statm")
        if not status.exists():  # elsewhere than on Linux
            return 0
        return int(status.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
