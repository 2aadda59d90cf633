"""The table of models: ``python docs/benchmarks/models.py GENOMES NAME=MODEL ...``.

Each model, a bundled name or a folder, gets a row for each set of the results page, for the reads
of the mock community (``--real READS LABELS``) and for fungi and protists (``--eukaryotes FOLDER``,
with a catalogue as GENOMES has). Rows of other models in the table stay.
"""

import csv
import sys
from pathlib import Path

import numpy as np
from _shared import arguments, read_rows, write_rows
from real_reads import SCORES, SHOTS, scores_of
from results import SetRecipe, genome_sets
from sklearn.utils import Bunch

from dnaembed import DNABertSEmbedder, KmerEmbedder
from dnaembed.benchmark import benchmark
from dnaembed.io import read_sequences

COLUMNS = ("model", "reads", *SCORES.values())
NAMES = {
    "clean": "clean",
    "errors": "5 % errors",
    "short": "0.8-1.5 kb",
    "viruses": "viruses",
    "organelles": "organelles",
    "eukaryotes": "fungi and protists",
    "real": "real, mock community",
}
_EUKARYOTES = SetRecipe(("fungi", "protist"), (2000, 10_000))


def real_reads(reads, labels):
    """Return the reads of a mock community as one set."""
    with Path(labels).open(newline="", encoding="utf-8") as file:
        species = {row["read_id"]: row["species"] for row in csv.DictReader(file, delimiter="\t")}
    ids, sequences = read_sequences(reads)
    own = [i for i, name in enumerate(ids) if name.startswith("zymo")]
    known = np.array([species[ids[i]] for i in own])
    return [Bunch(sequences=[sequences[i] for i in own], labels=known)]


def main(argv=None):
    """Score, and write the table after each model."""
    parser = arguments(__doc__)
    parser.add_argument("genomes", help="folder with a catalog.tsv")
    parser.add_argument("models", nargs="+", metavar="NAME=MODEL", help="MODEL may be raw-TNF")
    parser.add_argument("--real", nargs=2, metavar=("READS", "LABELS"))
    parser.add_argument("--eukaryotes", metavar="FOLDER")
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/results/model_search.csv"))
    args = parser.parse_args(argv)
    sets = genome_sets(args.genomes)
    if args.eukaryotes:
        sets |= genome_sets(args.eukaryotes, recipes={"eukaryotes": _EUKARYOTES})
    if args.real:
        sets["real"] = real_reads(*args.real)
    for item in args.models:
        name, _, model = item.partition("=")
        embedder = KmerEmbedder(method="raw") if model == "raw-TNF" else DNABertSEmbedder(model)
        result = benchmark(
            sets, {name: embedder}, protocols=["clustering", "few_shot"],
            shots=SHOTS, n_repeats=4,
        )  # fmt: skip
        rows = [row for row in read_rows(args.output) if row["model"] != name]
        for each in sets:
            row = {"model": name, "reads": NAMES[each]} | scores_of(result, name, each)
            rows.append(row)
            print(*row.values(), sep=" | ")
        write_rows(args.output, COLUMNS, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
