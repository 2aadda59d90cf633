"""Reads of other lengths than the labelled ones: how many of known and of new species are unknown.

``python docs/benchmarks/unknown_lengths.py GENOMES -o docs/results/unknown_lengths.csv`` labels 5
reads per species of half of the genera of split ``dev``, and calls reads of all of them, given
as sequences, so that distances are corrected by length, and as embeddings, so that they are not.
"""

from pathlib import Path

import numpy as np
from _shared import arguments, write_rows
from decisions import held_out

from dnaembed import DNABertSEmbedder, FewShotSpeciesClassifier
from dnaembed.datasets._species import make_species_dataset, read_genomes

LENGTHS = {"8-10 kb": (8000, 10_000), "2.5-10 kb": (2500, 10_000), "0.8-1.5 kb": (800, 1500)}
COLUMNS = ("labelled", "called", "corrected", "known called unknown", "new called unknown")
_SHOTS, _SEEDS = 5, (0, 1, 2)


def main(argv=None):
    """Measure, and write the table."""
    parser = arguments(__doc__, ("genomes", {"help": "folder with a catalogue"}), output="CSV file")
    args = parser.parse_args(argv)
    genomes = [g for g in read_genomes(args.genomes, split="dev") if g.domain == "bacteria"]
    embedder = DNABertSEmbedder(cache=None)
    reads = {
        name: make_species_dataset(genomes, n_reads=40, min_reads=10, length=size, random_state=1)
        for name, size in LENGTHS.items()
    }
    embedded = {name: embedder.fit_transform(own.sequences) for name, own in reads.items()}
    rows = []
    for labelled, train in reads.items():
        for called, test in reads.items():
            shares = {True: [], False: []}
            for seed in _SEEDS:
                new = held_out(train.lineage["genus"], 0.5, seed)
                order = np.random.default_rng(seed).permutation(np.flatnonzero(~new))
                known = np.concatenate(
                    [
                        order[train.labels[order] == name][:_SHOTS]
                        for name in set(train.labels[~new])
                    ]
                )
                some = np.setdiff1d(np.arange(len(test.labels)), known)
                is_new = ~np.isin(test.labels[some], train.labels[known])
                for corrected, found in shares.items():
                    classifier = FewShotSpeciesClassifier(embedder, unknown="unknown")
                    if corrected:
                        classifier.fit([train.sequences[i] for i in known], train.labels[known])
                        calls = classifier.predict([test.sequences[i] for i in some])
                    else:
                        classifier.fit(embedded[labelled][known], train.labels[known])
                        calls = classifier.predict(embedded[called][some])
                    unknown = calls == "unknown"
                    found.append((unknown[~is_new].mean(), unknown[is_new].mean()))
            for corrected, found in shares.items():
                values = (f"{share:.3f}" for share in np.mean(found, axis=0))
                key = [labelled, called, "yes" if corrected else "no"]
                rows.append(dict(zip(COLUMNS, [*key, *values], strict=True)))
                print(*rows[-1].values())
    write_rows(Path(args.output), COLUMNS, rows)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
