"""What the static gate refuses, and what it must let through."""

import pytest

from tilewright.evaluator.static import check
from tilewright.sandbox.failure import FailureKind, Stage
from tilewright.tasks.candidate import KnobRange

HEAD = """\
import math
import torch
import torch.nn as nn
import torch.nn.functional as F
import triton
import triton.language as tl
from triton.language.extra import libdevice
"""
KERNEL = """
@triton.jit
def kernel(x_ptr, y_ptr, n, BLOCK: tl.constexpr):
    cols = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + cols, mask=cols < n, other=0.0).to(tl.float32)
    tl.store(y_ptr + cols, libdevice.tanh(x), mask=cols < n)
"""


def candidate(forward: str = "", *, top: str = "", init: str = "") -> str:
    """A right file with lines added at the top level, in __init__ and in forward."""
    return (
        HEAD
        + KERNEL
        + top
        + "\nclass ModelNew(nn.Module):\n    def __init__(self, *args):\n        super().__init__()\n"
        + "".join(f"        {line}\n" for line in init.splitlines())
        + "\n    def forward(self, x, w=None):\n"
        + "".join(f"        {line}\n" for line in forward.splitlines())
        + "        y = torch.empty_like(x)\n"
        + "        kernel[(triton.cdiv(x.numel(), 256),)](x, y, x.numel(), BLOCK=256)\n        return y\n"
    )


LEGITIMATE = {
    "plain": candidate(),
    "views": candidate("x = x.contiguous().view(-1, x.shape[-1]).transpose(0, 1)[:, 1:].permute(1, 0).unsqueeze(0)"),
    "queries": candidate("assert x.is_cuda and x.stride(-1) == 1 and x.dtype in (torch.float16, torch.float32)"),
    "device properties": candidate("sms = torch.cuda.get_device_properties(x.device).multi_processor_count"),
    "device properties at import": candidate(
        top="SMS = torch.cuda.get_device_properties('cuda').multi_processor_count\n"
    ),
    "grid lambda": candidate("grid = lambda meta: (triton.cdiv(x.numel(), meta['BLOCK']),)"),
    "finishing reduction": candidate("total = torch.zeros(1, device=x.device)\nmean = total.sum() / x.shape[0]"),
    "padding": candidate("x = F.pad(x, (0, 3))"),
    "math": candidate("scale = 1.0 / math.sqrt(x.shape[-1])\nblock = max(16, min(triton.next_power_of_2(7), 64))"),
    "parameters": candidate(
        init="self.weight = nn.Parameter(torch.ones(4))\nself.proj = nn.Linear(4, 4)\n"
        "nn.init.uniform_(self.weight, -0.5, 0.5)\nself.weight.data.normal_()\nself.register_buffer('t', torch.rand(3))"
    ),
    "layer as a holder": candidate("w = self.proj.weight", init="self.proj = nn.Linear(4, 4)"),
    "stacked decorators": HEAD
    + "@triton.autotune(configs=[triton.Config({'BLOCK': 256}, num_warps=4)], key=['n'])\n"
    + "@triton.heuristics({'EVEN': lambda args: args['n'] % 2 == 0})"
    + KERNEL.replace("n, BLOCK", "n, EVEN: tl.constexpr, BLOCK")
    + "\nclass ModelNew(nn.Module):\n    def forward(self, x):\n        kernel[(1,)](x, x, 3)\n        return x\n",
    "helper and subclass": HEAD
    + KERNEL
    + "\ndef launch(x, *, warps=4, names=(1, 2)):\n    y = torch.empty(x.shape, dtype=x.dtype, device=x.device)\n"
    + "    run = kernel\n    run[(1,)](x, y, 3, BLOCK=16, num_warps=warps)\n    return y\n"
    + "\nclass Base(nn.Module):\n    def forward(self, x):\n        return launch(x)\n"
    + "\nclass ModelNew(Base):\n    '''Launches.'''\n",
    "own method named like a computing one": candidate("self.softmax(x)").replace(
        "    def forward", "    def softmax(self, x):\n        return x\n\n    def forward"
    ),
    "an input named input": candidate("x = input").replace("self, x, w=None", "self, input"),
    "local list": candidate("sizes = []\nsizes.append(x.shape[0])\nsizes[0] = 4\nx[0] = 1.0"),
    "guarded import": candidate(
        top="try:\n    from triton.language.extra.cuda import libdevice\nexcept ImportError:\n    pass\n"
    ),
    "descriptor": candidate(
        "d = TensorDescriptor(x, x.shape, x.stride(), [16, 16])",
        top="from triton.tools.tensor_descriptor import TensorDescriptor\n",
    ),
    "allocator": candidate(
        top="def alloc(size, alignment, stream):\n    return torch.empty(size, device='cuda', dtype=torch.int8)\n"
        "triton.set_allocator(alloc)\n"
    ),
    "knobs read": candidate("n = knobs['B'] + knobs.get('W', 4)", top="KNOBS = {'B': (1, 2)}\nknobs = {'B': 1}\n"),
}


@pytest.mark.parametrize("name", LEGITIMATE)
def test_a_legitimate_launcher_passes(name: str) -> None:
    failure = check(LEGITIMATE[name]).failure
    assert failure is None, failure


FORBIDDEN = {
    "computing function": candidate("y = torch.softmax(x, -1)"),
    "computing function without a call": candidate("f = torch.exp"),
    "functional": candidate("F.silu(x)"),
    "product operator": candidate("y = x @ w"),
    "product in place": candidate("x @= w"),
    "method": candidate("y = x.matmul(w)"),
    "method of the class": candidate("y = torch.Tensor.softmax(x, -1)"),
    "layer call": candidate("y = self.proj(x)", init="self.proj = nn.Linear(4, 4)"),
    "function of a helper": candidate(top="def helper(x):\n    return torch.mm(x, x)\n"),
    "function in a lambda": candidate(top="helper = lambda x: torch.mm(x, x)\n"),
    "module as a value": candidate("t = torch\nt.softmax(x, -1)"),
    "star import": "from torch import *\n" + candidate(),
    "relative import": "from . import x\n" + candidate(),
    "import in a function": candidate("import os"),
    "private attribute": candidate("b = x._base"),
    "private torch": candidate("torch._C._cuda_synchronize()"),
    "dunder attribute": candidate("c = x.__class__"),
    "dunder name": candidate("b = __builtins__"),
    "dunder in a kernel": candidate().replace("libdevice.tanh(x)", "x.__class__"),
    "getattr in a kernel": candidate().replace("libdevice.tanh(x)", "getattr(tl, 'exp')(x)"),
    "state on self": candidate("self.calls = 1"),
    "state in a dict on self": candidate("self.table[1] = x", init="self.table = {}"),
    "state under a local name": candidate("table = self.table\ntable[1] = x", init="self.table = {}"),
    "state in a module list": candidate("seen.append(x)", top="seen = []\n"),
    "state on a kernel": candidate("kernel.seen = x"),
    "nonlocal": candidate("n = 0\ndef f():\n    nonlocal n\n    n += 1"),
    "mutable default": candidate(top="def helper(x, seen=[]):\n    return x\n"),
    "metaclass": candidate(top="class A(metaclass=type):\n    pass\n"),
    "tensor subclass": candidate(top="class A(torch.Tensor):\n    pass\n"),
    "try in forward": candidate("try:\n    pass\nexcept ValueError:\n    pass"),
    "call at import": candidate(top="print('hello')\n"),
    "patch": candidate(top="tl.load = None\n"),
    "rebound import": candidate(top="torch = None\n"),
    "sleeping constructor": candidate(init="y = F.softmax(torch.ones(3), -1)"),
    "streams": candidate("torch.cuda.synchronize()"),
    "deterministic flag": candidate("torch.use_deterministic_algorithms(True)"),
    "a second device": candidate("x = x.to('cuda:1')"),
    "hooks": candidate(init="self.register_forward_hook(print)"),
    "typing's modules": "import typing\n" + candidate("typing.sys.exit()"),
    "a huge file": candidate() + "#" * 300_000,
}


@pytest.mark.parametrize("name", FORBIDDEN)
def test_the_gate_refuses(name: str) -> None:
    failure = check(FORBIDDEN[name]).failure
    assert failure is not None
    assert (failure.kind, failure.stage) == (FailureKind.FORBIDDEN, Stage.STATIC)


def test_a_refusal_names_the_first_line_and_lists_the_others() -> None:
    source = candidate("a = torch.exp(x)\nb = torch.mm(x, x)")
    failure = check(source).failure
    assert failure is not None
    first = source.splitlines().index("        a = torch.exp(x)") + 1
    assert failure.message == f"line {first}: `torch.exp` is not allowed"
    assert f"line {first + 1}: `torch.mm` is not allowed" in failure.detail


@pytest.mark.parametrize("text", ["def f(:\n", "x = '\x00'", "(" * 5000, "x = " + "-" * 100_000 + "1", "\ud800 = 1"])
def test_a_file_that_cannot_be_parsed_is_a_syntax_failure(text: str) -> None:
    failure = check(text).failure
    assert failure is not None
    assert failure.kind is FailureKind.SYNTAX
    assert failure.message.startswith("line ")


def test_reading_data_on_the_host_is_its_own_failure() -> None:
    failure = check(candidate("n = x.max().item()")).failure
    assert failure is not None
    assert failure.kind is FailureKind.HOST_READ


def test_a_tensor_made_at_import_is_work_outside_forward() -> None:
    failure = check(candidate(top="TABLE = torch.arange(4)\n")).failure
    assert failure is not None
    assert failure.kind is FailureKind.WORK_OUTSIDE_FORWARD


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        (HEAD + KERNEL, FailureKind.NO_MODEL),
        (HEAD + KERNEL + "class ModelNew:\n    def forward(self, x):\n        kernel[(1,)](x)\n", FailureKind.NO_MODEL),
        (HEAD + KERNEL + "class ModelNew(nn.Module):\n    pass\n", FailureKind.NO_MODEL),
        (HEAD + "class ModelNew(nn.Module):\n    def forward(self, x):\n        return x\n", FailureKind.NO_KERNEL),
        (
            HEAD + KERNEL + "class ModelNew(nn.Module):\n    def forward(self, x):\n        return x\n",
            FailureKind.NO_KERNEL,
        ),
    ],
)
def test_a_file_needs_a_model_that_launches_a_kernel(source: str, kind: FailureKind) -> None:
    failure = check(source).failure
    assert failure is not None
    assert failure.kind is kind


def test_knobs_are_read_in_order_with_the_default_first() -> None:
    top = "KNOBS = {'num_warps': (8, 4), 'BLOCK': [64]}\nknobs = {name: values[0] for name, values in KNOBS.items()}\n"
    outcome = check(candidate(top=top))
    assert outcome.failure is None
    assert outcome.knobs == (KnobRange(name="num_warps", values=(8, 4)), KnobRange(name="BLOCK", values=(64,)))


@pytest.mark.parametrize(
    "top",
    [
        "KNOBS = [1]\n",
        "KNOBS = {'B': ()}\nknobs = {}\n",
        "KNOBS = {'B': (1, 1)}\nknobs = {'B': 1}\n",
        "KNOBS = {'B': (1, 2.0)}\nknobs = {'B': 1}\n",
        "KNOBS = {'B': (True,)}\nknobs = {'B': True}\n",
        "KNOBS = {1: (1,)}\nknobs = {1: 1}\n",
        "KNOBS = {'B': (1, 2)}\nknobs = {'B': 2}\n",
        "KNOBS = {'B': (1, 2)}\nknobs = {'B': 1, 'C': 1}\n",
        "KNOBS = {'B': (1, 2)}\n",
        "KNOBS = {'B': (1,)}\nKNOBS = {'B': (2,)}\nknobs = {'B': 2}\n",
        "KNOBS = {'B': (1,), 'B': (2,)}\nknobs = {'B': 2}\n",
        "KNOBS = {'B': (99999999999,)}\nknobs = {'B': 99999999999}\n",
        f"KNOBS = {{'B': {tuple(range(65))}}}\nknobs = {{'B': 0}}\n",
        "if True:\n    KNOBS = {'B': (1,)}\nknobs = {'B': 1}\n",
    ],
)
def test_a_malformed_table_of_knobs_is_refused(top: str) -> None:
    failure = check(candidate(top=top)).failure
    assert failure is not None
    assert failure.kind is FailureKind.BAD_KNOBS
    assert failure.hint


def test_the_lint_alone_refuses_nothing() -> None:
    outcome = check(candidate().replace("libdevice.tanh(x)", "tl.tanh(x)"))
    assert outcome.failure is None
    assert [finding.rule for finding in outcome.findings] == ["tl-name"]
