"""Each rule of the Triton lint, on a kernel that breaks it and on one that does not."""

from types import ModuleType

import pytest

from tilewright.evaluator.lint import hint_for, lint
from tilewright.evaluator.triton_names import MISSING_FORMS, TL_MATH_NAMES, TL_NAMES
from tilewright.sandbox.failure import Failure, FailureKind, Stage

HEAD = """\
import math
import torch
import triton
import triton.language as tl
from triton.language.extra import libdevice
LIMIT = 4
FIXED: tl.constexpr = 4
SAME = tl.constexpr(4)
KIND = tl.float32
@triton.jit
def helper(a, b):
    return a + b
"""


def kernel(body: str, *, parameters: str = "x_ptr, y_ptr, n, BLOCK: tl.constexpr", top: str = "") -> str:
    """A kernel with a loaded fp32 block `x`, a raw one `raw`, columns `cols` and the given lines."""
    lines = [
        "cols = tl.arange(0, BLOCK)",
        "raw = tl.load(x_ptr + cols, mask=cols < n)",
        "x = raw.to(tl.float32)",
        *body.splitlines(),
    ]
    return HEAD + top + f"@triton.jit\ndef kernel({parameters}):\n" + "".join(f"    {line}\n" for line in lines)


# rule -> (breaks it, keeps it)
PAIRS = [
    ("tl-name", "y = tl.tanh(x)", "y = libdevice.tanh(x)"),
    ("tl-name", "y = tl.math.tanh(x)", "y = tl.math.exp(x)"),
    ("tl-name", "y = tl.math.pow(x, 2.0)", "y = libdevice.pow(x, 2.0)"),
    ("tl-name", "y = tl.libdevice.tanh(x)", "y = tl.extra.cuda.libdevice.tanh(x)"),
    ("tl-name", "tl.prefetch(x_ptr)", "tl.debug_barrier()"),
    ("tl-name", "y = tl.mean(x, 0)", "y = tl.sum(x, 0) / n"),
    ("tl-name", "y = tl.any(x > 0)", "y = tl.max((x > 0).to(tl.int32), 0)"),
    ("tl-name", "y = tl.log1p(x)", "y = libdevice.log1p(x)"),
    ("tl-name", "y = tl.isnan(x)", "y = libdevice.isnan(x)"),
    (
        "tl-name",
        "d = tl._experimental_make_tensor_descriptor(x_ptr, [n], [1], [BLOCK])",
        "d = tl.make_tensor_descriptor(x_ptr, [n], [1], [BLOCK])",
    ),
    ("tl-keyword", "y = tl.sum(x, dim=0)", "y = tl.sum(x, axis=0)"),
    ("tl-keyword", "y = tl.max(x, 0, keepdim=True)", "y = tl.max(x, 0, keep_dims=True)"),
    (
        "tl-keyword",
        "for i in tl.range(0, n, num_consumer_groups=2):\n    pass",
        "for i in tl.range(0, n, num_stages=2):\n    pass",
    ),
    ("tl-keyword", "y = tl.dot(x, x, allow_tf32=False)", "y = tl.dot(x, x, input_precision='ieee')"),
    ("power", "y = x ** 2", "y = x * x * (BLOCK ** 2)"),
    ("loop-exit", "for i in range(n):\n    break", "if n == 0:\n    return\nfor i in range(n):\n    pass"),
    ("loop-exit", "while n > 0:\n    continue", "while n > 0:\n    n -= 1"),
    ("loop-exit", "for i in range(n):\n    return", "for i in range(n):\n    pass\nreturn"),
    ("indexing", "y = x[0]", "pair = (x, x)\ny = pair[0]"),
    ("indexing", "y = x[0:4]", "y = x[:, None]"),
    ("indexing", "y = x[:, 0]", "y = x[None, :]"),
    ("item-assignment", "x[0] = 1.0", "x = tl.where(cols == 0, 1.0, x)"),
    ("condition", "if x > 0:\n    x = x + 1", "if n > 0:\n    x = x + 1"),
    ("condition", "y = 1.0 if cols < n else 0.0", "y = tl.where(cols < n, 1.0, 0.0)"),
    ("condition", "while x > 0:\n    x -= 1", "while tl.program_id(0) > n:\n    n += 1"),
    ("chained-comparison", "m = 0 <= cols < n", "m = (cols >= 0) & (cols < n)"),
    ("lambda", "f = lambda a: a", "f = helper(x, x)"),
    ("nested-def", "def f(a):\n    return a", "f = helper(x, x)"),
    ("arange", "y = tl.arange(0, 100)", "y = tl.arange(0, 128)"),
    ("arange", "y = tl.arange(0, n)", "y = tl.arange(0, BLOCK)"),
    ("block-size", "y = tl.arange(0, 2097152)", "y = tl.arange(0, 1048576)"),
    ("block-size", "y = tl.zeros((2048, 1024), tl.float32)", "y = tl.zeros((1024, 1024), tl.float32)"),
    ("dot-types", "y = tl.dot(x, tl.zeros((16, 16), tl.float16))", "y = tl.dot(raw.to(tl.float16), x.to(tl.float16))"),
    ("dot-types", "y = tl.dot(tl.exp(x), raw)", "y = tl.dot(tl.exp(x).to(raw.dtype), raw)"),
    ("dot-precision", "y = tl.dot(x, x)", "y = tl.dot(raw, raw)"),
    ("carried-type", "s = 0\nfor i in range(n):\n    s += tl.sum(x, 0)", "s = 0.0\nfor i in range(n):\n    s += 1.5"),
    ("carried-type", "s = 0\nfor i in range(n):\n    s = s + x", "s = 0\nfor i in range(n):\n    s += BLOCK"),
    ("one-branch", "if n > 3:\n    z = x\ny = z", "z = x\nif n > 3:\n    z = x + 1\ny = z"),
    ("one-branch", "if n > 3:\n    z = x\nelse:\n    w = x\ny = w", "if BLOCK > 3:\n    z = x\ny = z"),
    ("load-other", "y = tl.load(x_ptr, other=0.0)", "y = tl.load(x_ptr, mask=n > 0, other=0.0)"),
    ("load-other", "y = tl.load(x_ptr, other=0.0)", "y = tl.load(x_ptr, n > 0, other=0.0)"),
    (
        "eviction",
        "y = tl.load(x_ptr, eviction_policy='evict_normal')",
        "y = tl.load(x_ptr, eviction_policy='evict_last')",
    ),
    ("needs-fp32", "y = tl.exp(raw)", "y = tl.exp(x)"),
    ("needs-fp32", "h = x.to(tl.bfloat16)\ny = tl.math.sqrt(h)", "y = tl.sqrt(x)"),
    ("needs-fp32", "y = tl.sigmoid(tl.load(x_ptr))", "y = tl.sigmoid(tl.load(x_ptr).to(tl.float32))"),
    ("global", "y = x * LIMIT", "y = (x * FIXED * SAME).to(KIND)"),
    ("foreign-module", "y = x * math.pi", "y = x * 3.141592653589793"),
    ("foreign-module", "y = x.to(torch.float16)", "y = x.to(tl.float16)"),
]


@pytest.mark.parametrize(("rule", "wrong", "right"), PAIRS, ids=[f"{rule}-{i}" for i, (rule, *_) in enumerate(PAIRS)])
def test_a_rule_finds_its_fault_and_nothing_in_the_right_form(rule: str, wrong: str, right: str) -> None:
    found = [finding for finding in lint(kernel(wrong)) if finding.rule == rule]
    assert found, lint(kernel(wrong))
    assert all(finding.message and finding.right_form for finding in found)
    assert [finding for finding in lint(kernel(right)) if finding.rule == rule] == []


def test_a_finding_stands_at_its_line() -> None:
    source = kernel("y = tl.tanh(x)")
    (finding,) = lint(source)
    assert source.splitlines()[finding.line - 1].strip() == "y = tl.tanh(x)"


def test_a_short_k_of_a_product_is_found_in_the_files_own_numbers() -> None:
    top = 'KNOBS = {"BLOCK_K": (8, 32)}\n'
    parameters = "x_ptr, y_ptr, n, BLOCK: tl.constexpr, BLOCK_K: tl.constexpr"
    found = lint(kernel("y = tl.dot(raw, raw)", parameters=parameters, top=top))
    assert [finding.rule for finding in found] == ["dot-k"]
    assert lint(kernel("y = tl.dot(raw, raw)", parameters=parameters, top=top.replace("8, ", ""))) == ()


def test_a_knob_that_is_no_power_of_two_is_found_where_arange_uses_it() -> None:
    found = lint(kernel("pass", top='KNOBS = {"BLOCK": (96, 128)}\n'))
    assert [(finding.rule, "96" in finding.message) for finding in found] == [("arange", True)]


def test_code_outside_of_kernels_is_not_linted() -> None:
    assert lint(HEAD + "def launch(x):\n    return 1 < x < LIMIT ** 2\n") == ()


def test_a_file_that_does_not_parse_has_no_findings() -> None:
    assert lint("def f(:") == ()


def _failure(kind: FailureKind, message: str = "kernel does not compile") -> Failure:
    return Failure(kind=kind, stage=Stage.COMPILE, message=message)


def test_a_compile_error_gets_the_lints_advice() -> None:
    hint = hint_for(kernel("y = tl.tanh(x)"), _failure(FailureKind.COMPILE_ERROR))
    assert "`tl.tanh` does not exist" in hint
    assert "libdevice.tanh" in hint


def test_the_line_that_the_compiler_names_comes_first() -> None:
    source = kernel("a = tl.tanh(x)\nb = tl.prefetch(x_ptr)")
    last = len(source.splitlines())
    hint = hint_for(source, _failure(FailureKind.COMPILE_ERROR, f"error at line {last}"))
    assert hint.startswith(f"line {last}: `tl.prefetch`")


def test_wrong_values_get_advice_on_numbers_only() -> None:
    source = kernel("a = tl.tanh(x)\nb = tl.dot(x, x)")
    hint = hint_for(source, _failure(FailureKind.WRONG_VALUES))
    assert "TF32" in hint
    assert "tanh" not in hint


def test_other_failures_get_no_advice() -> None:
    assert hint_for(kernel("y = tl.tanh(x)"), _failure(FailureKind.TIME_LIMIT)) == ""


def test_the_tables_agree_with_the_installed_triton() -> None:
    from triton import language

    # A submodule is a name of the package only once something has imported it.
    offered = {name for name, value in vars(language).items() if name[0] != "_" and not isinstance(value, ModuleType)}
    assert {name for name in MISSING_FORMS if hasattr(language, name)} == set()
    assert {name for name in TL_MATH_NAMES if not hasattr(language.math, name)} == set()
    # Helpers of the language's own implementation are left out on purpose.
    assert offered - TL_NAMES <= {"constexpr_type", "tensor_descriptor_type", "tuple_type"}
