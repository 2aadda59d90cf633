"""Positive pairs, drawn anew at every step: pieces of labelled genomes, reads, parts of reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._sequences import check_sequences
from ..datasets._genomes import GenomeStore, pack_sequences, unpack
from ..datasets._read_errors import ERRORS, LETTERS, check_rates, corrupt, random_bits
from ..utils._compile import compiled

# A context is a base between its neighbours, as a number in base 4; a kind of substitution is the
# number, less one, to add to the base. On the other strand, which is read backwards:
_FIRST, _BASE, _LAST = np.arange(64) // 16, np.arange(64) // 4 % 4, np.arange(64) % 4
_OTHER_CONTEXT = (3 - _LAST) * 16 + (3 - _BASE) * 4 + (3 - _FIRST)
_OTHER_KIND = np.tile([2, 1, 0], (64, 1))  # x -> x + d becomes 3 - x -> 3 - x - d
_CONTEXT_SHAPE = 0.3


@dataclass(frozen=True)
class PairBatch:
    """Two views of each of a number of species.

    Attributes
    ----------
    view1, view2 : list of str
        Sequences of ``ACGTN``; ``view1[i]`` and ``view2[i]`` are a positive pair.
    labels : ndarray of shape (n_pairs,), int64, or None
        The species of each pair; negative values and None stand for unknown.
    """

    view1: list[str]
    view2: list[str]
    labels: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.view1)


@runtime_checkable
class PairSource(Protocol):
    """Anything that draws pairs, as a pure function of a step and a number.

    The result of `sample` depends only on the seed of the source, `step` and `n_pairs`, so that
    the trainer may draw ahead in threads, and a resumed run sees the pairs of one that was not cut.
    """

    def sample(self, step: int, n_pairs: int) -> PairBatch:
        """Draw the pairs of one step."""


class _PiecePairs:
    """What all sources share: which pieces are drawn, and how they are read."""

    error_rate: tuple[float, float] = (0.0, 0.0)
    virtual_share: float = 0.0
    virtual_divergence: tuple[float, float] = (0.05, 0.2)

    def __init__(
        self,
        sources: Sequence[NDArray[Any]],
        label_weights: NDArray[np.float64],
        *,
        min_length: int,
        max_length: int,
        seed: int,
    ) -> None:
        """Take bases, gaps, offsets, pieces and labels as of a `GenomeStore`, be it of reads."""
        if not 1 <= min_length <= max_length:
            got = f"{min_length} and {max_length}"
            raise ValueError(f"1 <= min_length <= max_length is required, got {got}.")
        if seed < 0:
            raise ValueError(f"seed must be >= 0, got {seed}.")
        self.min_length = min_length
        self.max_length = max_length
        self.seed = seed
        packed, gaps, piece_offsets, source_pieces, source_labels = sources
        self._cumulative = np.cumsum(label_weights) / label_weights.sum()
        by_label = np.argsort(source_labels, kind="stable")
        first = np.searchsorted(source_labels[by_label], np.arange(len(label_weights) + 1))
        self._packed = packed, gaps
        self._places = by_label, first, source_pieces, piece_offsets

    def sample(self, step: int, n_pairs: int) -> PairBatch:
        """Draw `n_pairs` pairs: a pure function of the seed, `step` and `n_pairs`."""
        if n_pairs < 1:
            raise ValueError(f"n_pairs must be >= 1, got {n_pairs}.")
        # Philox keyed by the step: there is no state to save, to share or to lose.
        rng = np.random.Generator(np.random.Philox(np.random.SeedSequence((self.seed, step))))
        low, high = np.log(self.min_length), np.log(self.max_length)
        lengths = np.exp(rng.uniform(low, high, (n_pairs, 2))).round().astype(np.int64)
        rates = rng.uniform(*self.error_rate, (n_pairs, 2))
        uniforms = rng.random((n_pairs, 8))
        seeds = rng.integers(0, 2**63, size=2 * n_pairs, dtype=np.uint64)
        labels = np.searchsorted(self._cumulative, rng.random(n_pairs), side="right")
        labels = np.minimum(labels, len(self._cumulative) - 1).astype(np.int64)
        spans = np.empty((2 * n_pairs, 2), dtype=np.int64)
        _place_pieces(labels, *self._places, lengths, uniforms, spans)
        tables, virtual = self._virtual_species(rng, n_pairs)
        labels = np.where(virtual, len(self._cumulative) + np.arange(n_pairs), labels)
        letters = np.empty(int((2 * (spans[:, 1] - spans[:, 0]) + 1).sum()), dtype=np.uint8)
        read = np.empty(2 * n_pairs, dtype=np.int64)
        strands = (uniforms[:, 6:8] < 0.5).T.ravel()
        drawn = spans, strands, rates.T.ravel(), ERRORS, seeds, tables, virtual
        used = _read_pieces(*self._packed, *drawn, letters, read)
        text = letters[:used].tobytes().decode("ascii")
        stops = np.cumsum(read).tolist()
        views = [text[a:b] for a, b in zip([0, *stops[:-1]], stops, strict=True)]
        return PairBatch(views[:n_pairs], views[n_pairs:], labels)

    def _virtual_species(
        self, rng: np.random.Generator, n_pairs: int
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Draw which pairs evolve, and how: cumulative rates by context and kind, (n, 64, 3)."""
        virtual = rng.random(n_pairs) < self.virtual_share
        if not virtual.any():
            return np.zeros((n_pairs, 64, 3)), virtual
        # Few contexts change much and most hardly do; both strands of a genome change alike.
        rates = rng.gamma(_CONTEXT_SHAPE, 1.0, (n_pairs, 64, 3))
        rates += rates[:, _OTHER_CONTEXT[:, np.newaxis], _OTHER_KIND]
        divergence = rng.uniform(*self.virtual_divergence, n_pairs)
        rates *= (divergence / rates.sum(axis=2).mean(axis=1))[:, np.newaxis, np.newaxis]
        return np.minimum(np.cumsum(rates, axis=2), 0.95), virtual


class GenomePairs(_PiecePairs):
    r"""Pairs of non-overlapping pieces of labelled genomes.

    A label is drawn first; then, for each view, a genome of it, a place, a length, a strand and a
    rate of errors. Long genomes weigh no more than short ones.

    Parameters
    ----------
    store : GenomeStore
        The genomes.
    min_length, max_length : int, default=800, 10000
        Lengths are log-uniform between these, in bases. Pieces of a genome too short for both
        views share what there is.
    error_rate : tuple of float, default=(0.0, 0.1)
        Sequencing errors per base are uniform between these two, drawn for each view.
    domain_weights : mapping of str to float, default=None
        Weight of each label of a domain; 1 for a domain that is not named.
    virtual_share : float, default=0.0
        Share of pairs of species that never were and never repeat, each with a label of its own:
        both views evolve by one set of substitution rates of a base between its neighbours.
    virtual_divergence : tuple of float, default=(0.05, 0.2)
        Substitutions per base are uniform between these, drawn for each virtual species.
    seed : int, default=0
        Same seed, same pairs.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from dnaembed.training import GenomePairs, GenomeRecord, GenomeStore
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fasta = pathlib.Path(folder, "a.fa")
    ...     _ = fasta.write_text(">a\n" + "ACGTTGCA" * 500)
    ...     store = GenomeStore.build([GenomeRecord(str(fasta), "a")], f"{folder}/store")
    ...     batch = GenomePairs(store, min_length=100, max_length=200).sample(step=0, n_pairs=3)
    >>> len(batch), batch.labels
    (3, array([0, 0, 0]))
    """

    def __init__(
        self,
        store: GenomeStore,
        *,
        min_length: int = 800,
        max_length: int = 10_000,
        error_rate: tuple[float, float] = (0.0, 0.1),
        domain_weights: Mapping[str, float] | None = None,
        virtual_share: float = 0.0,
        virtual_divergence: tuple[float, float] = (0.05, 0.2),
        seed: int = 0,
    ) -> None:
        for name, rates in (("error_rate", error_rate), ("virtual_divergence", virtual_divergence)):
            if len(rates) != 2 or rates[0] > rates[1]:
                raise ValueError(f"{name} must be a pair (low, high), got {rates}.")
            check_rates(np.array(rates, dtype=np.float64))
        if not virtual_divergence[0] or not 0 <= virtual_share <= 1:
            expected = "virtual_divergence must be positive and virtual_share from 0 to 1"
            raise ValueError(f"{expected}, got {virtual_divergence} and {virtual_share}.")
        weights, domains = dict(domain_weights or {}), sorted(set(store.domains))
        if unknown := sorted(set(weights) - set(domains)):
            raise ValueError(f"domain_weights names {unknown}, but the domains are {domains}.")
        shares = np.array([weights.get(domain, 1.0) for domain in store.domains])
        if shares.min() < 0 or shares.sum() <= 0:
            raise ValueError("domain_weights must not be negative, and one must be positive.")
        bases = store.packed, store.gaps, store.piece_offsets
        sources = *bases, store.genome_pieces, store.genome_labels
        super().__init__(sources, shares, min_length=min_length, max_length=max_length, seed=seed)
        self.error_rate = error_rate
        self.virtual_share = virtual_share
        self.virtual_divergence = virtual_divergence


class ReadPairs(_PiecePairs):
    """Pairs from reads or contigs, with labels or without.

    With labels, a label is drawn, then a read of it for each view. Without, a pair is two parts of
    one read, which are of one species for certain. Views of one read do not overlap.

    Parameters
    ----------
    sequences : iterable of str
        The reads, at least two bases each; see `dnaembed.check_sequences`.
    labels : array-like of shape (n_reads,), default=None
        Species of each read, of any kind that sorts; a negative integer is unknown: such a read is
        paired with itself only. None: all are. Batches number the known labels in sorted order.
    min_length, max_length : int, default=800, 10000
        Lengths of pieces are log-uniform between these, as far as the read is long enough.
    seed : int, default=0
        Same seed, same pairs.

    Examples
    --------
    >>> from dnaembed.training import ReadPairs
    >>> reads = ["ACGTTACCGA" * 40, "GGCATTA" * 50]
    >>> batch = ReadPairs(reads, min_length=50, max_length=100).sample(step=0, n_pairs=2)
    >>> all(50 <= len(view) <= 100 for view in batch.view1)
    True
    """

    def __init__(
        self,
        sequences: Any,
        labels: ArrayLike | None = None,
        *,
        min_length: int = 800,
        max_length: int = 10_000,
        seed: int = 0,
    ) -> None:
        reads = check_sequences(sequences)
        for i, read in enumerate(reads):
            if len(read) < 2:
                raise ValueError(f"sequence {i} has {len(read)} base; a pair needs at least 2.")
        numbers = number_labels(labels, len(reads))
        unknown = numbers < 0  # a number of its own for each
        numbers[unknown] = numbers.max(initial=-1) + 1 + np.arange(unknown.sum())
        sources = *pack_sequences(reads), np.arange(len(reads) + 1), numbers
        even = np.ones(int(numbers.max()) + 1)
        super().__init__(sources, even, min_length=min_length, max_length=max_length, seed=seed)


def number_labels(labels: ArrayLike | None, n_reads: int) -> NDArray[np.int64]:
    """Number labels from 0 in sorted order; -1 is unknown: a negative integer, or no labels."""
    numbers = np.full(n_reads, -1, dtype=np.int64)
    if labels is None:
        return numbers
    values = np.asarray(labels)
    if values.shape != (n_reads,):
        raise ValueError(f"{n_reads} sequences need {n_reads} labels, got shape {values.shape}.")
    signed = np.issubdtype(values.dtype, np.signedinteger)
    known = values >= 0 if signed else np.ones(n_reads, dtype=bool)
    numbers[known] = np.unique(values[known], return_inverse=True)[1]
    return numbers


@compiled
def _place_pieces(  # type: ignore[no-untyped-def]
    labels, by_label, first, genome_pieces, piece_offsets, lengths, uniforms, spans
):
    """Choose genome, sequence and place of both views of each pair."""
    n = labels.size
    for i in range(n):
        label = labels[i]
        n_genomes = first[label + 1] - first[label]
        pieces = np.empty(2, dtype=np.int64)
        for view in range(2):
            genome = by_label[first[label] + int(uniforms[i, view] * n_genomes)]
            low, high = genome_pieces[genome], genome_pieces[genome + 1]
            # A base of the genome, so that its sequences are drawn by length.
            begin, end = piece_offsets[low], piece_offsets[high]
            base = begin + int(uniforms[i, 2 + view] * (end - begin))
            place = np.searchsorted(piece_offsets[low : high + 1], base, side="right")
            pieces[view] = low + place - 1
        begin1, end1 = piece_offsets[pieces[0]], piece_offsets[pieces[0] + 1]
        begin2, end2 = piece_offsets[pieces[1]], piece_offsets[pieces[1] + 1]
        length1, length2 = lengths[i, 0], lengths[i, 1]
        u1, u2 = uniforms[i, 4], uniforms[i, 5]
        span1, span2 = spans[i], spans[n + i]
        if pieces[0] != pieces[1]:
            length1 = min(length1, end1 - begin1)
            length2 = min(length2, end2 - begin2)
            span1[0] = begin1 + int(u1 * (end1 - begin1 - length1 + 1))
            span2[0] = begin2 + int(u2 * (end2 - begin2 - length2 + 1))
        else:  # two that do not overlap
            size = end1 - begin1
            if length1 + length2 > size:  # both shrink alike
                length1 = max(1, min(size - 1, length1 * size // (length1 + length2)))
                length2 = size - length1
            # Two sorted places in what is free; which view comes first is drawn by their order.
            free = size - length1 - length2
            a, b = int(u1 * (free + 1)), int(u2 * (free + 1))
            if u1 <= u2:
                span1[0], span2[0] = begin1 + a, begin1 + b + length1
            else:
                span2[0], span1[0] = begin1 + b, begin1 + a + length2
        span1[1] = span1[0] + length1
        span2[1] = span2[0] + length2


@compiled
def _evolve(codes, n, table, state):  # type: ignore[no-untyped-def]
    """Substitute bases in place at rates that depend on both neighbours in the original."""
    previous = codes[0]
    for j in range(1, n - 1):
        base = codes[j]
        if previous < 4 and base < 4 and codes[j + 1] < 4:
            context = 16 * previous + 4 * base + codes[j + 1]
            u = (random_bits(state) >> np.uint64(11)) * (1.0 / 9007199254740992.0)
            if u < table[context, 2]:
                kind = 1
                while u >= table[context, kind - 1]:
                    kind += 1
                codes[j] = (base + kind) & 3
        previous = base


@compiled
def _read_pieces(  # type: ignore[no-untyped-def]
    packed, gaps, spans, strands, rates, model, seeds, tables, virtual, out, lengths
):
    """Unpack, turn, corrupt and write out pieces; return the number of letters."""
    used = 0
    longest = 1
    for i in range(spans.shape[0]):
        longest = max(longest, spans[i, 1] - spans[i, 0])
    codes = np.empty(longest, dtype=np.uint8)
    state = np.empty(1, dtype=np.uint64)
    for i in range(spans.shape[0]):
        n = spans[i, 1] - spans[i, 0]
        unpack(packed, gaps, spans[i, 0], spans[i, 1], codes)
        state[0] = seeds[i]
        if virtual[i % virtual.size]:
            _evolve(codes, n, tables[i % virtual.size], state)
        if strands[i]:
            for j in range(n // 2):
                codes[j], codes[n - 1 - j] = codes[n - 1 - j], codes[j]
            for j in range(n):
                if codes[j] < 4:
                    codes[j] = 3 - codes[j]
        m = corrupt(codes, n, rates[i], model, state, out[used:])
        for j in range(used, used + m):
            out[j] = LETTERS[out[j]]
        lengths[i] = m
        used += m
    return used
