"""The search for the bundled model: one change at a time, in short runs from the same seeds.

``python docs/benchmarks/search.py GENOMES MORE --store STORE -o docs/results/search.csv`` trains a
small k-mer network on split ``train`` of the folders, once as it is and once for each change of
its input, loss, sizes or pairs, and scores all on reads of split ``dev`` of the first folder.
Rows that the file has are not made again. Means over the seeds, less those of the network as it
is, go beside it, into a file whose name ends in ``_means.csv``.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from _shared import arguments, read_rows, write_rows
from label_curve import MODEL, PAIRS, SCORES, SETS, SIZES, TRAINING, open_store, scores_of
from results import genome_sets
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, log_softmax, normalize, softplus

from dnaembed.backbones import (
    KmerProfileBackbone,
    KmerProfileConfig,
    KmerProfileModel,
    load_backbone,
)
from dnaembed.composition import kmer_counts, kmer_names
from dnaembed.embedding._engine import EmbedOptions, embed_sequences
from dnaembed.training import (
    LOSSES,
    ContrastiveTrainer,
    GenomePairs,
    GenomeStore,
    Loss,
    PairBatch,
    TrainingConfig,
    fit_profile_statistics,
    weighted_simclr,
)
from dnaembed.training._losses import _log_weighted_sum, _same_label
from dnaembed.utils._compile import compiled

COLUMNS = ("change", "seed", "steps", *SCORES, "seconds")
_SHOWN = {f"f1@2 {name}": f"F1, {name}" for name in SETS}
_SHOWN |= {f"ari {name}": f"ARI, {name}" for name in SETS}
_DOMAINS = {"virus": 0.65, "organelle": 0.3, "marker": 0.35, "fungi": 0.5, "protist": 0.5}
_SHORTEST, _LONGEST = 800, 10_000
_LENGTH_BITS = 14  # of a view, where a loss must know lengths: 16,383 bp

# Purine or pyrimidine, amino or keto: a letter is complementary to the other one in both.
_ALPHABETS = {"two-letter": ("AG", "AC")}
_WORDS = tuple(range(6, 11))


@dataclass(frozen=True)
class Change:
    """What a run changes."""

    extra: str = ""
    loss: str = "weighted_simclr"
    sizes: Mapping[str, Any] = field(default_factory=dict)
    pairs: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)


#: The first is what the others are compared with.
CHANGES = {
    "none": Change(),
    "two-letter words, k 6-10": Change("two-letter"),
    "4-mers corrected for GC": Change("gc"),
    "genus proxies": Change(loss="genus proxies"),
    "margin by length": Change(loss="margin by length"),
    "temperature by length": Change(loss="temperature by length"),
    "distilled from kmer-profile-2": Change(loss="distilled"),
    "k 4-6": Change(sizes={"k": (4, 5, 6)}),
    "k 4-6 and two-letter words": Change("two-letter", sizes={"k": (4, 5, 6)}),
    "twice as wide": Change(sizes={"hidden_size": 512, "intermediate_size": 512}),
    "no dropout": Change(sizes={"dropout": 0.0}),
    "no virtual species": Change(pairs={"virtual_share": 0.0}),
    "half virtual species": Change(pairs={"virtual_share": 0.5}),
    "batch of 256": Change(training={"batch_size": 256}),
    "batch of 1,024": Change(training={"batch_size": 1024}),
    "no errors": Change(pairs={"error_rate": (0.0, 0.0)}),
    "twice as many steps": Change(training={"n_steps": 2000}),
}


class Network(KmerProfileModel):
    """A k-mer profile model with further columns behind its k-mers."""

    def __init__(self, config: KmerProfileConfig, extra: str) -> None:
        self.extra = extra
        names = kmer_names(4)
        self.gc = torch.tensor([sum(name.count(c) for c in "CG") for name in names])
        turned = [name.translate(str.maketrans("ACGT", "TGCA"))[::-1] for name in names]
        twice = [1.0 if a == b else 2.0 for a, b in zip(names, turned, strict=True)]
        self.strands = torch.tensor(twice)
        super().__init__(config)

    def profile(self, counts: Tensor) -> tuple[Tensor, Tensor]:
        """Return standardised columns, and the logarithm of the number of k-mers."""
        blocks = counts.float().split(_blocks(self.config.own_k, self.extra), dim=1)
        totals = [block.sum(dim=1, keepdim=True).clamp(min=1) for block in blocks]
        roots = [(b / t).sqrt() for b, t in zip(blocks, totals, strict=True)]
        if self.extra == "gc":  # observed by expected of reads of their GC
            shares = blocks[0] / totals[0]
            gc = ((shares * self.gc).sum(1, keepdim=True) / 4).clamp(0.02, 0.98)
            expected = self.strands * (gc / 2) ** self.gc * ((1 - gc) / 2) ** (4 - self.gc)
            roots.append((shares / expected).clamp(max=25).sqrt())
        length = totals[0].clamp(max=_LONGEST).log() - np.log(4000.0)
        return (torch.cat(roots, dim=1) - self.mean) * self.scale, length


class Columns(KmerProfileConfig):
    """Sizes of a `Network`: `n_columns` counts what was added."""

    own_k: Sequence[int] = ()
    n_added = 0

    @property
    def n_columns(self) -> int:
        """Columns of the profile."""
        return super().n_columns + self.n_added


class SearchBackbone(KmerProfileBackbone):
    """Counts two-letter words beside k-mers."""

    def featurize(self, sequences: Sequence[str]) -> list[np.ndarray]:
        """Count; (n_columns,) of each sequence."""
        counts = [kmer_counts(sequences, self.model.config.own_k)]
        for letters in _ALPHABETS.get(self.model.extra, ()):
            counts.append(word_counts(sequences, letters))
        return list(np.concatenate(counts, axis=1))


def _n_words(k: int) -> int:
    return (2**k + (2 ** (k // 2) if k % 2 == 0 else 0)) // 2


def _blocks(ks: Sequence[int], extra: str) -> list[int]:
    own = [len(kmer_names(k)) for k in ks]
    return own + [_n_words(k) for _ in _ALPHABETS.get(extra, ()) for k in _WORDS]


def word_counts(sequences: Sequence[str], letters: str) -> np.ndarray:
    """Count the words of a two-letter alphabet, one with their reverse complements."""
    codes = np.full(256, 2, dtype=np.uint8)
    for letter in "ACGT":
        codes[ord(letter)] = letter not in letters
    columns, start = [], 0
    for k in _WORDS:
        words = np.arange(2**k)
        turned = sum(((words >> i & 1) ^ 1) << (k - 1 - i) for i in range(k))
        smaller = np.minimum(words, turned)
        rank = np.cumsum(smaller == words) - 1
        columns.append(start + rank[smaller])
        start += int(rank[-1]) + 1
    bases = np.frombuffer("".join(sequences).encode(), dtype=np.uint8)
    offsets = np.cumsum([0, *map(len, sequences)])
    counts = np.zeros((len(sequences), start), dtype=np.uint32)
    _count_words(codes[bases], offsets, np.array(_WORDS), np.concatenate(columns), counts)
    return counts


@compiled
def _count_words(codes, offsets, ks, columns, out):  # type: ignore[no-untyped-def]
    for i in range(offsets.size - 1):
        word, run = np.int64(0), 0
        for position in range(offsets[i], offsets[i + 1]):
            if codes[position] > 1:
                run = 0
                continue
            word = (word << 1) | codes[position]
            run += 1
            first = 0
            for j in range(ks.size):
                if run >= ks[j]:
                    out[i, columns[first + (word & ((1 << ks[j]) - 1))]] += 1
                first += 1 << ks[j]


class WithLengths:
    """Writes lengths of views into the labels, for losses that need them."""

    def __init__(self, source: GenomePairs) -> None:
        self.source = source

    def sample(self, step: int, n_pairs: int) -> PairBatch:
        """Draw pairs; labels hold the lengths in their low bits."""
        batch = self.source.sample(step, n_pairs)
        labels = batch.labels
        for views in (batch.view1, batch.view2):
            lengths = np.array([min(len(view), 2**_LENGTH_BITS - 1) for view in views])
            labels = (labels << _LENGTH_BITS) | lengths
        return PairBatch(batch.view1, batch.view2, labels)


class WithTeacher:
    """Keeps what a teacher makes of the views of the last steps."""

    def __init__(self, source: GenomePairs, teacher: str) -> None:
        self.source = source
        self.teacher = load_backbone(teacher)
        self.rows: dict[bytes, Tensor] = {}

    def sample(self, step: int, n_pairs: int) -> PairBatch:
        """Draw pairs and embed them."""
        batch = self.source.sample(step, n_pairs)
        if step < 2**39:  # pairs of the statistics need no teacher
            views = [*batch.view1, *batch.view2]
            rows = torch.from_numpy(embed_sequences(self.teacher, views, EmbedOptions()))
            self.rows[batch.labels.tobytes()] = normalize(rows.float(), dim=1)
        return batch


def _lengths(labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    low = 2**_LENGTH_BITS - 1
    second, first = labels & low, (labels >> _LENGTH_BITS) & low
    return labels >> (2 * _LENGTH_BITS), first, second


def _noise(first: Tensor, second: Tensor) -> Tensor:
    """Return about 1 for views of 800 bp, 0.3 for views of 10 kb."""
    return (_SHORTEST / torch.minimum(first, second).clamp(min=_SHORTEST)).sqrt()


def _margin_loss(z1, z2, *, temperature, labels):
    labels, first, second = _lengths(labels)
    margin = (0.1 * (1 - _noise(first, second))).repeat(2)  # long views can lie closer
    z = torch.cat([z1, z2])
    positives = (z1 * z2).sum(1).repeat(2) - margin
    return _simclr(z @ z.T / temperature, positives / temperature, labels)


def _temperature_loss(z1, z2, *, temperature, labels):
    labels, first, second = _lengths(labels)
    lengths = torch.cat([first, second])
    scales = temperature * (0.7 + 0.6 * _noise(lengths[:, None], lengths[None, :]))
    z = torch.cat([z1, z2])
    similarities = z @ z.T / scales
    n = len(z1)
    positives = similarities[torch.arange(2 * n), torch.arange(2 * n).roll(n)]
    return _simclr(similarities, positives, labels)


def _simclr(similarities: Tensor, positives: Tensor, labels: Tensor) -> Tensor:
    n = len(labels)
    negative = ~_same_label(labels, n, labels.device).repeat(2, 2)
    negative[torch.arange(2 * n), torch.arange(2 * n).roll(n)] = False
    return softplus(_log_weighted_sum(similarities, negative) - positives).mean()


def _genus_loss(genera: Tensor, proxies: torch.nn.Parameter) -> Callable[..., Tensor]:
    def loss(z1, z2, *, temperature, labels):
        real = labels < len(genera)
        targets = torch.full_like(labels, -1)
        targets[real] = genera[labels[real]]
        logits = torch.cat([z1, z2]) @ normalize(proxies, dim=1).T / temperature
        of_genera = cross_entropy(logits, targets.repeat(2), ignore_index=-1)
        return weighted_simclr(z1, z2, temperature=temperature, labels=labels) + 0.2 * of_genera

    return loss


def _distillation(teacher: WithTeacher) -> Callable[..., Tensor]:
    def loss(z1, z2, *, temperature, labels):
        rows = teacher.rows.pop(labels.numpy().tobytes())
        z, own = torch.cat([z1, z2]), torch.eye(2 * len(z1), dtype=torch.bool)
        wanted = (rows @ rows.T / temperature).masked_fill(own, -1e4).softmax(1)
        found = log_softmax((z @ z.T / temperature).masked_fill(own, -1e4), dim=1)
        matched = kl_div(found, wanted, reduction="batchmean")
        return weighted_simclr(z1, z2, temperature=temperature, labels=labels) + matched

    return loss


def genera_of(folders: Sequence[str], labels: Sequence[str]) -> Tensor:
    """Number the genera of labels, -1 where a catalogue names none."""
    genus: dict[str, str] = {}
    for folder in folders:
        with (Path(folder) / "catalog.tsv").open(newline="", encoding="utf-8") as file:
            genus |= {r["label"]: r.get("genus", "") for r in csv.DictReader(file, delimiter="\t")}
    names = sorted({genus.get(label) or "" for label in labels} - {""})
    number = {name: i for i, name in enumerate(names)}
    return torch.tensor([number.get(genus.get(label, ""), -1) for label in labels])


def train(
    store: GenomeStore, genera: Tensor, change: Change, *, seed: int, steps: int, teacher: str
) -> SearchBackbone:  # fmt: skip
    """Train a network with one change."""
    weights = {name: w for name, w in _DOMAINS.items() if name in store.domains}
    pairs = PAIRS | {"domain_weights": weights} | dict(change.pairs)
    source: Any = GenomePairs(store, seed=seed, **pairs)
    sizes = MODEL | SIZES["small"] | dict(change.sizes)
    config = Columns(**{name: size for name, size in sizes.items() if name != "architecture"})
    config.own_k = config.k
    config.n_added = sum(_blocks(config.k, change.extra)) - config.n_columns
    config.n_added += 136 * (change.extra == "gc")
    torch.manual_seed(seed)
    model = Network(config, change.extra)
    backbone = SearchBackbone(model)
    fit_profile_statistics(backbone, source)
    if change.loss == "genus proxies":
        start = torch.randn(int(genera.max()) + 1, config.deep_size)
        model.proxies = torch.nn.Parameter(start)
        LOSSES[change.loss] = Loss(_genus_loss(genera, model.proxies))
    elif change.loss == "distilled":
        source = WithTeacher(source, teacher)
        LOSSES[change.loss] = Loss(_distillation(source))
    elif change.loss != "weighted_simclr":
        source = WithLengths(source)
        by_length = {"margin by length": _margin_loss, "temperature by length": _temperature_loss}
        LOSSES[change.loss] = Loss(by_length[change.loss])
    own = {"seed": seed, "n_steps": steps, "loss": change.loss} | dict(change.training)
    ContrastiveTrainer(backbone, source, TrainingConfig.from_dict(TRAINING | own)).train()
    return backbone


def means(rows: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Average scores over the seeds; those of a change less those without any."""
    plain = {row["seed"]: row for row in rows if row["change"] == next(iter(CHANGES))}
    table = []
    for change in dict.fromkeys(row["change"] for row in rows):
        own = [row for row in rows if row["change"] == change and row["seed"] in plain]
        mean = {"change": change, "seeds": str(len(own))}
        for score, name in _SHOWN.items():
            values = np.array([float(row[score]) for row in own])
            before = np.array([float(plain[row["seed"]][score]) for row in own])
            is_plain = own[0] is plain[own[0]["seed"]]
            mean[name] = f"{values.mean():.3f}" if is_plain else f"{(values - before).mean():+.3f}"
        table.append(mean)
    return table


def main(argv: Sequence[str] | None = None) -> int:
    """Train and score from the command line."""
    parser = arguments(__doc__, output="CSV file")
    parser.add_argument("genomes", nargs="+", help="folders with a catalog.tsv")
    parser.add_argument("--store", type=Path, required=True, help="folder for packed genomes")
    parser.add_argument("--changes", nargs="+", choices=list(CHANGES), default=list(CHANGES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=1000, help="default: 1,000")
    parser.add_argument("--teacher", default="kmer-profile-2", help="a name or a folder")
    args = parser.parse_args(argv)
    store = open_store(args.store, args.genomes)
    genera = genera_of(args.genomes, store.labels)
    sets = genome_sets(args.genomes[0], split="dev", seeds=args.seeds, n_reads=50)
    rows = read_rows(args.output)
    had = {(row["change"], row["seed"], row["steps"]) for row in rows}
    for draw, seed in enumerate(args.seeds):
        for name in args.changes:
            steps = CHANGES[name].training.get("n_steps", args.steps)
            row = {"change": name, "seed": str(seed), "steps": str(steps)}
            if tuple(row.values()) in had:
                continue
            start = perf_counter()
            how: dict[str, Any] = {"seed": seed, "steps": args.steps, "teacher": args.teacher}
            backbone = train(store, genera, CHANGES[name], **how)
            row["seconds"] = f"{perf_counter() - start:.0f}"
            row |= scores_of(backbone, {each: reads[draw] for each, reads in sets.items()})
            rows.append(row)
            write_rows(args.output, COLUMNS, rows)
            beside = args.output.with_name(f"{args.output.stem}_means.csv")
            write_rows(beside, ("change", "seeds", *_SHOWN.values()), means(rows))
            print(*row.values(), sep=" | ", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
