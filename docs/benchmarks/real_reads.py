"""What real sequencing errors cost: reads as sequenced, beside error-free pieces of their genomes.

``python docs/benchmarks/real_reads.py READS LABELS GENOMES -o docs/results/real_reads.csv``

The labels have the columns ``read_id``, ``species`` and ``technology``; GENOMES is a folder with a
catalogue. Each read is replaced by a piece of its species' genome of the same length: without
errors, and with the errors that training draws, at the rate that the read's own 16-mers tell.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
from _shared import arguments, write_rows
from sklearn.utils import Bunch

from dnaembed import KmerEmbedder, reverse_complement
from dnaembed.benchmark import BenchmarkResult, benchmark
from dnaembed.io import read_sequences
from dnaembed.training import add_errors, list_genomes

_K = 16
_LEAST_READS = 20  # of a species
SHOTS = (1, 2, 5, 10)
SCORES = {"ari": "K-means ARI"} | {f"f1@{n}": f"F1, {n} read{'s' * (n > 1)}" for n in SHOTS}
COLUMNS = ("set", "embedder", "reads", *SCORES.values())


def kmers(sequence: str) -> set[str]:
    """Return the 16-mers of both strands."""
    strands = (sequence, reverse_complement(sequence))
    return {s[i : i + _K] for s in strands for i in range(len(s) - _K + 1)}


def error_rate(reads: list[str], known: set[str]) -> float:
    """Estimate errors per base: a 16-mer is found in the genome if it has none.

    Reads of which less than a hundredth is found are of another place; they say nothing.
    """
    shares = []
    for read in reads:
        found = [read[i : i + _K] in known for i in range(0, len(read) - _K + 1, 4)]
        if found and np.mean(found) > 0.01:
            shares.append(np.mean(found))
    return float(1 - np.median(shares) ** (1 / _K)) if shares else float("nan")


def pieces(genome: list[str], lengths: list[int], rng: np.random.Generator) -> list[str]:
    """Cut pieces of given lengths at random places, in contigs that are long enough."""
    longest = max(genome, key=len)
    found = []
    for length in lengths:
        long = [contig for contig in genome if len(contig) >= length] or [longest]
        sizes = np.array(list(map(len, long)))
        contig = long[rng.choice(len(long), p=sizes / sizes.sum())]
        start = int(rng.integers(0, max(1, len(contig) - length + 1)))
        piece = contig[start : start + length]
        found.append(piece if rng.random() < 0.5 else reverse_complement(piece))
    return found


def scores_of(result: BenchmarkResult, embedder: str, name: str) -> dict[str, str]:
    """Return the mean of each score of an embedder on a set, "" for one that was not made."""
    protocols = {score: "clustering" if score == "ari" else "few_shot" for score in SCORES}
    means = {s: result.mean(embedder, name, f"{protocol} {s}") for s, protocol in protocols.items()}
    return {SCORES[s]: "" if np.isnan(mean) else f"{mean:.3f}" for s, mean in means.items()}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and write one row for each set, variant, embedder and score."""
    parser = arguments(__doc__, output="table of scores")
    for name in ("reads", "labels", "genomes"):
        parser.add_argument(name, type=Path)
    args = parser.parse_args(argv)
    with args.labels.open(newline="", encoding="utf-8") as file:
        told = {row["read_id"]: row for row in csv.DictReader(file, delimiter="\t")}
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name, read in zip(*read_sequences(args.reads), strict=True):
        groups[told[name]["species"], told[name]["technology"]].append(read)
    genomes: dict[str, list[str]] = {}
    for record in list_genomes(args.genomes):
        for label in (record.label, record.lineage.get("species", "")):
            if label not in genomes and any(label == species for species, _ in groups):
                genomes[label] = read_sequences(record.path)[1]
    groups = {k: v for k, v in groups.items() if k[0] in genomes and len(v) >= _LEAST_READS}
    rng = np.random.default_rng(0)
    variants: dict[str, dict[tuple[str, str], list[str]]] = {"real": groups}
    variants |= {"error-free": {}, "errors as in training": {}}
    for (species, technology), reads in sorted(groups.items()):
        known = set().union(*map(kmers, genomes[species]))
        rate = error_rate(reads, known)
        clean = pieces(genomes[species], [len(read) for read in reads], rng)
        variants["error-free"][species, technology] = clean
        noisy = add_errors(clean, np.nan_to_num(rate), random_state=0)
        variants["errors as in training"][species, technology] = noisy
        print(f"{species}, {technology}: {len(reads)} reads, {rate:.3f} errors per base")
    by_technology = defaultdict(list)
    for group in sorted(groups):
        by_technology[group[1]].append(group)
    sets = {name: which for name, which in by_technology.items() if len(which) >= 5}
    sets["all technologies"] = sorted(groups)
    embedders = {"raw TNF": KmerEmbedder(method="raw"), "canonical TNF": KmerEmbedder()}
    embedders["bundled model"] = "default"
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for variant, held in variants.items():
        bunches = {
            name: Bunch(
                sequences=[read for group in which for read in held[group]],
                labels=np.array([group[0] for group in which for _ in held[group]]),
            )
            for name, which in sets.items()
        }
        result = benchmark(
            bunches, embedders, protocols=["clustering", "few_shot"], shots=SHOTS, n_repeats=5
        )
        for name, embedder in product(sets, embedders):
            key = (name, embedder, variant)
            rows[key] = dict(zip(COLUMNS, key, strict=False)) | scores_of(result, embedder, name)
    write_rows(args.output, COLUMNS, [rows[key] for key in sorted(rows)])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
