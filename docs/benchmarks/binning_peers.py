"""Bins beside those of other tools: ``python docs/benchmarks/binning_peers.py GENOMES``.

Runs dnaembed, MetaBAT 2 and SemiBin 2 with their default settings on the communities of
``binning_coverage.py``, and counts genomes in the same way. SemiBin 2 uses its "global" model with
one sample, and trains a model on the contigs with more; it has no way without coverage. A tool that
is not installed is left out. Rows that the table has already are kept: delete it to start afresh.
"""

import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from _shared import arguments, read_rows, write_rows
from binning_coverage import community, coverages, recovered

from dnaembed import DNABertSEmbedder, SpeciesClusterer
from dnaembed.io import read_sequences
from dnaembed.species import bin_contigs
from dnaembed.training import list_genomes

COLUMNS = ("seed", "samples", "tool", ">50 %", ">70 %", ">90 %", "bins", "binned", "seconds")


def dnaembed(contigs, depth, halves, folder, tools):
    """Bin by this package; return the bin of each contig."""
    rows = DNABertSEmbedder(tools["model"], cache=None).fit_transform(contigs)
    abundance = depth if depth.shape[1] else None
    return bin_contigs(
        contigs, SpeciesClusterer(random_state=0), embeddings=rows, abundance=abundance
    )


def metabat(contigs, depth, halves, folder, tools):
    """Bin by MetaBAT 2."""
    if not tools["metabat2"]:
        return None
    table = write_depths(folder, contigs, depth)
    argv = [tools["metabat2"], "-i", folder / "contigs.fa", "-o", folder / "bin", "--seed", "1"]
    argv += ["-t", tools["threads"]] + (["-a", table] if depth.shape[1] else [])
    subprocess.run(argv, check=True, capture_output=True)
    return bins_of(folder.glob("bin.*.fa"), len(contigs))


def semibin(contigs, depth, halves, folder, tools):
    """Bin by SemiBin 2."""
    if not tools["SemiBin2"] or not depth.shape[1]:
        return None
    argv = [tools["SemiBin2"], "single_easy_bin", "-i", folder / "contigs.fa", "-o", folder / "out"]
    argv += ["--compression", "none", "-t", tools["threads"], "--random-seed", "1"]
    if depth.shape[1] == 1:
        argv += [
            "--environment",
            "global",
            "--depth-metabat2",
            write_depths(folder, contigs, depth),
        ]
    else:
        argv += ["--self-supervised", "-a"]
        for sample in range(depth.shape[1]):
            lines = [f"k{i}\t{x:.4f}" for i, x in enumerate(depth[:, sample])]
            for half in (0, 1):  # it learns from contigs cut in two
                lines += [
                    f"k{i}_{half + 1}\t{x:.4f}" for i, x in enumerate(halves[half][:, sample])
                ]
            argv.append(folder / f"sample{sample}.tsv")
            argv[-1].write_text("\n".join(lines) + "\n")
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return bins_of((folder / "out" / "output_bins").glob("*.fa"), len(contigs))


def write_depths(folder, contigs, depth):
    """Write depths as jgi_summarize_bam_contig_depths does; the variance is that of counts."""
    path = folder / "depth.txt"
    names = "".join(f"\ts{s}\ts{s}-var" for s in range(depth.shape[1]))
    lines = [f"contigName\tcontigLen\ttotalAvgDepth{names}"]
    for i, (contig, depths) in enumerate(zip(contigs, depth, strict=True)):
        values = "".join(f"\t{x:.4f}\t{x + x * x / 10:.4f}" for x in depths)
        lines.append(f"k{i}\t{len(contig)}\t{depths.sum():.4f}{values}")
    path.write_text("\n".join(lines) + "\n")
    return path


def bins_of(paths, n_contigs):
    """Return the bin of each contig from one FASTA file per bin."""
    bins = np.full(n_contigs, -1)
    for number, path in enumerate(sorted(paths)):
        bins[[int(name[1:]) for name in read_sequences(path)[0]]] = number
    return bins


def run(args):
    """Yield a row of the table for each community, number of samples and tool."""
    tools = {"metabat2": args.metabat2, "SemiBin2": args.semibin2, "model": args.model}
    tools["threads"] = args.threads
    records = [r for r in list_genomes(args.genomes, split=args.split) if r.domain == "bacteria"]
    known = read_rows(Path(args.output))
    yield from known
    had = {(row["seed"], row["samples"], row["tool"]) for row in known}
    for seed in args.seeds:
        rng = np.random.default_rng(seed)
        contigs, truth = community(records, args.species, rng)
        lengths = np.array([len(contig) for contig in contigs])
        table = coverages(truth, lengths, 10, rng)
        noise = np.sqrt(300 / lengths[:, None])  # of half a contig
        halves = [table * rng.gamma(1 / noise**2, noise**2, table.shape) for _ in range(2)]
        for n_samples in args.samples:
            for tool in (dnaembed, metabat, semibin):
                if (str(seed), str(n_samples), tool.__name__) in had:
                    continue
                with tempfile.TemporaryDirectory() as name:
                    folder = Path(name)
                    records_of = (f">k{i}\n{contig}\n" for i, contig in enumerate(contigs))
                    (folder / "contigs.fa").write_text("".join(records_of))
                    depth = table[:, :n_samples]
                    start = time.perf_counter()
                    bins = tool(contigs, depth, halves, folder, tools)
                    seconds = time.perf_counter() - start
                if bins is None:
                    continue
                share = lengths[bins >= 0].sum() / lengths.sum()
                values = [*recovered(truth, bins, lengths), bins.max() + 1, f"{share:.3f}"]
                key = [seed, n_samples, tool.__name__]
                yield dict(zip(COLUMNS, [*key, *values, f"{seconds:.0f}"], strict=True))


def main(argv=None):
    """Measure, and write the table after each run."""
    parser = arguments(
        __doc__,
        ("genomes", {"help": "folder of genomes with a catalogue"}),
        ("--split", {"default": "dev", "help": "of the catalogue"}),
        ("-o --output", {"default": "docs/results/binning_peers.csv", "help": "CSV file"}),
        ("--seeds", {"type": int, "nargs": "+", "default": [0, 1, 2]}),
        ("--samples", {"type": int, "nargs": "+", "default": [0, 1, 5, 10], "help": "to 10"}),
        ("--species", {"type": int, "default": 60}),
        ("--model", {"default": "default", "help": "a bundled model"}),
        ("--metabat2", {"help": "the program metabat2"}),
        ("--semibin2", {"help": "the program SemiBin2"}),
        ("--threads", {"default": "2", "help": "no more than cores with nothing else to do"}),
    )
    args = parser.parse_args(argv)
    rows = []
    for row in run(args):
        rows.append(row)
        write_rows(Path(args.output), COLUMNS, rows)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
