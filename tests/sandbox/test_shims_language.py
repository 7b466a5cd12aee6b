"""Interpreted kernels follow the compiler's rules where plain Python differs."""

import pytest
import torch
from interpreting import Child, elementwise, launcher, output_of

N = 101  # a prime
VALUES = torch.linspace(-3, 3, N)

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
    source = elementwise(expression, 1, torch.float32).replace(
        "@triton.jit", "FACTOR = tl.constexpr(3)\n@triton.jit", 1
    )
    assert torch.equal(child.output(source, VALUES), expected(VALUES))


BODIES = {
    "loop variables have a type": ("for i in range(0, 4):\n        y += x * i.to(tl.float32)", lambda x: x * 6),
    "tl.range takes hints": (
        "for i in tl.range(0, 8, 2, num_stages=3, flatten=True):\n        y += x * i", lambda x: x * 12,
    ),
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


def test_kernels_may_close_over_constants_and_call_helpers(child: Child) -> None:
    kernel = """
def make(factor):
    @triton.jit
    def helper(x, times: tl.constexpr):
        return x * factor * times

    @triton.jit
    def kernel(x_ptr, out_ptr, n, BLOCK: tl.constexpr):
        offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
        tl.store(out_ptr + offs, helper(tl.load(x_ptr + offs, mask=offs < n), 2), mask=offs < n)

    return kernel


kernel = make(tl.constexpr(3))
"""
    call = "out = torch.empty_like(x)\nkernel[(2,)](x, out, x.numel(), BLOCK=64)\nreturn out"
    assert torch.equal(child.output(launcher(kernel, call), VALUES), VALUES * 6)
