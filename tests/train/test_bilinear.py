"""Resizing against PyTorch's own, and its gradient on a GPU against itself."""

import pytest
import torch
import torch.nn.functional as F

from edgeseg.train.bilinear import _Resize, double_bilinear, resize_bilinear

SIZES = [(14, 18), (20, 11), (5, 4), (7, 9)]  # doubled, stretched, shrunk, as it is; from 7 x 9


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_gradient_of_matrix_products_is_that_of_pytorch(size, layout):
    x = torch.randn(2, 3, 7, 9).contiguous(memory_format=layout).requires_grad_()
    theirs, ours = F.interpolate(x, size=size, mode="bilinear", align_corners=False), _Resize.apply(x, size)
    assert torch.equal(ours, theirs)
    upstream = torch.randn(2, 3, *size).contiguous(memory_format=layout)
    (expected,) = torch.autograd.grad(theirs, x, upstream)
    (found,) = torch.autograd.grad(ours, x, upstream)
    assert torch.allclose(found, expected, atol=1e-5)
    assert found.is_contiguous(memory_format=layout)


def test_doubling_is_resizing_to_twice_the_size():
    x = torch.randn(1, 2, 5, 6)
    assert torch.equal(double_bilinear(x), resize_bilinear(x, (10, 12)))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_gives_the_same_gradient_twice_and_the_one_of_the_cpu():
    def gradient(device: str) -> torch.Tensor:
        x = torch.rand(4, 8, 64, 64, generator=torch.Generator().manual_seed(0)).to(device).requires_grad_()
        weights = torch.rand(4, 8, 128, 128, generator=torch.Generator().manual_seed(1)).to(device)
        (double_bilinear(x) * weights).sum().backward()
        return x.grad.cpu()

    before = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode("error")  # anything that is not deterministic raises
    try:
        first, second = gradient("cuda"), gradient("cuda")
    finally:
        torch.set_deterministic_debug_mode(before)
    assert torch.equal(first, second)
    assert torch.allclose(first, gradient("cpu"), atol=1e-5)
