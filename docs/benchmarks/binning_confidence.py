"""Fit and check the confidence of bins: ``python docs/benchmarks/binning_confidence.py GENOMES``.

Bins communities of ``binning_coverage.py``, made of the training genomes of the bundled model, with
coverage in 0 to 10 samples, and fits a logistic function of what `dnaembed.species.bin_confidence`
looks at to whether a contig is of the species that most of its bin is of. Prints its numbers, the
"bins" of the model's ``same_species.json``, and writes how often contigs of each confidence were
right, in communities of genomes with split dev.
"""

from itertools import pairwise
from pathlib import Path

import numpy as np
from _shared import arguments, write_rows
from binning_coverage import community, coverages
from decisions import calibration_error
from sklearn.linear_model import LogisticRegression

from dnaembed import DNABertSEmbedder, SpeciesClusterer
from dnaembed.species import bin_contigs
from dnaembed.species._bins import confidence_features
from dnaembed.training import list_genomes

COLUMNS = ("confidence", "right", "contigs")
_NOISES = (0.0, 0.25)
_EDGES = (0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 1.01)


def contigs_of(genomes, split, seeds, model):
    """Return features of binned contigs, and whether each is of the main species of its bin."""
    records = [r for r in list_genomes(genomes, split=split) if r.domain == "bacteria"]
    features, right = [], []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        contigs, truth = community(records, 60, rng)
        lengths = np.array([len(contig) for contig in contigs])
        rows = DNABertSEmbedder(model, cache=None).fit_transform(contigs)
        table = coverages(truth, lengths, 10, rng)
        codes = np.unique(truth, return_inverse=True)[1]
        for noise in _NOISES:
            noisy = table * np.exp(rng.normal(0, noise, table.shape))
            for n in (0, 1, 3, 5, 10):
                bins = bin_contigs(
                    contigs,
                    SpeciesClusterer(random_state=0),
                    embeddings=rows,
                    abundance=noisy[:, :n] if n else None,
                )
                bases = np.zeros((bins.max() + 1, codes.max() + 1))
                binned = np.flatnonzero(bins >= 0)
                np.add.at(bases, (bins[binned], codes[binned]), lengths[binned])
                for block, odds in confidence_features(rows, bins, lengths, model):
                    features.append(np.column_stack([odds, np.full(len(block), np.log1p(n))]))
                    right.append(codes[block] == bases.argmax(axis=1)[bins[block]])
    return np.concatenate(features), np.concatenate(right)


def main(argv=None):
    """Fit, check and print."""
    parser = arguments(
        __doc__,
        ("genomes", {"help": "folder of genomes with a catalogue"}),
        ("-o --output", {"default": "docs/results/binning_confidence.csv", "help": "CSV file"}),
        ("--seeds", {"type": int, "nargs": "+", "default": [0, 1, 2]}),
        ("--model", {"default": "default", "help": "a bundled model"}),
    )
    args = parser.parse_args(argv)
    fit = LogisticRegression(C=1e4, max_iter=1000)
    fit.fit(*contigs_of(args.genomes, "train", args.seeds, args.model))
    print("weights", fit.coef_[0].round(2).tolist(), "at 0", round(fit.intercept_[0], 2))
    features, right = contigs_of(args.genomes, "dev", args.seeds, args.model)
    confidence = fit.predict_proba(features)[:, 1]
    print("calibration error", round(calibration_error(confidence, right), 3))
    rows = []
    for low, high in pairwise(_EDGES):
        some = (confidence >= low) & (confidence < high)
        values = (f"{confidence[some].mean():.3f}", f"{right[some].mean():.3f}", some.sum())
        rows.append(dict(zip(COLUMNS, values, strict=True)))
    write_rows(Path(args.output), COLUMNS, rows)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
