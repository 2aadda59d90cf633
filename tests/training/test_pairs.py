from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnaembed import reverse_complement
from dnaembed.training import GenomePairs, GenomeRecord, GenomeStore, PairSource, ReadPairs
from tests.helpers.dna import bases, random_sequence


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Label 0 with two genomes of two pieces, label 1 with one, both cellular; label 2 a virus."""
    folder = tmp_path_factory.mktemp("genomes")
    records = []
    for i, label in enumerate("aabv"):
        path = folder / f"{i}.fa"
        pieces = random_sequence(3000, 2 * i), random_sequence(2000, 2 * i + 1)
        path.write_text(">1\n{}\n>2\n{}\n".format(*pieces))
        records.append(GenomeRecord(str(path), label, "virus" if label == "v" else "cell"))
    return GenomeStore.build(records, folder / "store")


def places(store, sequence):
    """Where a read without errors comes from: genome, start, stop in the whole store."""
    whole = bases(store, 0, store.n_bases)
    for read in (sequence, reverse_complement(sequence)):
        start = whole.find(read)
        if start >= 0:
            piece = np.searchsorted(store.piece_offsets, start, side="right") - 1
            assert start + len(read) <= store.piece_offsets[piece + 1]
            genome = np.searchsorted(store.genome_pieces, piece, side="right") - 1
            return int(genome), start, start + len(read)
    raise AssertionError("not a piece of any genome")


def clean(store, **options):
    defaults = {"min_length": 50, "max_length": 900, "error_rate": (0, 0)}
    return GenomePairs(store, **defaults | options)


def as_tuple(batch):
    return batch.view1, batch.view2, batch.labels.tolist()


def test_pairs_are_pieces_of_their_label_that_do_not_overlap(store):
    batch = clean(store).sample(0, 200)
    strains = set()
    for one, two, label in zip(batch.view1, batch.view2, batch.labels, strict=True):
        first, second = places(store, one), places(store, two)
        assert store.genome_labels[first[0]] == store.genome_labels[second[0]] == label
        assert first[2] <= second[1] or second[2] <= first[1]
        strains.add((first[0], second[0]))
    assert {(0, 0), (0, 1), (1, 0), (1, 1)} <= strains


def test_lengths_strands_and_errors_are_drawn(store):
    batch = clean(store).sample(0, 400)
    lengths = np.array([len(view) for view in batch.view1])
    assert lengths.min() >= 50
    assert lengths.max() <= 900
    # Log-uniform: half are shorter than the geometric mean.
    assert np.mean(lengths < np.sqrt(50 * 900)) == pytest.approx(0.5, abs=0.08)
    whole = bases(store, 0, store.n_bases)
    assert np.mean([view in whole for view in batch.view1]) == pytest.approx(0.5, abs=0.08)
    noisy = clean(store, error_rate=(0.1, 0.1)).sample(0, 400)
    assert all(a != b for a, b in zip(noisy.view1, batch.view1, strict=True))


def test_the_result_depends_on_seed_step_and_number_only(store):
    noisy = {"error_rate": (0, 0.1), "virtual_share": 0.5}
    source, again, other = (clean(store, **noisy, seed=seed) for seed in (0, 0, 1))
    assert isinstance(source, PairSource)
    expected = [as_tuple(source.sample(step, 8)) for step in range(6)]
    with ThreadPoolExecutor(3) as pool:  # in another order, in other threads
        results = list(pool.map(lambda step: as_tuple(again.sample(step, 8)), [5, 3, 1, 0, 2, 4]))
    assert results == [expected[step] for step in (5, 3, 1, 0, 2, 4)]
    assert len({str(pairs) for pairs in expected}) == 6
    assert as_tuple(other.sample(0, 8)) != expected[0]


def test_labels_are_drawn_evenly_or_by_domain(store):
    counts = np.bincount(clean(store).sample(0, 3000).labels, minlength=3)
    np.testing.assert_allclose(counts / 3000, 1 / 3, atol=0.05)
    weighted = clean(store, domain_weights={"virus": 0.5})
    counts = np.bincount(weighted.sample(0, 3000).labels, minlength=3)
    np.testing.assert_allclose(counts / 3000, [0.4, 0.4, 0.2], atol=0.05)
    without = clean(store, domain_weights={"virus": 0.0})
    assert without.sample(0, 500).labels.max() == 1


@given(st.integers(0, 2**31), st.integers(30, 5000), st.integers(0, 5000))
@settings(max_examples=30)
def test_any_lengths_fit_any_genome(store, seed, low, more):
    source = clean(store, min_length=low, max_length=low + more, seed=seed)
    batch = source.sample(0, 4)
    for one, two in zip(batch.view1, batch.view2, strict=True):
        first, second = places(store, one), places(store, two)
        assert first[2] <= second[1] or second[2] <= first[1]


def test_virtual_species_are_new_labels_that_diverge_alike(store):
    batch = clean(store, virtual_share=1.0, virtual_divergence=(0.2, 0.2)).sample(0, 60)
    plain = clean(store).sample(0, 60)
    assert batch.labels.tolist() == list(range(3, 63))
    changed = []  # the same pieces of the same strands, evolved
    for new, old in zip(batch.view1 + batch.view2, plain.view1 + plain.view2, strict=True):
        assert len(new) == len(old)
        changed.append(np.mean([a != b for a, b in zip(new, old, strict=True)]))
    changed = np.array(changed)[[len(view) > 400 for view in plain.view1 + plain.view2]]
    assert changed.mean() == pytest.approx(0.2, abs=0.04)
    assert changed.std() > 0.005  # each has a process of its own


def test_views_and_strands_of_a_virtual_species_evolve_by_one_process():
    # Long enough that every context is met often.
    whole = "".join(np.random.default_rng(0).choice(list("ACGT"), 40_000))
    options = {"min_length": 19_000, "max_length": 20_000}
    source, plain = ReadPairs([whole], **options), ReadPairs([whole], **options).sample(0, 1)
    source.virtual_share, source.virtual_divergence = 1.0, (0.3, 0.3)
    batch = source.sample(0, 1)

    def rates(new, old):
        """Substitutions per base in each context, of the strand that the genome has."""
        if old not in whole:
            new, old = reverse_complement(new), reverse_complement(old)
        codes = np.array(["ACGT".index(base) for base in old])
        contexts = codes[:-2] * 16 + codes[1:-1] * 4 + codes[2:]
        other = np.array(list(new))[1:-1] != np.array(list(old))[1:-1]
        return np.array([other[contexts == context].mean() for context in range(64)])

    one, two = rates(batch.view1[0], plain.view1[0]), rates(batch.view2[0], plain.view2[0])
    first, base, last = np.unravel_index(np.arange(64), (4, 4, 4))
    complements = np.ravel_multi_index((3 - last, 3 - base, 3 - first), (4, 4, 4))
    assert np.corrcoef(one, two)[0, 1] > 0.9
    assert np.corrcoef(one, one[complements])[0, 1] > 0.9
    assert one.std() > 0.1


def test_labelled_reads():
    reads = [random_sequence(400, i) for i in range(6)]
    source = ReadPairs(reads, ["x", "y", "x", "y", "z", "z"], min_length=50, max_length=300)
    batch = source.sample(0, 100)
    combined = set()
    for one, two, label in zip(batch.view1, batch.view2, batch.labels, strict=True):
        owners = []
        for view in (one, two):
            (owner,) = [
                i
                for i, read in enumerate(reads)
                if view in read or reverse_complement(view) in read
            ]
            assert "xyxyzz"[owner] == "xyz"[label]
            owners.append(owner)
        combined.add(tuple(owners))
    assert len(combined) == 12


@pytest.mark.parametrize(
    ("labels", "numbers"), [(None, [0, 1, 2, 3]), ([-1, 7, 7, -1], [1, 0, 0, 2])]
)
def test_reads_of_unknown_species_pair_with_themselves(labels, numbers):
    reads = [random_sequence(n, n) for n in (400, 2, 90, 1000)]
    batch = ReadPairs(reads, labels, min_length=50, max_length=300).sample(0, 100)
    assert set(batch.labels.tolist()) == set(numbers)
    for one, two, label in zip(batch.view1, batch.view2, batch.labels, strict=True):
        owners = [read for read, number in zip(reads, numbers, strict=True) if number == label]
        for view in (one, two):
            assert any(view in read or reverse_complement(view) in read for read in owners)
        assert len(owners) > 1 or len(one) + len(two) <= len(owners[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_length": 0}, "min_length"),
        ({"min_length": 10, "max_length": 9}, "min_length"),
        ({"error_rate": (0.2, 0.1)}, "error_rate must be a pair"),
        ({"error_rate": (0.0, 0.9)}, "from 0 to 0.5"),
        ({"seed": -1}, "seed"),
        ({"domain_weights": {"plant": 1.0}}, "plant"),
        ({"domain_weights": {"virus": -1.0}}, "negative"),
        ({"virtual_share": 2}, "virtual_share"),
        ({"virtual_divergence": (0.0, 0.1)}, "virtual_divergence"),
    ],
)
def test_bad_options(store, options, message):
    with pytest.raises(ValueError, match=message):
        clean(store, **options)


def test_bad_reads_and_numbers(store):
    with pytest.raises(ValueError, match="sequence 1 has 1 base"):
        ReadPairs(["ACGT", "A"])
    with pytest.raises(ValueError, match="2 sequences need 2 labels"):
        ReadPairs(["ACGT", "AC"], [1])
    with pytest.raises(ValueError, match="n_pairs"):
        clean(store).sample(0, 0)
