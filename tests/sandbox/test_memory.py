"""Running out of memory in a child is a failure of its own kind, whoever asked for the memory."""

from collections.abc import Iterator

import pytest
import torch
from interpreting import launcher, request_of

from tilewright.sandbox.failure import FailureKind
from tilewright.sandbox.limits import Limits
from tilewright.sandbox.mode import ZygoteMode
from tilewright.sandbox.protocol import Refused
from tilewright.sandbox.zygote import Zygote

COPY = """
@triton.jit
def copy(x_ptr, y_ptr, n, BLOCK: tl.constexpr):
    offs = tl.arange(0, BLOCK)
    tl.store(y_ptr + offs, tl.load(x_ptr + offs, mask=offs < n), mask=offs < n)
"""
LAUNCH = "y = torch.empty_like(x)\ncopy[(1,)](x, y, x.numel(), BLOCK={block})\n"
TAKERS = {
    "a buffer": "y = torch.empty((1 << 40,), device=x.device, dtype=x.dtype)\n"
    "copy[(1,)](x, y, x.numel(), BLOCK=64)\nreturn y",
    "an operation of torch": LAUNCH.format(block=64) + "return y.expand(1 << 16, 64).reshape(-1)[:64]",
    "an output": LAUNCH.format(block=64) + "return y.expand(1 << 30, 64)",
}


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote(ZygoteMode.INTERPRET, Limits(memory_bytes=16 << 20)) as started:
        yield started


@pytest.mark.parametrize("taker", TAKERS)
def test_memory_beyond_the_limit_is_named_so(taker: str, zygote: Zygote) -> None:
    last = zygote.ask(request_of(launcher(COPY, TAKERS[taker]), torch.ones(64)))[-1]
    assert isinstance(last, Refused), last
    assert (last.failure.kind, last.failure.case) == (FailureKind.MEMORY_LIMIT, "case")


def test_memory_beyond_the_limit_in_a_kernel_is_no_fault_of_its_code(zygote: Zygote) -> None:
    source = launcher(COPY, LAUNCH.format(block=1 << 20) + "return y")
    last = zygote.ask(request_of(source, torch.ones(64)))[-1]
    assert isinstance(last, Refused), last
    assert (last.failure.kind, last.failure.case) == (FailureKind.MEMORY_LIMIT, "case")
