"""Kernels linked with the common part of NVIDIA's library give the text that the whole library gives."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from test_recorder import case_of, tensor

from tilewright.sandbox.answering import answer
from tilewright.sandbox.limits import Limits
from tilewright.sandbox.mode import ZygoteMode
from tilewright.sandbox.protocol import Answer, Record, Recorded
from tilewright.sandbox.zygote import Zygote
from tilewright.tasks.spec import DType

SOURCE = """
import torch, triton, triton.language as tl
from torch import nn
from triton.language.extra import libdevice

@triton.jit
def kernel(x_ptr, y_ptr):
    offs = tl.arange(0, 128)
    x = tl.load(x_ptr + offs)
    tl.store(y_ptr + offs, {})

class ModelNew(nn.Module):
    def forward(self, x):
        y = torch.empty_like(x)
        kernel[(1,)](x, y)
        return y
"""
COMMON = (
    "tl.exp2(x)", "tl.exp(x) + tl.log(x)", "tl.rsqrt(x) * tl.sqrt(x)", "tl.erf(x)", "libdevice.tanh(x)",
    "libdevice.log1p(x) + tl.log2(tl.floor(x))",
)  # fmt: skip
OTHER = ("libdevice.tgamma(x)", "libdevice.pow(x, tl.exp2(x))", "tl.sin(x) + tl.exp2(x)")


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote(ZygoteMode.COMPILE, Limits()) as started:
        yield started


@pytest.mark.parametrize("expression", [*COMMON, *OTHER])
def test_the_text_does_not_depend_on_what_was_linked(expression: str, zygote: Zygote) -> None:
    case = case_of(tensor(128, dtype=DType.FLOAT32))
    request = Record(source=SOURCE.format(expression), knobs=(), target="cuda:90", cases=(case,))
    from_part = [one for one in zygote.ask(request) if isinstance(one, Recorded)]
    from_whole: list[Answer] = []
    answer(request, from_whole.append)
    assert [one.ptx for one in from_part] == [one.ptx for one in from_whole if isinstance(one, Recorded)]
    assert from_part


def test_the_part_cannot_be_changed() -> None:
    script = "import os; from tilewright.sandbox.libdevice import install_common_part as install\n" + (
        "first = install()\nassert install() == first and os.fstat(first).st_size > 0\n"
        "try: os.pwrite(first, b'x', 0)\nexcept PermissionError: print('sealed')"
    )
    ran = subprocess.run([sys.executable, "-c", script], env=os.environ, capture_output=True, check=True, text=True)
    assert ran.stdout == "sealed\n"
