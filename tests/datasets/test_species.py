"""Reads cut out of genomes: every base is accounted for."""

import gzip
import io
import re
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnaembed import reverse_complement
from dnaembed.datasets import load_dnabert_s_tsv, make_species_dataset
from dnaembed.datasets._species import _place
from dnaembed.io import SequenceFileError
from tests.helpers.dna import random_sequence


@pytest.fixture
def genomes(tmp_path):
    """Two strains of one species in two contigs each, a small virus, and another split."""
    rows = [
        ("bacteria/a1.fna", "test", "bacteria", "A", "Aus", 20_000, 2),
        ("bacteria/a2.fna.gz", "test", "bacteria", "A", "Aus", 10_000, 2),
        ("bacteria/b.fna", "test", "bacteria", "B", "", 30_000, 1),
        ("virus/v.fna", "test", "virus", "V", "", 1_000, 1),
        ("bacteria/t.fna", "train", "bacteria", "T", "Tus", 5_000, 1),
    ]
    lines = ["path\tsplit\tdomain\tlabel\tgenus"]
    text = {}
    for i, (path, split, domain, label, genus, size, n_contigs) in enumerate(rows):
        lines.append(f"{path}\t{split}\t{domain}\t{label}\t{genus}")
        contigs = [random_sequence(size // n_contigs, 10 * i + j) for j in range(n_contigs)]
        fasta = "".join(f">c{j}\n{contig}\n" for j, contig in enumerate(contigs)).encode()
        file = tmp_path / path
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(gzip.compress(fasta) if path.endswith(".gz") else fasta)
        text[path] = contigs
    (tmp_path / "catalog.tsv").write_text("\n".join(lines) + "\n")
    return tmp_path, text


def spans(reads, text):
    """Find every read in its genome: (genome, contig, start, stop)."""
    found = []
    for sequence, name in zip(reads.sequences, reads.groups, strict=True):
        places = [
            (name, number, contig.find(strand), contig.find(strand) + len(strand))
            for number, contig in enumerate(text[name])
            for strand in (sequence, reverse_complement(sequence))
            if strand in contig
        ]
        assert len(places) == 1
        found += places
    return found


def test_reads_are_of_their_genomes_and_do_not_overlap(genomes):
    folder, text = genomes
    reads = make_species_dataset(folder, split="test", n_reads=50, length=(200, 600))
    found = sorted(spans(reads, text))
    for (*place, _, stop), (*next_place, start, _) in pairwise(found):
        assert place != next_place or stop <= start
    labels, counts = np.unique(reads.labels, return_counts=True)
    assert labels.tolist() == ["A", "B", "V"]
    assert counts[:2].tolist() == [50, 50]
    assert 1 <= counts[2] <= 1000 // 200
    assert len(set(reads.ids)) == len(reads.ids) == len(reads.sequences)
    lengths = np.array([len(s) for s in reads.sequences])
    assert lengths.min() >= 200
    assert lengths.max() <= 600
    # Both strains and both contigs give reads, the longer strain more.
    strains = reads.groups[reads.labels == "A"]
    assert (strains == "bacteria/a1.fna").sum() > (strains == "bacteria/a2.fna.gz").sum() > 0
    genera = {"A": "Aus", "B": "", "V": ""}
    assert reads.lineage["genus"].tolist() == [genera[label] for label in reads.labels]


@pytest.fixture
def make(genomes):
    return partial(make_species_dataset, genomes[0], split="test")


def test_both_strands_are_read_and_lengths_are_log_uniform(genomes, make):
    reads = make(length=(50, 800))
    origins = zip(reads.sequences, reads.groups, strict=True)
    forward = [any(read in contig for contig in genomes[1][name]) for read, name in origins]
    assert 0.3 < np.mean(forward) < 0.7
    # Half of them below the geometric mean, 200.
    assert 0.35 < np.mean([len(s) < 200 for s in reads.sequences]) < 0.65


def test_small_genomes_give_fewer_reads_or_none(make):
    reads = make(length=(200, 600), min_reads=20)
    assert set(reads.labels.tolist()) == {"A", "B"}
    assert reads.left_out == ["V"]
    with pytest.raises(ValueError, match="No label has genomes that give 100 reads of 9000 bp"):
        make(length=(9000, 9000), min_reads=100)


def test_errors_keep_place_and_strand(make):
    options = {"length": (500, 500), "n_reads": 20}
    clean, noisy = make(**options), make(**options, error_rate=0.05)
    assert noisy.labels.tolist() == clean.labels.tolist()

    def shared(a, b):
        kmers = [{s[i : i + 8] for i in range(len(s) - 7)} for s in (a, b)]
        return len(kmers[0] & kmers[1]) / len(kmers[0])

    same = [shared(a, b) for a, b in zip(clean.sequences, noisy.sequences, strict=True)]
    # 0.95 ** 8 = 0.66 of the 8-mers are left.
    assert 0.5 < np.mean(same) < 0.8
    varied = make(**options, error_rate=(0.0, 0.3))
    spread = [shared(a, b) for a, b in zip(clean.sequences, varied.sequences, strict=True)]
    assert np.std(spread) > 2 * np.std(same)


def test_lognormal_abundance_is_skewed(make):
    counts = []
    for seed in range(20):
        reads = make(length=(50, 50), n_reads=40, abundance="lognormal", random_state=seed)
        counts += [(reads.labels == label).sum() for label in "AB"]
    assert min(counts) < 15
    assert max(counts) > 90
    assert 25 < np.mean(counts) < 60


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": (600, 200)}, r"length must be a pair 1 <= low <= high, got \(600, 200\)"),
        ({"n_reads": 0}, "1 <= min_reads <= n_reads is required"),
        ({"min_reads": 101}, "got min_reads=101, n_reads=100"),
        ({"abundance": "odd"}, 'abundance must be "even" or "lognormal", got \'odd\''),
        ({"error_rate": 0.6}, "error_rate must be from 0 to 0.5"),
        ({"error_rate": (0.2, 0.1)}, "low before high"),
        ({"split": "none"}, "No genomes found"),
    ],
)
def test_wrong_parameters(genomes, options, message):
    with pytest.raises(ValueError, match=message):
        make_species_dataset(genomes[0], **options)


@given(
    st.lists(st.integers(1, 300), min_size=1, max_size=5),
    st.integers(1, 40),
    st.integers(1, 50),
    st.integers(0, 100),
    st.integers(0, 2**32 - 1),
)
def test_layout(sizes, n_reads, low, more, seed):
    sizes = [size for size in sizes if size >= low]
    found = _place(sizes, n_reads, (low, low + more), np.random.default_rng(seed))
    assert len(found) <= n_reads
    depth = [np.zeros(size, dtype=int) for size in sizes]
    for piece, start, stop in found:
        assert low <= stop - start <= low + more
        assert 0 <= start < stop <= sizes[piece]
        depth[piece][start:stop] += 1
    assert all(d.max() <= 1 for d in depth)


def test_authors_files_load_as_they_are(tmp_path):
    text = b"sequence\tlabel\nACGTACGTAC\t7\nacgtn\t7\nGGGG\t12\n"
    path = tmp_path / "x.tsv.gz"
    path.write_bytes(gzip.compress(text))
    for source in (path, io.BytesIO(text)):
        reads = load_dnabert_s_tsv(source)
        assert reads.sequences == ["ACGTACGTAC", "ACGTN", "GGGG"]
        assert reads.labels.tolist() == ["7", "7", "12"]
        assert reads.ids == ["line_2", "line_3", "line_4"]
    reads = load_dnabert_s_tsv(path, min_length=5, max_length=8, min_reads=2)
    assert reads.sequences == ["ACGTACGT", "ACGTN"]
    swapped = io.BytesIO(b"label\tsequence\r\n7\tACGT\r\n")
    assert load_dnabert_s_tsv(swapped).labels.tolist() == ["7"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: no column 'sequence'"),
        ("sequence\tspecies\nACGT\t1\n", "line 1: no column 'label'"),
        ("sequence\tlabel\nACGT\t1\nACGT\n", "line 3: expected 2 columns"),
        ("sequence\tlabel\nACGT\t\n", "line 2: the label is empty"),
        ("sequence\tlabel\nACGT\t1\nAC!T\t1\n", "line 3"),
        ("sequence\tlabel\n\t1\n", "line 2"),
        ("sequence\tlabel\n", "has no sequences"),
    ],
)
def test_authors_files_that_are_not(text, message):
    with pytest.raises(SequenceFileError, match=re.escape(message)):
        load_dnabert_s_tsv(io.BytesIO(text.encode()))
