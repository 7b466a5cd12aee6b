"""The interpreter computes what a GPU computes: library functions, number formats, products."""

import math

import pytest
import torch
from interpreting import Child, elementwise, launcher

N = 101  # a prime
VALUES = torch.linspace(-3, 3, N)
POSITIVE = torch.linspace(0.01, 9, N)
UNIT = torch.linspace(-0.99, 0.99, N)


def near(got: torch.Tensor, expected: torch.Tensor, ulps: float = 4.0) -> bool:
    bound = ulps * torch.finfo(torch.float32).eps * expected.abs().clamp(min=1e-3)
    return bool(((got.double() - expected).abs() <= bound).all())


@pytest.mark.parametrize(
    ("expression", "x", "expected"),
    [
        ("libdevice.tanh(x)", VALUES, torch.tanh),
        ("libdevice.exp(x)", VALUES, torch.exp),
        ("libdevice.exp2(x)", VALUES, torch.exp2),
        ("libdevice.exp10(x)", VALUES, lambda x: 10**x),
        ("libdevice.expm1(x)", VALUES, torch.expm1),
        ("libdevice.log(x)", POSITIVE, torch.log),
        ("libdevice.log1p(x)", POSITIVE, torch.log1p),
        ("libdevice.log2(x)", POSITIVE, torch.log2),
        ("libdevice.fast_logf(x)", POSITIVE, torch.log),
        ("libdevice.fast_expf(x)", VALUES, torch.exp),
        ("libdevice.sqrt(x)", POSITIVE, torch.sqrt),
        ("libdevice.rsqrt(x)", POSITIVE, torch.rsqrt),
        ("libdevice.sin(x)", VALUES, torch.sin),
        ("libdevice.cos(x)", VALUES, torch.cos),
        ("libdevice.tan(x)", UNIT, torch.tan),
        ("libdevice.asin(x)", UNIT, torch.asin),
        ("libdevice.acos(x)", UNIT, torch.acos),
        ("libdevice.atan(x)", VALUES, torch.atan),
        ("libdevice.sinh(x)", VALUES, torch.sinh),
        ("libdevice.cosh(x)", VALUES, torch.cosh),
        ("libdevice.erf(x)", VALUES, torch.erf),
        ("libdevice.erfc(x)", VALUES, torch.erfc),
        ("libdevice.abs(x)", VALUES, torch.abs),
        ("libdevice.floor(x)", VALUES, torch.floor),
        ("libdevice.ceil(x)", VALUES, torch.ceil),
        ("libdevice.trunc(x)", VALUES, torch.trunc),
        ("libdevice.rint(x)", VALUES, torch.round),
        ("libdevice.float2int_rn(x)", VALUES, torch.round),
        ("libdevice.pow(x, 2.5)", POSITIVE, lambda x: x**2.5),
        ("libdevice.fma(x, x, x)", VALUES, lambda x: x * x + x),
        ("libdevice.fmod(x, 0.7)", VALUES, lambda x: torch.fmod(x, torch.tensor(0.7).double())),
        ("libdevice.copysign(x, -1.0)", VALUES, lambda x: -x.abs()),
        ("libdevice.div_rn(x, 3.0)", VALUES, lambda x: x / 3),
        ("tl.erf(x)", VALUES, torch.erf),
        ("tl.sigmoid(x)", VALUES, torch.sigmoid),
        ("tl.math.rsqrt(x)", POSITIVE, torch.rsqrt),
        ("tl.fma(x, x, x)", VALUES, lambda x: x * x + x),
    ],
)
def test_functions_agree_with_torch(child: Child, expression: str, x: torch.Tensor, expected: object) -> None:
    # fmod's divisor is a float32 in the kernel
    tolerance = 4.0 if "fmod" not in expression else 2000.0
    assert near(child.apply(expression, x), expected(x.double()), tolerance)


@pytest.mark.parametrize("name", ["isnan", "isinf", "finitef"])
def test_tests_of_special_values_give_integers(child: Child, name: str) -> None:
    x = torch.tensor([0.0, 1.0, math.inf, -math.inf, math.nan])
    expected = {"isnan": x.isnan(), "isinf": x.isinf(), "finitef": x.isfinite()}[name]
    assert torch.equal(child.apply(f"libdevice.{name}(x)", x, dtype=torch.int32) != 0, expected)


def test_an_unknown_library_function_is_not_covered(child: Child) -> None:
    answer = child.interpret(elementwise("libdevice.add_ru(x, x)", 1, torch.float32), VALUES)
    assert "libdevice function" in answer.not_covered[0]


def test_fp32_to_bf16_rounds_to_nearest_even(child: Child) -> None:
    halfway = torch.tensor([0x3F808000, 0x3F818000, 0x3F808001, 0x7F7FFFFF, 0x00000001], dtype=torch.int32)
    x = torch.cat([halfway.view(torch.float32), torch.randn(96, generator=torch.Generator().manual_seed(0))])
    assert torch.equal(child.apply("x.to(tl.bfloat16)", x, dtype=torch.bfloat16), x.bfloat16())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("expression", ["x + y", "x * y", "x - y", "-x", "x / y", "tl.maximum(x, y)", "tl.abs(x)"])
def test_16_bit_arithmetic_rounds_each_result(child: Child, dtype: torch.dtype, expression: str) -> None:
    x, y = VALUES.to(dtype), POSITIVE.to(dtype)
    expected = eval(expression, {"x": x, "y": y, "tl": torch})
    assert torch.equal(child.apply(expression, x, y, dtype=dtype), expected)


def test_bf16_comparisons_look_at_values(child: Child) -> None:
    x = VALUES.bfloat16()
    assert torch.equal(child.apply("x < -1.0", x, dtype=torch.int32) != 0, x < -1)


def test_bf16_and_integers_convert_by_value(child: Child) -> None:
    x = (VALUES * 40).bfloat16()
    assert torch.equal(child.apply("x.to(tl.int32)", x, dtype=torch.int32), x.int())
    assert torch.equal(child.apply("x.to(tl.bfloat16)", x.int(), dtype=torch.bfloat16), x.int().bfloat16())


@pytest.mark.parametrize(("name", "dtype"), [("float8e4nv", torch.float8_e4m3fn), ("float8e5", torch.float8_e5m2)])
def test_fp8_rounds_to_nearest_and_saturates(child: Child, name: str, dtype: torch.dtype) -> None:
    x = torch.cat([VALUES * 10, torch.tensor([1e6, -1e6])])
    limit = torch.finfo(dtype).max
    got = child.apply(f"x.to(tl.{name}).to(tl.float32)", x)
    assert torch.equal(got, x.clamp(-limit, limit).to(dtype).float())


def test_floats_beyond_an_integer_saturate(child: Child) -> None:
    x = torch.tensor([1e20, -1e20, math.nan, 2.7, -2.7])
    expected = torch.tensor([2**31 - 1, -(2**31), 0, 2, -2], dtype=torch.int32)
    assert torch.equal(child.apply("x.to(tl.int32)", x, dtype=torch.int32), expected)


def test_maximum_ignores_nan_unless_asked_to_keep_it(child: Child) -> None:
    x, y = torch.tensor([math.nan, 1.0]), torch.tensor([2.0, math.nan])
    assert child.apply("tl.maximum(x, y)", x, y).tolist() == [2.0, 1.0]
    kept = child.apply("tl.maximum(x, y, propagate_nan=tl.PropagateNan.ALL)", x, y)
    assert kept.isnan().all()


DOT = """
@triton.jit
def product(a_ptr, b_ptr, c_ptr, M, N, K, B: tl.constexpr, OUT: tl.constexpr, PRECISION: tl.constexpr):
    r, k = tl.arange(0, B), tl.arange(0, B)
    a = tl.load(a_ptr + r[:, None] * K + k[None, :], mask=(r[:, None] < M) & (k[None, :] < K), other=0.0)
    b = tl.load(b_ptr + k[:, None] * N + r[None, :], mask=(k[:, None] < K) & (r[None, :] < N), other=0.0)
    c = tl.dot(a, b, out_dtype=OUT, input_precision=PRECISION)
    tl.store(c_ptr + r[:, None] * N + r[None, :], c, mask=(r[:, None] < M) & (r[None, :] < N))
"""


def product(
    child: Child, a: torch.Tensor, b: torch.Tensor, out: str = "float32", precision: str = "ieee"
) -> torch.Tensor:
    call = f"""
c = torch.empty((a.shape[0], b.shape[1]), dtype=torch.{out}, device=a.device)
product[(1,)](a, b, c, a.shape[0], b.shape[1], a.shape[1], B=128, OUT=tl.{out}, PRECISION="{precision}")
return c
"""
    return child.output(launcher(DOT, call, "a, b"), a, b)


def operands(dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(37, 101, generator=generator).to(dtype), torch.randn(101, 53, generator=generator).to(dtype)


def error(got: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> float:
    return float((got.double() - a.double() @ b.double()).abs().max())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_products_accumulate_in_fp32(child: Child, dtype: torch.dtype) -> None:
    a, b = operands(dtype)
    assert error(product(child, a, b), a, b) < 2e-5


def test_fp32_products_lose_mantissa_bits_in_tf32(child: Child) -> None:
    a, b = operands()
    # 2^-10 of each factor is dropped; the default on a GPU
    assert 1e-3 < error(product(child, a, b, precision="tf32"), a, b) < 1e-1


@pytest.mark.parametrize(("precision", "bound"), [("tf32x3", 5e-5), ("bf16x6", 1e-4), ("bf16x3", 5e-3)])
def test_split_products_win_the_bits_back(child: Child, precision: str, bound: float) -> None:
    a, b = operands()
    assert error(product(child, a, b, precision=precision), a, b) < bound


def test_fp16_accumulators_round_at_every_step(child: Child) -> None:
    a, b = operands(torch.float16)
    rounded_once = error((a.float() @ b.float()).half(), a, b)
    assert error(product(child, a, b, out="float16"), a, b) > 1.5 * rounded_once
