import gzip
import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnaembed.datasets._genomes import pack_sequences, unpack
from dnaembed.training import GenomeRecord, GenomeStore, list_genomes
from tests.helpers.dna import bases, random_sequence


@pytest.fixture
def folder(tmp_path):
    """Three genomes of two labels, with N, a compressed file, a short piece and a table."""
    root = tmp_path / "genomes"
    (root / "bacteria").mkdir(parents=True)
    (root / "virus").mkdir()
    first = random_sequence(1003, 1)
    second = random_sequence(700, 2, "ACGTN")
    (root / "bacteria" / "a.fna").write_text(f">c1 x\n{first}\n>c2\n{second}\n>tiny\nACGT\n")
    with gzip.open(root / "bacteria" / "b.fna.gz", "wt") as file:
        file.write(f">c1\n{random_sequence(601, 3).lower()}\n")
    (root / "virus" / "v.fa").write_text(f">v\n{'N' * 40}{random_sequence(998, 4)}{'N' * 3}\n")
    (root / "notes.txt").write_text("no genome")
    rows = [
        "path\tsplit\tdomain\tlabel",
        "bacteria/a.fna\ttrain\tbacteria\tA",
        "bacteria/b.fna.gz\ttrain\tbacteria\tA",
        "virus/v.fa\tdev\tvirus\tV",
    ]
    (root / "catalog.tsv").write_text("\n".join(rows) + "\n")
    return root


def test_sequences_come_back(folder, tmp_path):
    store = GenomeStore.build(list_genomes(folder), tmp_path / "deep" / "store")
    assert store.labels == ["A", "V"]
    assert store.domains == ["bacteria", "virus"]
    assert store.genome_labels.tolist() == [0, 0, 1]
    assert store.genome_pieces.tolist() == [0, 2, 3, 4]  # the short sequence is left out
    pieces = [bases(store, start, stop) for start, stop in pairwise(store.piece_offsets)]
    assert pieces == [
        random_sequence(1003, 1),
        random_sequence(700, 2, "ACGTN"),
        random_sequence(601, 3),
        "N" * 40 + random_sequence(998, 4) + "N" * 3,
    ]


@given(st.lists(st.text("ACGTN", min_size=1, max_size=30), min_size=1, max_size=6), st.data())
def test_packing_is_reversible_anywhere(sequences, data):
    packed, gaps, offsets = pack_sequences(sequences)
    text = "".join(sequences)
    start = data.draw(st.integers(0, len(text)))
    stop = data.draw(st.integers(start, len(text)))
    out = np.empty(stop - start, dtype=np.uint8)
    unpack(packed, gaps, start, stop, out)
    assert "".join("ACGTN"[code] for code in out) == text[start:stop]
    assert offsets.tolist() == np.cumsum([0, *map(len, sequences)]).tolist()


def described(folder, **options):
    return [(record.label, record.domain) for record in list_genomes(folder, **options)]


def test_which_genomes_are_listed(folder):
    catalogued = [("A", "bacteria"), ("A", "bacteria"), ("V", "virus")]
    assert described(folder) == catalogued
    assert described(folder, split="dev") == [("V", "virus")]
    catalog = folder / "catalog.tsv"
    catalog.write_text(catalog.read_text().replace("\n", "\n\n") + "  \n")
    assert described(folder) == catalogued
    catalog.unlink()  # then each file is a species
    files = ["bacteria/a.fna", "bacteria/b.fna.gz", "virus/v.fa"]
    assert described(folder) == [(file, file.split("/")[0]) for file in files]
    with pytest.raises(ValueError, match="catalog"):
        list_genomes(folder, split="train")


@pytest.mark.parametrize(
    ("catalog", "message"),
    [
        ("path\tspecies\nx\ty\n", "no column 'label'"),
        ("path\tlabel\nbacteria/a.fna\n", "line 2: expected 2 columns"),
        ("path\tlabel\nbacteria/a.fna\t\n", "line 2: bacteria/a.fna has no label"),
        ("path\tlabel\nnone.fa\tx\n", r"none\.fa does not exist"),
    ],
)
def test_what_cannot_be_listed(folder, catalog, message):
    (folder / "catalog.tsv").write_text(catalog)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        list_genomes(folder)


def test_a_catalogue_one_folder_further_down_is_pointed_to(tmp_path):
    (tmp_path / "genomes").mkdir()
    (tmp_path / "genomes" / "catalog.tsv").write_text("path\tlabel\n")
    (tmp_path / "other.fa").write_text(">r\nACGT\n")
    with pytest.raises(ValueError, match=f"has no catalog.tsv, but {tmp_path / 'genomes'} has"):
        list_genomes(tmp_path)


def test_bad_genomes_name_file_and_record(folder, tmp_path):
    (folder / "bad.fa").write_text(">one\n" + "ACGT" * 200 + "\n>two\n" + "ACG*" * 200 + "\n")
    (folder / "short.fa").write_text(">one\nACGT\n")
    records = list_genomes(folder)
    two_domains = [records[0], GenomeRecord(records[1].path, "A", "virus")]
    for genomes, message in (
        ([GenomeRecord(str(folder / "bad.fa"), "x")], r"bad\.fa, record 'two' \(number 2\)"),
        ([GenomeRecord(str(folder / "short.fa"), "x")], "1 of 1 genomes have no sequence of at l"),
        ([], "At least one genome"),
        (two_domains, "two domains"),
    ):
        with pytest.raises(ValueError, match=message):
            GenomeStore.build(genomes, tmp_path / "store")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["genomes"]  # nothing is left over
    records.append(GenomeRecord(str(folder / "short.fa"), "x"))
    with pytest.warns(UserWarning, match="1 of 4 genomes have no sequence of at least 500") as w:
        assert GenomeStore.build(records, tmp_path / "store").labels == ["A", "V"]
    assert len(w) == 1


def test_what_is_in_a_folder_is_never_replaced(folder, tmp_path):
    place = tmp_path / "store"
    place.mkdir()  # empty, so free
    store = GenomeStore.build(list_genomes(folder), place)
    (place / "thesis.tex").write_text("mine")
    for held in (place, folder / "virus", folder / "notes.txt"):
        with pytest.raises(FileExistsError):
            GenomeStore.build(list_genomes(folder, split="dev"), held)
    assert GenomeStore(place).labels == store.labels
    assert (place / "thesis.tex").read_text() == "mine"
    assert (folder / "virus" / "v.fa").is_file()


def test_damaged_stores_are_refused(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="index"):
        GenomeStore(tmp_path)
    store = GenomeStore.build(list_genomes(folder), tmp_path / "store")
    index = json.loads((store.folder / "index.json").read_text())
    (store.folder / "index.json").write_text(json.dumps(index | {"format": 99}))
    with pytest.raises(ValueError, match="format 99, expected 1"):
        GenomeStore(store.folder)
    (store.folder / "index.json").write_text(json.dumps(index))
    data = (store.folder / "bases.2bit").read_bytes()
    (store.folder / "bases.2bit").write_bytes(data[:-5])
    with pytest.raises(ValueError, match="damaged"):
        GenomeStore(store.folder)
