"""Bilinear resizing whose gradient is the same in every run, on a GPU too, and fast.

PyTorch's backward pass adds up with atomics on CUDA, in whatever order threads arrive. Asked for deterministic
algorithms it replaces the whole operation by indexing, whose backward pass sorts every element. But resizing is linear
in rows and in columns, so that its gradient is two small matrix products.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
import torch.fx
import torch.nn.functional as F
from torch import Tensor


def resize_bilinear(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize with half-pixel centres: float (N, C, H, W) to (N, C, *size)."""
    if _slow_backward(x):
        return _Resize.apply(x, size)  # type: ignore[no-any-return]
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def double_bilinear(x: Tensor) -> Tensor:
    """Double height and width with half-pixel centres: float (N, C, H, W) to (N, C, 2H, 2W), for any H and W."""
    if _slow_backward(x):
        return _Resize.apply(x, (2 * x.shape[-2], 2 * x.shape[-1]))  # type: ignore[no-any-return]
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def _slow_backward(x: Tensor) -> bool:
    if isinstance(x, torch.fx.Proxy) or torch.compiler.is_compiling():
        return False  # what is traced or exported is never trained
    return x.is_cuda and torch.are_deterministic_algorithms_enabled()


class _Resize(torch.autograd.Function):
    """PyTorch's forward pass, which is deterministic, with a backward pass of matrix products."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, size: tuple[int, int]) -> Tensor:
        ctx.sides = tuple(zip(x.shape[-2:], size, strict=True))
        resized: Tensor = torch.ops.aten.upsample_bilinear2d(x, size, False)
        return resized

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (grad,) = grads
        rows, columns = (_matrix(small, large, grad.device) for small, large in ctx.sides)
        with torch.autocast(grad.device.type, enabled=False):
            product = rows.T @ grad.float() @ columns
        # In the layout in which it came, for the convolution below.
        channels_last = grad.is_contiguous(memory_format=torch.channels_last)
        layout = torch.channels_last if channels_last else torch.contiguous_format
        return product.to(grad.dtype).contiguous(memory_format=layout), None


@functools.lru_cache(maxsize=64)
def _matrix(n_in: int, n_out: int, device: torch.device) -> Tensor:
    """What resizing one axis multiplies by: float32 (n_out, n_in)."""
    with torch.no_grad():
        unit = torch.eye(n_in).unsqueeze(0)  # every position by itself
        return F.interpolate(unit, size=n_out, mode="linear", align_corners=False)[0].T.contiguous().to(device)
