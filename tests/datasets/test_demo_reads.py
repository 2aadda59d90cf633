"""The reads that come with the package."""

from collections import Counter
from pathlib import Path

import pytest

from dnaembed.datasets import load_demo_reads, save_demo_reads
from dnaembed.io import abundance_of, read_abundance, read_labels, read_sequences
from dnaembed.training import list_genomes


def test_demo_reads():
    reads = load_demo_reads()
    assert len(reads.ids) == len(set(reads.ids)) == len(reads.sequences) == len(reads.labels) == 400
    assert set(Counter(reads.labels.tolist()).values()) == {40}
    assert "Escherichia coli" in reads.labels
    assert all(2000 <= len(sequence) <= 6000 for sequence in reads.sequences)
    assert "INSDC" in reads.DESCR
    X, y = load_demo_reads(return_X_y=True)
    assert reads.sequences == X
    assert y.tolist() == reads.labels.tolist()
    framed = load_demo_reads(as_frame=True)
    assert framed.frame.columns.tolist() == ["sequence", "species"]
    assert framed.labels.index.tolist() == reads.ids
    X, y = load_demo_reads(return_X_y=True, as_frame=True)
    assert X.tolist() == reads.sequences
    assert y.tolist() == reads.labels.tolist()


def test_saved_reads(tmp_path):
    folder, demo = tmp_path / "demo", load_demo_reads()
    save_demo_reads(folder)
    assert {path.name for path in tmp_path.iterdir()} == {"demo"}
    sequences = dict(zip(demo.ids, demo.sequences, strict=True))
    species = dict(zip(demo.ids, demo.labels.tolist(), strict=True))
    found = []
    for reads, labels in (("reads.fastq.gz", "species.tsv"), ("known.fasta", "known.tsv")):
        ids, written = read_sequences(folder / reads)
        assert written == [sequences[i] for i in ids]
        assert read_labels(folder / labels) == {i: species[i] for i in ids}
        found.append(ids)
    assert sorted([*found[0], *found[1]]) == sorted(demo.ids)
    assert set(Counter(species[i] for i in found[1]).values()) == {5}
    coverage = abundance_of(found[0], read_abundance(folder / "coverage.tsv"))
    assert coverage.shape == (350, 3)
    assert {genome.label for genome in list_genomes(folder / "genomes")} == set(demo.labels)
    save_demo_reads(tmp_path / "again")
    for file in filter(Path.is_file, folder.iterdir()):
        assert file.read_bytes() == (tmp_path / "again" / file.name).read_bytes()


def test_saved_reads_stay_and_replace_nothing(tmp_path):
    save_demo_reads(tmp_path / "demo")
    (tmp_path / "demo" / "mine.tsv").write_text("kept")
    save_demo_reads(tmp_path / "demo")
    assert (tmp_path / "demo" / "mine.tsv").read_text() == "kept"
    (tmp_path / "demo" / "README.md").write_text("something else")
    (tmp_path / "empty").mkdir()
    for name in ("demo", "empty"):
        with pytest.raises(FileExistsError, match=f"{name} exists; a new folder is expected"):
            save_demo_reads(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="no folder"):
        save_demo_reads(tmp_path / "none" / "demo")
    assert list((tmp_path / "empty").iterdir()) == []
