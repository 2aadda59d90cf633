"""Attention of packed sequences on a GPU: no padding, no bias in memory, no far field.

Of what torch offers, flex attention alone fits: variable-length attention has no bias, and fused
`scaled_dot_product_attention` wants the bias as a tensor of (heads, length, length).
"""

import functools
import logging
from collections.abc import Callable
from importlib.util import find_spec
from subprocess import SubprocessError
from typing import Any

import torch
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from .._device import is_out_of_memory
from ._packed_attention import reach_of_heads

logger = logging.getLogger("dnaembed")

# Tokens are looked at in squares of this side: a square without anything to attend to is skipped.
_BLOCK = 128
# What the kernel needs of the graphics card: bfloat16 in hardware, and columns enough to multiply.
_CAPABILITY = (8, 0)
_SMALLEST_HEAD = 16
_List = tuple[torch.Tensor, torch.Tensor]


def flex_is_usable(device: torch.device, n_heads: int, head_size: int, dtype: torch.dtype) -> bool:
    """Tell whether the kernel exists for this device, and can be compiled here."""
    return (
        device.type == "cuda"
        and head_size >= _SMALLEST_HEAD
        and find_spec("triton") is not None
        and torch.cuda.get_device_capability(device) >= _CAPABILITY
        and _compiles(device, n_heads, head_size, dtype)
    )


@functools.cache
def _compiles(device: torch.device, n_heads: int, head_size: int, dtype: torch.dtype) -> bool:
    # The kernel serves all batches. Without a compiler, torch raises this or that.
    lengths = torch.tensor([2 * _BLOCK, _BLOCK // 2])
    n_tokens = int(lengths.sum())
    packed = torch.zeros(n_tokens, n_heads, head_size, dtype=dtype, device=device)
    try:
        with torch.inference_mode():
            FlexAttention(lengths, torch.ones(n_heads), n_tokens, device)(packed, packed, packed)
    except (RuntimeError, OSError, SubprocessError) as error:
        if is_out_of_memory(error):
            raise
        reason = str(error).strip().split("\n")[0]
        logger.warning("Attention goes without its own kernel, which did not compile: %s", reason)
        return False
    return True


class FlexAttention:
    """Attention within each sequence of a packed batch, for all layers of one forward pass.

    Blocks of keys beyond `reach_of_heads` are skipped. `n_tokens` is the sum of `lengths`, given
    because nothing here waits for the device.
    """

    def __init__(
        self, lengths: torch.Tensor, slopes: torch.Tensor, n_tokens: int, device: torch.device
    ) -> None:
        self.slopes = slopes.to(device, non_blocking=True)
        lengths = lengths.to(device, non_blocking=True)
        numbers = torch.arange(len(lengths), device=device, dtype=torch.int32)
        self.document = numbers.repeat_interleave(lengths, output_size=n_tokens)
        self.partial, self.full = _block_lists(self.document)
        self.kernel = _kernel if device.type == "cpu" else compiled_kernel()

    def __call__(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Attend; all are (n_tokens, heads, head_size) of one dtype, and computed in float32."""
        query, key, value = (x.transpose(0, 1)[None] for x in (query, key, value))
        reach = (reach_of_heads(query, key, self.slopes) / _BLOCK).ceil()
        blocks = (*_counted(*self.partial, reach), *_counted(*self.full, reach))
        context = self.kernel(query, key, value, self.slopes, self.document, blocks)
        return context[0].transpose(0, 1)


def _block_lists(document: torch.Tensor) -> tuple[_List, _List]:
    """Which blocks of keys a block of queries needs: in part, and in full; nearest first.

    Each list is a pair of (blocks, blocks), int32: the keys' blocks in order of their distance, and
    that distance, which is larger than any for blocks that are not needed.
    """
    n_tokens = len(document)
    n_blocks = -(-n_tokens // _BLOCK)
    place = torch.arange(n_blocks, device=document.device, dtype=torch.int32)
    first = document[::_BLOCK]
    last = document[(place * _BLOCK + _BLOCK - 1).clamp(max=n_tokens - 1)]
    # Sequences are numbered in their order, so blocks share one where the ranges overlap.
    needed = (first[:, None] <= last) & (first <= last[:, None])
    whole = (first == last) & ((place + 1) * _BLOCK <= n_tokens)
    full = needed & whole[:, None] & whole
    distance = (place[:, None] - place).abs()
    partial = _nearest_first(distance, needed & ~full)
    return partial, _nearest_first(distance, full)


def _nearest_first(distance: torch.Tensor, listed: torch.Tensor) -> _List:
    far = torch.iinfo(torch.int32).max
    distances, order = distance.masked_fill(~listed, far).sort(dim=-1, stable=True)
    return order.to(torch.int32), distances


def _counted(order: torch.Tensor, distances: torch.Tensor, reach: torch.Tensor) -> _List:
    """Lengths of a list by head, (1, heads, blocks), and the list itself, for `BlockMask`."""
    # What is not on the list is farther than any block, even for an unlimited reach.
    limit = reach.clamp(max=len(order))[:, None, None]
    counts = (distances <= limit).sum(dim=-1, dtype=torch.int32)
    return counts[None], order.expand(1, len(reach), -1, -1).contiguous()


def _kernel(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    slopes: torch.Tensor,
    document: torch.Tensor,
    blocks: tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor],
) -> torch.Tensor:
    n_tokens = query.shape[2]

    def alibi(score: Any, row: Any, head: Any, i: Any, j: Any) -> Any:
        return score - slopes[head] * (i - j).abs()

    def one_sequence(row: Any, head: Any, i: Any, j: Any) -> Any:
        return document[i] == document[j]

    # Symmetric, so the lists for the keys, of which a backward pass would ask, are the same.
    mask = BlockMask(
        (n_tokens, n_tokens), *blocks, *blocks, BLOCK_SIZE=(_BLOCK, _BLOCK), mask_mod=one_sequence
    )
    return flex_attention(query, key, value, score_mod=alibi, block_mask=mask)


@functools.cache
def compiled_kernel() -> Callable[..., torch.Tensor]:
    # Dynamic: batches have any number of tokens, and a compilation takes many seconds.
    return torch.compile(_kernel, dynamic=True, fullgraph=True)
