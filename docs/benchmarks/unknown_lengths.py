"""Reads of other lengths than the labelled ones: how many of known and of new species are unknown.

``python docs/benchmarks/unknown_lengths.py GENOMES -o docs/results/unknown_lengths.csv`` labels 5
reads per species of half of the genera of split ``dev``, and calls reads of all of them, with
distances corrected by length, as they are where sequences are given, and without.
"""

from itertools import product
from pathlib import Path

import numpy as np
from _shared import arguments, write_rows
from decisions import held_out

from dnaembed import DNABertSEmbedder, FewShotSpeciesClassifier
from dnaembed.datasets._species import make_species_dataset, read_genomes
from dnaembed.species._inputs import Embedded, lengths_of

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
    embedded = {
        name: Embedded(embedder.fit_transform(own.sequences), lengths_of(own.sequences))
        for name, own in reads.items()
    }
    rows = []
    for (labelled, called), corrected in product(product(reads, reads), (True, False)):
        source = embedder._made_by if corrected else None

        def given(name, which, source=source):
            return Embedded(*(column[which] for column in embedded[name][:2]), source)

        y, test_y, found = reads[labelled].labels, reads[called].labels, []
        for seed in _SEEDS:
            new = held_out(reads[labelled].lineage["genus"], 0.5, seed)
            order = np.random.default_rng(seed).permutation(np.flatnonzero(~new))
            known = np.concatenate([order[y[order] == name][:_SHOTS] for name in set(y[~new])])
            some = np.setdiff1d(np.arange(len(test_y)), known)
            classifier = FewShotSpeciesClassifier(unknown="unknown").fit(
                given(labelled, known), y[known]
            )
            unknown = classifier.predict(given(called, some)) == "unknown"
            is_new = ~np.isin(test_y[some], y[known])
            found.append((unknown[~is_new].mean(), unknown[is_new].mean()))
        values = (f"{share:.3f}" for share in np.mean(found, axis=0))
        key = [labelled, called, "yes" if corrected else "no"]
        rows.append(dict(zip(COLUMNS, [*key, *values], strict=True)))
        print(*rows[-1].values())
    write_rows(Path(args.output), COLUMNS, rows)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
