"""The interpreter computes what a GPU computes: library functions, number formats, products, reductions, rules."""

import math

import pytest
import torch
from interpreting import Child, elementwise, launcher, output_of

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


def product(child: Child, a: torch.Tensor, b: torch.Tensor, out: str = "float32", precision: str = "ieee") -> torch.Tensor:
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


RULES = {
    "a constant on the left": ("FACTOR * x", lambda x: 3 * x),
    "a constant subtracted from": ("FACTOR - x", lambda x: 3 - x),
    "comparison with a constant on the left": ("(FACTOR > x).to(tl.float32)", lambda x: (x < 3).float()),
    "value of a constant": ("x * BLOCK.value", lambda x: x * 64),
    "scalar arguments have a type": ("x * n.to(tl.float32)", lambda x: x * N),
    "min of tensors": ("min(x, 1.0)", lambda x: x.clamp(max=1)),
    "max of constants": ("x * max(BLOCK, 2)", lambda x: x * 64),
    "number of programs": ("x * tl.num_programs(0)", lambda x: x * 2),
}


@pytest.mark.parametrize("rule", RULES)
def test_expressions_follow_the_compiler(child: Child, rule: str) -> None:
    expression, expected = RULES[rule]
    source = elementwise(expression, 1, torch.float32).replace("@triton.jit", "FACTOR = tl.constexpr(3)\n@triton.jit", 1)
    assert torch.equal(child.output(source, VALUES), expected(VALUES))


BODIES = {
    "loop variables have a type": ("for i in range(0, 4):\n        y += x * i.to(tl.float32)", lambda x: x * 6),
    "tl.range takes hints": ("for i in tl.range(0, 8, 2, num_stages=3, flatten=True):\n        y += x * i", lambda x: x * 12),
    "static loops": ("for i in tl.static_range(1, 4):\n        y += x * i", lambda x: x * 6),
    "loops with a step by keyword": ("for i in tl.range(0, 9, step=3):\n        y += x", lambda x: x * 3),
    "numbers that a loop changes keep their type": (
        "k = 0\n    while k < 3:\n        y += x * k.to(tl.float32)\n        k += 1", lambda x: x * 3,
    ),
    "tuples": ("a, b = 2.0, 3.0\n    y = x * (a + b)", lambda x: x * 5),
    "is None": ("if other is None:\n        y = x + 1", lambda x: x + 1),
    "constants by annotation": ("half: tl.constexpr = BLOCK // 2\n    y = x + half", lambda x: x + 32),
    "hints": ("y = tl.multiple_of(x, 4)\n    tl.debug_barrier()\n    tl.assume(n > 0)", lambda x: x),
    "printing is silent": ("print(n)\n    tl.device_print('x', x)\n    tl.static_print(BLOCK)\n    y = x", lambda x: x),
    "dependent launch": ("tl.extra.cuda.gdc_wait()\n    tl.extra.cuda.gdc_launch_dependents()\n    y = x", lambda x: x),
    "integers wrap": ("y = x + ((n + 2147483647) < 0).to(tl.float32)", lambda x: x + 1),
    "quotients of negative integers round to zero": ("y = x + ((n - n - 7) // 2)", lambda x: x - 3),
}  # fmt: skip


@pytest.mark.parametrize("rule", BODIES)
def test_statements_follow_the_compiler(child: Child, rule: str) -> None:
    body, expected = BODIES[rule]
    kernel = f"""
@triton.jit
def kernel(x_ptr, out_ptr, n, other, BLOCK: tl.constexpr):
    offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + offs, mask=offs < n)
    y = tl.zeros_like(x)
    {body}
    tl.store(out_ptr + offs, y, mask=offs < n)
"""
    call = "out = torch.empty_like(x)\nkernel[(2,)](x, out, x.numel(), None, BLOCK=64)\nreturn out"
    assert torch.allclose(child.output(launcher(kernel, call), VALUES), expected(VALUES))


def test_float_arguments_are_fp32(child: Child) -> None:
    kernel = """
@triton.jit
def kernel(x_ptr, out_ptr, factor):
    offs = tl.arange(0, 8)
    tl.store(out_ptr + offs, tl.load(x_ptr + offs) * factor.to(tl.float64))
"""
    call = "out = torch.empty_like(x)\nkernel[(1,)](x, out, 0.1)\nreturn out"
    x = torch.ones(8, dtype=torch.float64)
    assert torch.equal(child.output(launcher(kernel, call), x), x * torch.tensor(0.1).double())


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
    with_zero = torch.cat([VALUES, torch.zeros(N * 3 - N)]).view(3, N)
    expected = torch.stack([pick(torch.cat([VALUES[i::3], torch.zeros(1)])) for i in range(3)])
    assert with_zero.numel() == 3 * N
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


def test_autotuned_and_heuristic_kernels_run(child: Child) -> None:
    kernel = """
@triton.autotune(configs=[triton.Config({"BLOCK": 32}), triton.Config({"BLOCK": 64})], key=["n"])
@triton.heuristics({"EVEN": lambda args: args["n"] % 2 == 0})
@triton.jit
def kernel(x_ptr, out_ptr, n, BLOCK: tl.constexpr, EVEN: tl.constexpr):
    offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + offs, mask=offs < n)
    tl.store(out_ptr + offs, x if EVEN else -x, mask=offs < n)
"""
    call = """
out = torch.empty_like(x)
kernel[lambda meta: (triton.cdiv(x.numel(), meta["BLOCK"]),)](x, out, x.numel())
return out
"""
    answer = child.interpret(launcher(kernel, call), VALUES)
    assert torch.equal(output_of(answer), -VALUES)
    assert answer.plan.launches[0].grid == (4, 1, 1)
