"""Linear layers with int8 weights, for inference on processors that multiply them faster."""

from __future__ import annotations

import torch
from torch import nn

_LARGEST = 127
# Rows at a time, so that the sums, four bytes each, are memory that is mapped already.
_ROWS = 1024


class Int8Linear(nn.Module):
    """A linear layer whose weights, and whose inputs when they come, are int8 numbers.

    Each row of the weights, and each row of the input, has its own scale: its largest value
    becomes 127 or -127. What rounding takes off a weight is kept in a second int8 number, because
    it would shift all tokens alike, and so the mean over them; what it takes off the inputs
    averages out. Products are summed in int32, without overflow, and come out as float32.
    The layer to replace is on the CPU, in float32, and has at least two inputs.
    """

    weight: torch.Tensor
    rest: torch.Tensor
    scale: torch.Tensor
    bias: torch.Tensor | None

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        exact = linear.weight.detach()
        weight, scale = _rounded(exact)
        rest = (exact / scale - weight).mul_(2 * _LARGEST).round_().to(torch.int8)
        self.register_buffer("weight", weight)
        self.register_buffer("rest", rest)
        self.register_buffer("scale", scale.squeeze(1))
        bias = linear.bias
        self.register_buffer("bias", None if bias is None else bias.detach().clone())

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Multiply rows, (..., in_features), float32."""
        flat = rows.reshape(-1, rows.shape[-1])
        parts = [self._multiply(part) for part in flat.split(_ROWS)]
        product = parts[0] if len(parts) == 1 else torch.cat(parts)
        return product.view(*rows.shape[:-1], -1)

    def _multiply(self, rows: torch.Tensor) -> torch.Tensor:
        rounded, scale = _rounded(rows)
        product = torch._int_mm(rounded, self.rest.t()).float().div_(2 * _LARGEST)
        product.add_(torch._int_mm(rounded, self.weight.t()).float()).mul_(scale)
        if self.bias is None:
            return product.mul_(self.scale)
        return torch.addcmul(self.bias, product, self.scale)


def _rounded(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return rows as int8, and the scale of each, (n, 1)."""
    scale = rows.abs().amax(dim=1, keepdim=True).div_(_LARGEST)
    # Rows of zeros stay zeros.
    scale.clamp_(min=torch.finfo(scale.dtype).tiny)
    return (rows / scale).round_().to(torch.int8), scale
