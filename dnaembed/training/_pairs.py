"""Positive pairs, drawn anew at every step: pieces of labelled genomes, reads, parts of reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._sequences import check_sequences
from ..datasets._genomes import GenomeStore, pack_sequences
from ..datasets._read_errors import LETTERS, ErrorModel, check_rates
from ._pieces import place_pieces, read_pieces

Positive = Literal["piece", "same", "reverse_complement", "mutation"]

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
        Normalised sequences (characters out of ``ACGTN``); ``view1[i]`` and ``view2[i]`` are a
        positive pair.
    labels : ndarray of shape (n_pairs,), int64, or None
        The species of each pair, so that two pairs of one species are not pushed apart; negative
        values and None stand for unknown.
    """

    view1: list[str]
    view2: list[str]
    labels: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.view1)


@runtime_checkable
class PairSource(Protocol):
    """Anything that draws pairs, as a pure function of a step and a number.

    The result of `sample` depends only on the seed of the source, `step` and `n_pairs`. The
    trainer may therefore draw ahead in another thread, and a run that was cut off and resumed
    sees the same pairs as one that was not.
    """

    def sample(self, step: int, n_pairs: int) -> PairBatch:
        """Draw the pairs of one step."""


@dataclass(frozen=True)
class _Pool:
    """Sequences in two bits per base, grouped by source (a genome, a read) and by label."""

    packed: NDArray[np.uint8]
    gaps: NDArray[np.int64]
    piece_offsets: NDArray[np.int64]
    source_pieces: NDArray[np.int64]
    source_labels: NDArray[np.int64]


class _PiecePairs:
    """What all sources share: which pieces are drawn, and how they are read."""

    def __init__(
        self,
        pool: _Pool,
        label_weights: NDArray[np.float64],
        *,
        min_length: int,
        max_length: int,
        error_rate: tuple[float, float],
        error_model: ErrorModel | None,
        positive: Positive,
        mutation_rate: float,
        seed: int,
        virtual_share: float = 0.0,
        virtual_divergence: tuple[float, float] = (0.05, 0.2),
    ) -> None:
        if not 1 <= min_length <= max_length:
            raise ValueError(
                f"1 <= min_length <= max_length is required, got {min_length} and {max_length}."
            )
        if len(error_rate) != 2 or error_rate[0] > error_rate[1]:
            raise ValueError(f"error_rate must be a pair (low, high), got {error_rate}.")
        check_rates(np.array([*error_rate, mutation_rate], dtype=np.float64))
        if positive not in get_args(Positive):
            raise ValueError(f"positive must be one of {get_args(Positive)}, got {positive!r}.")
        if seed < 0:
            raise ValueError(f"seed must be >= 0, got {seed}.")
        if not 0 <= virtual_share <= 1:
            raise ValueError(f"virtual_share must be from 0 to 1, got {virtual_share}.")
        if len(virtual_divergence) != 2 or not 0 < virtual_divergence[0] <= virtual_divergence[1]:
            raise ValueError(
                f"virtual_divergence must be a pair 0 < low <= high, got {virtual_divergence}."
            )
        check_rates(np.array(virtual_divergence, dtype=np.float64))
        self.virtual_share = virtual_share
        self.virtual_divergence = virtual_divergence
        self.min_length = min_length
        self.max_length = max_length
        self.error_rate = (float(error_rate[0]), float(error_rate[1]))
        self.error_model = error_model or ErrorModel()
        self.positive: Positive = positive
        self.mutation_rate = mutation_rate
        self.seed = seed
        self._pool = pool
        self._cumulative = np.cumsum(label_weights) / label_weights.sum()
        self._by_label = np.argsort(pool.source_labels, kind="stable")
        self._first = np.searchsorted(
            pool.source_labels[self._by_label], np.arange(len(label_weights) + 1)
        )

    def sample(self, step: int, n_pairs: int) -> PairBatch:
        """Draw the pairs of one step: a pure function of the seed, `step` and `n_pairs`.

        Parameters
        ----------
        step : int
            Number of the step, from 0.
        n_pairs : int
            Number of pairs.

        Returns
        -------
        PairBatch
            The pairs and the numbers of their labels.
        """
        if n_pairs < 1:
            raise ValueError(f"n_pairs must be >= 1, got {n_pairs}.")
        pool = self._pool
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
        place_pieces(
            labels,
            self._by_label,
            self._first,
            pool.source_pieces,
            pool.piece_offsets,
            lengths,
            uniforms,
            spans,
        )
        strands = (uniforms[:, 6:8] < 0.5).T.ravel()
        if self.positive != "piece":  # view 2 is the read of view 1 again
            spans[n_pairs:] = spans[:n_pairs]
            strands[n_pairs:] = strands[:n_pairs] ^ (self.positive == "reverse_complement")
            rates[:, 1] = rates[:, 0]
            seeds[n_pairs:] = seeds[:n_pairs]
        if self.positive == "mutation":
            rates[:, 1] = self.mutation_rate
            seeds[n_pairs:] += np.uint64(1)
        tables, virtual = self._virtual_species(rng, n_pairs)
        labels = np.where(virtual, len(self._cumulative) + np.arange(n_pairs), labels)
        letters = np.empty(int((2 * (spans[:, 1] - spans[:, 0]) + 1).sum()), dtype=np.uint8)
        read = np.empty(2 * n_pairs, dtype=np.int64)
        used = read_pieces(
            pool.packed,
            pool.gaps,
            spans,
            strands,
            rates.T.ravel(),
            self.error_model.as_array(),
            seeds,
            tables,
            virtual,
            LETTERS,
            letters,
            read,
        )
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

    A label is drawn first, then a genome of it for each view (so that the two may be of different
    strains), then a place, a length, a strand and a rate of errors for each view: nothing is ever
    seen twice. Long genomes weigh no more than short ones.

    Parameters
    ----------
    store : GenomeStore
        The genomes.
    min_length, max_length : int, default=800, 10000
        Lengths are log-uniform between these, in bases. Pieces of a genome too short for both
        views share what there is.
    error_rate : tuple of float, default=(0.0, 0.1)
        Errors per base are uniform between these two, drawn for each view.
    error_model : ErrorModel, default=None
        How errors divide into kinds.
    domain_weights : mapping of str to float, default=None
        Weight of each label of a domain; 1 for a domain that is not named.
    positive : {"piece", "same", "reverse_complement", "mutation"}, default="piece"
        What view 2 is: another piece, or, for ablation, the very same read (what differs is then
        the dropout of the model), its reverse complement, or a mutated copy.
    mutation_rate : float, default=0.05
        Errors per base of a mutated copy.
    virtual_share : float, default=0.0
        Share of pairs that stand for a species that does not exist: both views evolve by one
        process of substitutions, drawn anew, whose rates depend on a base and its neighbours and
        are the same on both strands. It has a label of its own. A few hundred species are soon
        known by heart; these are never the same, and they are near relatives of the real ones.
    virtual_divergence : tuple of float, default=(0.05, 0.2)
        Substitutions per base are uniform between these two, drawn for each virtual species. Below
        0.05 it would be a strain.
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
    ...     source = GenomePairs(store, min_length=100, max_length=200)
    ...     batch = source.sample(step=0, n_pairs=3)
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
        error_model: ErrorModel | None = None,
        domain_weights: Mapping[str, float] | None = None,
        positive: Positive = "piece",
        mutation_rate: float = 0.05,
        virtual_share: float = 0.0,
        virtual_divergence: tuple[float, float] = (0.05, 0.2),
        seed: int = 0,
    ) -> None:
        weights = dict(domain_weights or {})
        unknown = sorted(set(weights) - set(store.domains))
        if unknown:
            raise ValueError(
                f"domain_weights names {unknown}, but the domains are {sorted(set(store.domains))}."
            )
        shares = np.array([weights.get(domain, 1.0) for domain in store.domains])
        if shares.min() < 0 or shares.sum() <= 0:
            raise ValueError("domain_weights must not be negative, and one must be positive.")
        super().__init__(
            _Pool(
                store.packed,
                store.gaps,
                store.piece_offsets,
                store.genome_pieces,
                store.genome_labels,
            ),
            shares,
            min_length=min_length,
            max_length=max_length,
            error_rate=error_rate,
            error_model=error_model,
            positive=positive,
            mutation_rate=mutation_rate,
            seed=seed,
            virtual_share=virtual_share,
            virtual_divergence=virtual_divergence,
        )
        self.store = store


class ReadPairs(_PiecePairs):
    """Pairs from reads or contigs, with labels or without.

    With labels, a label is drawn, then a read of it for each view; if both views fall on one read
    they do not overlap. Without, a pair is two parts of one read that do not overlap: it is of one
    species for certain, which is what adapts a model to a sample nobody has labelled.

    Parameters
    ----------
    sequences : iterable of str
        The reads, at least two bases each; see `dnaembed.check_sequences`.
    labels : array-like of shape (n_reads,), default=None
        Species of each read, of any kind that sorts. A read with a negative integer is of unknown
        species, and is paired with itself only. None: all are unknown.
    min_length, max_length : int, default=800, 10000
        Lengths of pieces are log-uniform between these, as far as the read is long enough.
    error_rate : tuple of float, default=(0.0, 0.0)
        Further errors per base are uniform between these two, drawn for each view.
    error_model : ErrorModel, default=None
        How errors divide into kinds.
    positive : {"piece", "same", "reverse_complement", "mutation"}, default="piece"
        What view 2 is; see `GenomePairs`.
    mutation_rate : float, default=0.05
        Errors per base of a mutated copy.
    seed : int, default=0
        Same seed, same pairs.

    Notes
    -----
    The labels of the batches are numbers from 0 in the sorted order of the known labels; each read
    of unknown species has a number of its own after those, so that two pairs out of one read are
    not taken for two species.

    Examples
    --------
    >>> from dnaembed.training import ReadPairs
    >>> source = ReadPairs(["ACGTTACCGA" * 40, "GGCATTA" * 50], min_length=50, max_length=100)
    >>> batch = source.sample(step=0, n_pairs=2)
    >>> batch.view1[0] in "ACGTTACCGA" * 40 + "GGCATTA" * 50 or len(batch.view1[0]) <= 100
    True
    """

    def __init__(
        self,
        sequences: Any,
        labels: ArrayLike | None = None,
        *,
        min_length: int = 800,
        max_length: int = 10_000,
        error_rate: tuple[float, float] = (0.0, 0.0),
        error_model: ErrorModel | None = None,
        positive: Positive = "piece",
        mutation_rate: float = 0.05,
        seed: int = 0,
    ) -> None:
        reads = check_sequences(sequences)
        for i, read in enumerate(reads):
            if len(read) < 2:
                raise ValueError(f"sequence {i} has {len(read)} base; a pair needs at least 2.")
        numbers = number_labels(labels, len(reads))
        unknown = numbers < 0  # a number of its own for each
        numbers[unknown] = numbers.max(initial=-1) + 1 + np.arange(unknown.sum())
        packed, gaps, offsets = pack_sequences(reads)
        super().__init__(
            _Pool(packed, gaps, offsets, np.arange(len(reads) + 1), numbers),
            np.ones(int(numbers.max()) + 1),
            min_length=min_length,
            max_length=max_length,
            error_rate=error_rate,
            error_model=error_model,
            positive=positive,
            mutation_rate=mutation_rate,
            seed=seed,
        )


def number_labels(labels: ArrayLike | None, n_reads: int) -> NDArray[np.int64]:
    """Number labels from 0 in sorted order; -1 is unknown: a negative integer, or no labels."""
    numbers = np.full(n_reads, -1, dtype=np.int64)
    if labels is None:
        return numbers
    values = np.asarray(labels)
    if values.shape != (n_reads,):
        raise ValueError(f"{n_reads} sequences need {n_reads} labels, got shape {values.shape}.")
    known = np.ones(n_reads, dtype=bool)
    if np.issubdtype(values.dtype, np.signedinteger):
        known = values >= 0
    numbers[known] = np.unique(values[known], return_inverse=True)[1]
    return numbers
