"""Fit and check P(same species | cosine, lengths): ``python docs/benchmarks/same_species.py``.

``same_species.py GENOMES`` draws sequences of 500 bp to 50 kb, log-uniform, from each label of the
training genomes, pairs them within labels and, as often, between labels of a domain, and fits the
numbers of `dnaembed.species.same_species_probability` to bacteria and archaea. It writes how often
pairs of each probability were of one species, in genomes of split dev, and draws a reliability
diagram. ``--write`` puts the numbers into the folders of the models.
"""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
from _shared import arguments, write_rows
from decisions import calibration_error
from matplotlib.figure import Figure
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

import dnaembed
from dnaembed import DNABertSEmbedder
from dnaembed.backbones import shared_backbone
from dnaembed.io import read_sequences
from dnaembed.species._bins import log_odds
from dnaembed.training import list_genomes
from dnaembed.utils._rows import unit_length

COLUMNS = ("model", "domain", "shorter", "probability", "same species", "pairs", "error")
MODELS = ("kmer-profile-1", "kmer-profile-2")
_READS, _PAIRS = {"train": 24, "dev": 60}, {"train": 40, "dev": 100}  # of each label
_SHORTEST, _LONGEST = 500, 50_000
_NUMBERS = ("at_zero", "cosine", "log_length")
_FITTED = ("bacteria", "archaea")
_EDGES = (0, 0.02, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.98, 1.01)
_LENGTHS = (500, 1000, 2000, 5000, 10_000, 50_001)


def draw(genomes, split, rng):
    """Return sequences of each label, and their domains and labels."""
    pieces = {}
    for record in list_genomes(genomes, split=split):
        own = [piece for piece in read_sequences(record.path)[1] if len(piece) >= 2 * _SHORTEST]
        pieces.setdefault((record.domain, record.label), []).extend(own)
    sequences, names = [], []
    for name, own in pieces.items():
        bases = np.array([len(piece) for piece in own], dtype=float)
        for i in rng.choice(len(own), _READS[split] if own else 0, p=bases / bases.sum()):
            length = int(np.exp(rng.uniform(np.log(_SHORTEST), np.log(_LONGEST))))
            start = rng.integers(max(len(own[i]) - length, 0) + 1)
            sequences.append(own[i][start : start + length])
            names.append(name)
    return sequences, names


def pairs(names, n_pairs, rng):
    """Return places of the first and the second of pairs, whether one species, and domains."""
    members = {name: [] for name in names}
    for place, name in enumerate(names):
        members[name].append(place)
    found = []
    for name, own in members.items():
        others = [other for other in members if other[0] == name[0] and other != name]
        for _ in range(n_pairs if others else 0):
            found.append((*rng.choice(own, 2, replace=False), True, name[0]))
            other = members[others[rng.integers(len(others))]]
            found.append((rng.choice(own), rng.choice(other), False, name[0]))
    return [np.array(column) for column in zip(*found, strict=True)]


def main(argv=None):
    """Fit, check, write."""
    parser = arguments(
        __doc__,
        ("genomes", {"help": "folder of genomes with a catalogue"}),
        ("-o --output", {"default": "docs/results/same_species.csv", "help": "CSV file"}),
        ("--write", {"action": "store_true", "help": "put the numbers into the models"}),
    )
    args = parser.parse_args(argv)
    rng, data = np.random.default_rng(0), {}
    for split in _READS:
        sequences, names = draw(args.genomes, split, rng)
        lengths = np.array([len(sequence) for sequence in sequences])
        data[split] = sequences, lengths, pairs(names, _PAIRS[split], rng)
    rows, figure = [], Figure(figsize=(5, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for model in MODELS:
        parts = {}
        for split, (sequences, lengths, (a, b, same, domains)) in data.items():
            unit = unit_length(DNABertSEmbedder(model, cache=None).fit_transform(sequences))
            cosines = np.einsum("ij,ij->i", unit[a], unit[b]).astype(float)
            parts[split] = cosines, lengths[a], lengths[b], same, domains
        cosines, *sizes, same, domains = parts["train"]
        fit = np.isin(domains, _FITTED)
        only_size = dict(zip(_NUMBERS, (0, 0, 1), strict=True))
        terms = np.stack([cosines, log_odds(only_size, 0, *sizes)], axis=1)
        found = LogisticRegression(C=1e4).fit(terms[fit], same[fit])
        values = [*found.intercept_, *found.coef_[0]]
        numbers = {n: round(float(v), 2) for n, v in zip(_NUMBERS, values, strict=True)}
        print(model, numbers)
        if args.write:
            file = Path(dnaembed.__file__).parent / "models" / model / "same_species.json"
            fields = json.loads(file.read_text()) if file.exists() else {}
            fields |= {"fingerprint": shared_backbone(model).fingerprint(), **numbers}
            file.write_text(json.dumps(fields, indent=2) + "\n")
        cosines, *sizes, same, domains = parts["dev"]
        probability, shorter = expit(log_odds(numbers, cosines, *sizes)), np.minimum(*sizes)

        def add(some, domain, size, model=model, probability=probability, same=same):
            error = calibration_error(probability[some], same[some])
            edges = pairwise(_EDGES) if size == "all" else [(0, 1.01)]
            for low, high in edges:
                own = some & (probability >= low) & (probability < high)
                means = [f"{x[own].mean():.3f}" for x in (probability, same)]
                values = (model, domain, size, *means, own.sum(), f"{error:.3f}")
                rows.append(dict(zip(COLUMNS, values, strict=True)))

        fitted = np.isin(domains, _FITTED)
        add(fitted, "bacteria", "all")
        shown = [[float(row[c]) for c in COLUMNS[3:5]] for row in rows[-len(_EDGES) + 1 :]]
        axes.plot(*zip(*shown, strict=True), marker="o", label=model)
        for low, high in pairwise(_LENGTHS):
            add(fitted & (shorter >= low) & (shorter < high), "bacteria", f"{low} to {high - 1}")
        for domain in ("virus", "organelle"):
            add(domains == domain, domain, "all")
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":")
    axes.set(xlabel="probability", ylabel="share of pairs of one species")
    axes.legend()
    output = Path(args.output)
    write_rows(output, COLUMNS, rows)
    figure.savefig(output.with_suffix(".png"), dpi=100)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
