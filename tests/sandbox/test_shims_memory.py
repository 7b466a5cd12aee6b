"""Atomics, descriptors, block pointers and operations that move elements."""

import pytest
import torch
from interpreting import Child, launcher

N = 101  # a prime
VALUES = torch.linspace(-3, 3, N)

ATOMIC = """
@triton.jit
def kernel(x_ptr, out_ptr, n):
    offs = tl.arange(0, 128)
    x = tl.load(x_ptr + offs, mask=offs < n)
    tl.atomic_{operation}(out_ptr + offs % 3, x, mask=offs < n)
"""


@pytest.mark.parametrize("dtype", [torch.float32, torch.int32, torch.float16, torch.bfloat16])
def test_atomic_additions_meet_at_one_address(child: Child, dtype: torch.dtype) -> None:
    x = torch.arange(N).remainder(5).to(dtype)
    call = "out = torch.zeros(3, dtype=x.dtype, device=x.device)\nkernel[(1,)](x, out, x.numel())\nreturn out"
    got = child.output(launcher(ATOMIC.format(operation="add"), call), x)
    assert torch.equal(got, torch.stack([x[i::3].sum() for i in range(3)]))


@pytest.mark.parametrize(("operation", "pick"), [("max", torch.amax), ("min", torch.amin)])
def test_atomic_extremes_of_floats(child: Child, operation: str, pick: object) -> None:
    call = "out = torch.zeros(3, dtype=x.dtype, device=x.device)\nkernel[(1,)](x, out, x.numel())\nreturn out"
    got = child.output(launcher(ATOMIC.format(operation=operation), call), VALUES)

    expected = torch.stack([pick(torch.cat([VALUES[i::3], torch.zeros(1)])) for i in range(3)])

    assert torch.equal(got, expected)


def test_compare_and_swap_takes_turns(child: Child) -> None:
    kernel = """
@triton.jit
def kernel(lock_ptr, out_ptr):
    while tl.atomic_cas(lock_ptr, 0, 1) == 1:
        pass
    tl.store(out_ptr, tl.load(out_ptr) + 1)
    tl.atomic_xchg(lock_ptr, 0)
"""
    call = """
lock = torch.zeros(1, dtype=torch.int32, device=x.device)
out = torch.zeros(1, dtype=torch.int32, device=x.device)
kernel[(7,)](lock, out)
return out
"""
    assert child.output(launcher(kernel, call), VALUES).item() == 7


DESCRIPTOR = """
from triton.tools.tensor_descriptor import TensorDescriptor

@triton.jit
def kernel({parameter}, out_ptr, M, N, R: tl.constexpr, C: tl.constexpr):
    {make}
    block = desc.load([{row}, 0])
    r, c = tl.arange(0, R), tl.arange(0, C)
    tl.store(out_ptr + r[:, None] * C + c[None, :], block)
"""
DEVICE = "desc = tl.make_tensor_descriptor(x_ptr, shape=[M, N], strides=[N, 1], block_shape=[R, C])"


@pytest.mark.parametrize("is_host", [False, True])
def test_descriptors_fill_with_zeros_beyond_the_tensor(child: Child, is_host: bool) -> None:
    x = torch.randn(5, 12, generator=torch.Generator().manual_seed(2))
    parameter, make = ("desc", "pass") if is_host else ("x_ptr", DEVICE)
    given = "TensorDescriptor.from_tensor(x, [4, 16])" if is_host else "x"
    call = f"out = x.new_empty(4, 16)\nkernel[(1,)]({given}, out, 5, 12, R=4, C=16)\nreturn out"
    got = child.output(launcher(DESCRIPTOR.format(parameter=parameter, make=make, row=3), call), x)
    expected = torch.zeros(4, 16)
    expected[:2, :12] = x[3:]
    assert torch.equal(got, expected)


def test_block_pointers_mask_only_what_they_check(child: Child) -> None:
    kernel = """
@triton.jit
def kernel(x_ptr, out_ptr, M, N, R: tl.constexpr):
    p = tl.make_block_ptr(x_ptr, (M, N), (N, 1), (0, 0), (R, R), (1, 0))
    block = tl.load(p, boundary_check=(0, 1), padding_option="zero")
    r = tl.arange(0, R)
    tl.store(out_ptr + r[:, None] * R + r[None, :], block)
"""
    call = "out = x.new_empty(8, 8)\nkernel[(1,)](x, out, x.shape[0], x.shape[1], R=8)\nreturn out"
    x = torch.randn(5, 7, generator=torch.Generator().manual_seed(3))
    assert torch.equal(child.output(launcher(kernel, call), x), torch.nn.functional.pad(x, (0, 1, 0, 3)))


def test_histograms_and_gathers(child: Child) -> None:
    kernel = """
@triton.jit
def kernel(x_ptr, out_ptr, n):
    offs = tl.arange(0, 128)
    x = tl.load(x_ptr + offs, mask=offs < n, other=0)
    h = tl.histogram(x, 8, mask=offs < n)
    bins = tl.arange(0, 8)
    tl.store(out_ptr + bins, tl.gather(h, 7 - bins, 0))
"""
    call = "out = torch.empty(8, dtype=torch.int32, device=x.device)\nkernel[(1,)](x, out, x.numel())\nreturn out"
    x = torch.arange(N, dtype=torch.int32).remainder(7)
    assert torch.equal(child.output(launcher(kernel, call), x), torch.bincount(x, minlength=8).flip(0).int())


def test_sorting_uses_triton_s_own_helpers(child: Child) -> None:
    kernel = """
@triton.jit
def kernel(x_ptr, out_ptr):
    offs = tl.arange(0, 64)
    tl.store(out_ptr + offs, tl.sort(tl.load(x_ptr + offs)))
"""
    x = torch.randn(64, generator=torch.Generator().manual_seed(4))
    got = child.output(launcher(kernel, "out = torch.empty_like(x)\nkernel[(1,)](x, out)\nreturn out"), x)
    assert torch.equal(got, x.sort().values)
