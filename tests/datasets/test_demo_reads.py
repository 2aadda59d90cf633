"""The reads that come with the package."""

from collections import Counter

from dnaembed.datasets import load_demo_reads


def test_demo_reads():
    reads = load_demo_reads()
    assert len(reads.ids) == len(set(reads.ids)) == len(reads.sequences) == len(reads.labels) == 400
    assert set(Counter(reads.labels.tolist()).values()) == {40}
    assert "Escherichia coli" in reads.labels
    assert all(2000 <= len(sequence) <= 6000 for sequence in reads.sequences)
    assert "INSDC" in reads.DESCR


def test_reads_with_errors_are_a_subset():
    clean, noisy = load_demo_reads(), load_demo_reads(errors=True)
    assert len(noisy.ids) == 100
    species = dict(zip(clean.ids, clean.labels, strict=True))
    assert [species[i] for i in noisy.ids] == noisy.labels.tolist()
    sequences = dict(zip(clean.ids, clean.sequences, strict=True))
    assert all(sequences[i] != s for i, s in zip(noisy.ids, noisy.sequences, strict=True))
