"""Reductions and scans agree with torch, whatever combines the elements."""

import pytest
import torch
from interpreting import Child, launcher

N = 101  # a prime
REDUCE = """
@triton.jit
def add(a, b):
    return a + b

@triton.jit
def keep_last(a, b):
    return b

@triton.jit
def rows(x_ptr, out_ptr, n, B: tl.constexpr, RESULT: tl.constexpr):
    r, c = tl.arange(0, 4), tl.arange(0, B)
    mask = (r[:, None] < 3) & (c[None, :] < n)
    x = tl.load(x_ptr + r[:, None] * n + c[None, :], mask=mask, other={other})
    tl.store(out_ptr + {place}, {expression}, mask={store_mask})
"""


def reduce(child: Child, expression: str, x: torch.Tensor, other: str = "0.0", out: str = "float32") -> torch.Tensor:
    kernel = REDUCE.format(expression=expression, other=other, place="r", store_mask="r < 3")
    call = f"""
out = torch.empty(3, dtype=torch.{out}, device=x.device)
rows[(1,)](x, out, x.shape[1], B=128, RESULT=0)
return out
"""
    return child.output(launcher(kernel, call), x)


def scan(child: Child, expression: str, x: torch.Tensor) -> torch.Tensor:
    kernel = REDUCE.format(expression=expression, other="0.0", place="r[:, None] * n + c[None, :]", store_mask="mask")
    call = "out = torch.empty_like(x)\nrows[(1,)](x, out, x.shape[1], B=128, RESULT=0)\nreturn out"
    return child.output(launcher(kernel, call), x)


def table(dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(3, N, generator=torch.Generator().manual_seed(1)).to(dtype)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("tl.sum(x, axis=1)", lambda x: x.sum(1)),
        ("tl.sum(x, 1, keep_dims=True).reshape(4)", lambda x: x.sum(1)),
        ("tl.reduce(x, 1, add)", lambda x: x.sum(1)),
        ("tl.sum(tl.trans(x), axis=0)", lambda x: x.sum(1)),
        ("tl.max(x, axis=-1)", lambda x: x.clamp(min=0).amax(1)),
        ("tl.min(x, axis=1)", lambda x: x.clamp(max=0).amin(1)),
        ("tl.argmax(x, axis=1).to(tl.float32)", lambda x: x.argmax(1).double()),
        ("tl.argmax(x, 1, tie_break_left=False).to(tl.float32)", lambda x: x.argmax(1).double()),
        ("tl.max(x, 1, return_indices=True)[1].to(tl.float32)", lambda x: x.argmax(1).double()),
        ("tl.sum(x, axis=None) + r * 0", lambda x: x.sum().expand(3)),
    ],
)
def test_reductions_agree_with_torch(child: Child, expression: str, expected: object) -> None:
    x = table()
    assert torch.allclose(reduce(child, expression, x).double(), expected(x.double()), atol=1e-5)


def test_reductions_of_bf16_add_values_and_round(child: Child) -> None:
    x = table(torch.bfloat16)
    got = reduce(child, "tl.sum(x, axis=1)", x, out="bfloat16")
    assert torch.allclose(got.double(), x.double().sum(1), atol=0.5)
    assert not torch.allclose(got.double(), x.double().sum(1), atol=1e-4)


def test_combinations_need_not_be_commutative(child: Child) -> None:
    x = torch.nn.functional.pad(table(), (0, 128 - N), value=5.0).contiguous()
    assert torch.equal(reduce(child, "tl.reduce(x, 1, keep_last)", x), x[:, -1])


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("tl.cumsum(x, axis=1)", lambda x: x.cumsum(1)),
        ("tl.associative_scan(x, 1, add)", lambda x: x.cumsum(1)),
        ("tl.cumprod(x, axis=1)", lambda x: x.cumprod(1)),
        ("tl.cumsum(x, axis=1, reverse=True)", lambda x: x.flip(1).cumsum(1).flip(1)),
        ("tl.associative_scan(x, 1, keep_last)", lambda x: x),
    ],
)
def test_scans_agree_with_torch(child: Child, expression: str, expected: object) -> None:
    x = table()
    assert torch.allclose(scan(child, expression, x).double(), expected(x.double()), atol=1e-5)
