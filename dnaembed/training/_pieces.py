"""Compiled: where the pieces of a pair lie in packed genomes, and how they are read."""

from __future__ import annotations

import numpy as np

from ..datasets._genomes import unpack
from ..datasets._read_errors import LETTERS, corrupt, random_bits
from ..utils._compile import compiled


@compiled
def place_pieces(  # type: ignore[no-untyped-def]
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
            pieces[view] = (
                np.searchsorted(piece_offsets[low : high + 1], base, side="right") + low - 1
            )
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
def read_pieces(  # type: ignore[no-untyped-def]
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
