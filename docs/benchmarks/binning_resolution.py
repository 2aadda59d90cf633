"""Does the default resolution suit any community: ``python docs/benchmarks/binning_resolution.py``.

``binning_resolution.py GENOMES`` bins communities of 1 to 200 species, without coverage: `large`
has whole genomes (about 250 contigs each), `small` 10 to 30 contigs each, `mixed` one large genome
in ten, and `reads` 10,000 reads of 2.5 to 10 kb, many times over each genome. Counts as
``binning_coverage.py`` does, beside the best of a range of fixed resolutions, which nobody knows
beforehand. Writes the table of the guide's page on bins.

``--files FOLDER`` writes 100,000 contigs of all species with coverage in 10 samples instead, as
``contigs.fasta``, ``depth.tsv`` and ``truth.tsv``, to time ``dnaembed bin`` with; ``--score BINS``
counts the genomes in its bins.
"""

from pathlib import Path

import numpy as np
from _shared import arguments, write_rows
from binning_coverage import coverages, recovered

from dnaembed import DNABertSEmbedder, SpeciesClusterer
from dnaembed.io import read_labels, read_sequences
from dnaembed.species._graph import Sizes, communities, neighbor_graph, without_strays
from dnaembed.species._neighbors import nearest_neighbors
from dnaembed.training import list_genomes
from dnaembed.utils._rows import unit_length

COLUMNS = ("kind", "species", "seed", "contigs", "rule", ">50 %", ">70 %", ">90 %", "bins")
_KINDS = {
    "small": (20, 50, 200),
    "mixed": (20, 50, 200),
    "reads": (2, 10, 50),
    "large": (1, 2, 5, 10, 20, 50, 200),
}
_READS = 10_000
# Contigs per unit of a fixed resolution.
_FIXED = (60, 125, 250, 500, 1000, 2000, 4000, 8000, 16_000)
_MANY, _SAMPLES = 100_000, 10


def contigs_of(paths, rng, *, shortest=2500, median=4000, sigma=0.5):
    """Cut genomes into contigs of log-normal lengths, without overlap."""
    contigs = []
    for path in paths:
        for sequence in read_sequences(path)[1]:
            start = 0
            while len(sequence) - start >= shortest:
                length = int(np.clip(rng.lognormal(np.log(median), sigma), shortest, 50_000))
                contigs.append(sequence[start : start + length])
                start += length
    return [contig for contig in contigs if len(contig) >= shortest]


def reads_of(paths, n_reads, rng):
    """Draw reads that may overlap."""
    pieces = [p for path in paths for p in read_sequences(path)[1] if len(p) >= 2500]
    bases = np.array([len(piece) for piece in pieces])
    reads = []
    for i in rng.choice(len(pieces), n_reads, p=bases / bases.sum()):
        length = min(bases[i], int(np.exp(rng.uniform(np.log(2500), np.log(10_000)))))
        start = rng.integers(bases[i] - length + 1)
        reads.append(pieces[i][start : start + length])
    return reads


def community(species, kind, n_species, rng):
    """Return the contigs of some species, and the species of each."""
    contigs, truth = [], []
    for i, name in enumerate(rng.choice(sorted(species), n_species, replace=False)):
        if kind == "reads":
            own = reads_of(species[name], _READS // n_species, rng)
        else:
            own = contigs_of(species[name], rng)
            if kind == "small" or (kind == "mixed" and i >= n_species // 10):
                own = [own[j] for j in rng.permutation(len(own))[: rng.integers(10, 31)]]
        contigs += own
        truth += [name] * len(own)
    return contigs, np.array(truth)


def measure(species, seeds, model):
    """Yield a row of the table for each community: of the default, and of the best resolution."""
    for seed in seeds:
        for kind, n_species in ((kind, n) for kind, sizes in _KINDS.items() for n in sizes):
            if n_species > len(species):
                continue
            contigs, truth = community(species, kind, n_species, np.random.default_rng(seed))
            lengths = np.array([len(contig) for contig in contigs])
            rows = unit_length(DNABertSEmbedder(model, cache=None).fit_transform(contigs))
            found = {"default": SpeciesClusterer(random_state=0).fit(rows, lengths=lengths).labels_}
            # As fits with these resolutions do, from one search for neighbours.
            sizes = Sizes.of(len(rows), "auto", 200_000, lengths)
            graph = neighbor_graph(*nearest_neighbors(rows, 15))
            for n in _FIXED:
                bins = sizes.ranked(communities(graph, len(rows) / n, 0))
                found[n] = without_strays(rows, bins, sizes)
            counts = {
                rule: [*recovered(truth, bins, lengths), bins.max() + 1]
                if bins.max() >= 0
                else [0] * 4
                for rule, bins in found.items()
            }
            best = max(_FIXED, key=lambda n, counts=counts: (sum(counts[n][:3]), -counts[n][3]))
            for rule, key in (("default", "default"), ("best", best)):
                values = (kind, n_species, seed, len(rows), rule, *counts[key])
                yield dict(zip(COLUMNS, values, strict=True))


def write_files(species, folder):
    """Write many contigs, their coverages, and their species."""
    rng = np.random.default_rng(0)
    found = {name: contigs_of(paths[:1], rng, shortest=1000, median=3300, sigma=0.8)
             for name, paths in species.items()}  # fmt: skip
    contigs = [contig for own in found.values() for contig in own]
    truth = np.repeat(list(found), list(map(len, found.values())))
    drawn = rng.permutation(len(contigs))[:_MANY]
    lengths = np.array([len(contigs[i]) for i in drawn])
    table = coverages(truth[drawn], lengths, _SAMPLES, rng)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "contigs.fasta").open("w") as file:
        file.writelines(f">c{i}\n{contigs[i]}\n" for i in drawn)
    with (folder / "depth.tsv").open("w") as file:
        file.write("contig" + "".join(f"\tsample_{i}" for i in range(_SAMPLES)) + "\n")
        for i, row in zip(drawn, table, strict=True):
            file.write(f"c{i}\t" + "\t".join(f"{depth:.4f}" for depth in row) + "\n")
    with (folder / "truth.tsv").open("w") as file:
        file.writelines(f"c{i}\t{truth[i]}\n" for i in drawn)


def score_files(folder, bins):
    """Count the genomes in bins of the contigs that `write_files` wrote."""
    ids, contigs = read_sequences(folder / "contigs.fasta")
    truth, found = read_labels(folder / "truth.tsv"), read_labels(bins / "contigs.tsv")
    labels = np.array([int(found[i]) for i in ids])
    lengths = np.array([len(contig) for contig in contigs])
    print(recovered(np.array([truth[i] for i in ids]), labels, lengths), labels.max() + 1, "bins")


def main(argv=None):
    """Measure, and write the table; or write files to time the command with."""
    parser = arguments(
        __doc__,
        ("genomes", {"help": "folder of genomes with a catalogue"}),
        ("--splits", {"nargs": "+", "default": ["train", "dev"], "help": "of the catalogue"}),
        ("-o --output", {"default": "docs/results/binning_resolution.csv", "help": "CSV file"}),
        ("--seeds", {"type": int, "nargs": "+", "default": [0, 1, 2]}),
        ("--model", {"default": "default", "help": "a bundled model"}),
        ("--files", {"type": Path, "help": "folder for many contigs with coverage"}),
        ("--score", {"type": Path, "help": "folder of bins of the contigs in --files"}),
    )
    args = parser.parse_args(argv)
    species = {}
    for record in [r for split in args.splits for r in list_genomes(args.genomes, split=split)]:
        if record.domain in ("bacteria", "archaea", "fungi"):
            species.setdefault(record.label, []).append(record.path)
    if args.score:
        score_files(args.files, args.score)
    elif args.files:
        write_files(species, args.files)
    else:
        rows = []
        for row in measure(species, args.seeds, args.model):
            rows.append(row)
            write_rows(Path(args.output), COLUMNS, rows)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
