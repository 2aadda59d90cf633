"""Bins with coverage in 0 to 10 samples: ``python docs/benchmarks/binning_coverage.py GENOMES``.

A community is contigs of log-normal lengths (median 5 kb, 1 to 50 kb), cut from one genome of each
of 60 bacterial species of a folder of genomes. Coverage is log-normal over species and over
samples, with the noise of mapping, and once more with a further 0.25 in its logarithm. A genome
counts as recovered if a bin that is mostly of it holds more than 50, 70 or 90 % of its bases, and
less than 10 % of others; contigs in no bin are lost. Writes the table of the guide's page on bins.
"""

from pathlib import Path

import numpy as np
from _shared import arguments, write_rows

from dnaembed import DNABertSEmbedder, SpeciesClusterer
from dnaembed.io import read_sequences
from dnaembed.species import bin_contigs
from dnaembed.training import list_genomes

COLUMNS = ("seed", "samples", "added noise", ">50 %", ">70 %", ">90 %", "bins", "binned")
_SAMPLES = (0, 1, 3, 5, 10)
_ADDED_NOISE = 0.25


def community(records, n_species, rng):
    """Return contigs in random order, and the species of each."""
    species = sorted({record.label for record in records})
    contigs = []
    for name in rng.choice(species, min(n_species, len(species)), replace=False):
        own = [record for record in records if record.label == name]
        for sequence in read_sequences(own[rng.integers(len(own))].path)[1]:
            start = 0
            while len(sequence) - start >= 1000:
                length = int(np.clip(rng.lognormal(np.log(5000), 0.8), 1000, 50_000))
                contigs.append((sequence[start : start + length], name))
                start += length
    drawn = [contigs[i] for i in rng.permutation(len(contigs))]
    return [contig for contig, _ in drawn], np.array([name for _, name in drawn])


def coverages(truth, lengths, n_samples, rng):
    """Draw mean coverages as mapped reads of 150 bp give them."""
    codes = np.unique(truth, return_inverse=True)[1]
    logs = rng.normal(np.log(8), 1, (codes.max() + 1, 1))
    logs = logs + rng.normal(0, 1, (codes.max() + 1, n_samples))
    means = np.clip(np.exp(logs), 0.05, 300)[codes]
    means *= np.exp(rng.normal(0, 0.08, (len(codes), 1)) + rng.normal(0, 0.05, means.shape))
    windows = 10 * lengths[:, None] / 100  # counts of 100-bp windows are overdispersed
    expected = means * lengths[:, None] / 150 * rng.gamma(windows, 1 / windows, means.shape)
    return rng.poisson(expected) * 150 / lengths[:, None]


def recovered(truth, bins, lengths):
    """Count the genomes of which more than 50, 70 and 90 % of the bases are in a pure bin."""
    codes = np.unique(truth, return_inverse=True)[1]
    bases = np.zeros((bins.max() + 1, codes.max() + 1))
    np.add.at(bases, (bins[bins >= 0], codes[bins >= 0]), lengths[bins >= 0])
    main = bases.argmax(axis=1)
    completeness = bases.max(axis=1) / np.bincount(codes, weights=lengths)[main]
    is_pure = 1 - bases.max(axis=1) / bases.sum(axis=1) < 0.1
    return [len(set(main[is_pure & (completeness > least)])) for least in (0.5, 0.7, 0.9)]


def run(genomes, split, seeds, n_species, model):
    """Yield a row of the table for each community and number of samples."""
    records = [r for r in list_genomes(genomes, split=split) if r.domain == "bacteria"]
    for seed in seeds:
        rng = np.random.default_rng(seed)
        contigs, truth = community(records, n_species, rng)
        lengths = np.array([len(contig) for contig in contigs])
        rows = DNABertSEmbedder(model, cache=None).fit_transform(contigs)
        table = coverages(truth, lengths, max(_SAMPLES), rng)
        noisy = table * np.exp(rng.normal(0, _ADDED_NOISE, table.shape))
        for noise, abundance in ((0.0, table), (_ADDED_NOISE, noisy)):
            for n_samples in _SAMPLES:
                if noise and not n_samples:
                    continue
                bins = bin_contigs(
                    contigs,
                    SpeciesClusterer(random_state=0),
                    embeddings=rows,
                    abundance=abundance[:, :n_samples] if n_samples else None,
                )
                share = lengths[bins >= 0].sum() / lengths.sum()
                values = [*recovered(truth, bins, lengths), bins.max() + 1, f"{share:.3f}"]
                yield dict(zip(COLUMNS, [seed, n_samples, noise, *values], strict=True))


def main(argv=None):
    """Measure, and write the table."""
    parser = arguments(
        __doc__,
        ("genomes", {"help": "folder of genomes with a catalogue"}),
        ("--split", {"default": "dev", "help": "of the catalogue"}),
        ("-o --output", {"default": "docs/results/binning_coverage.csv", "help": "CSV file"}),
        ("--seeds", {"type": int, "nargs": "+", "default": [0, 1, 2]}),
        ("--species", {"type": int, "default": 60}),
        ("--model", {"default": "default", "help": "a bundled model"}),
    )
    args = parser.parse_args(argv)
    rows = run(args.genomes, args.split, args.seeds, args.species, args.model)
    write_rows(Path(args.output), COLUMNS, list(rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
