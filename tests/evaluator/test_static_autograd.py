"""What the static gate lets a `torch.autograd.Function` do, and what not."""

import pytest

from tilewright.evaluator.static import check
from tilewright.sandbox.failure import FailureKind

FILE = """\
import torch
import triton
import triton.language as tl
from torch import nn
{imports}

@triton.jit
def kernel(x_ptr, y_ptr, n, BLOCK: tl.constexpr):
    cols = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(y_ptr + cols, tl.load(x_ptr + cols, mask=cols < n) * 2, mask=cols < n)

def twice(x):
    y = torch.empty_like(x)
    kernel[(triton.cdiv(x.numel(), 256),)](x, y, x.numel(), BLOCK=256)
    return y

{top}
class Twice({base}):
    @staticmethod
    def forward(ctx, x):
        {forward}
        return twice(x)

    @staticmethod
    {decorator}
    def backward(ctx, grad):
        {backward}
        return twice(grad)

class ModelNew(nn.Module):
    def forward(self, x):
        {body}
"""
PLAIN = {
    "imports": "", "top": "", "base": "torch.autograd.Function", "forward": "ctx.save_for_backward(x)",
    "decorator": "", "backward": "(x,) = ctx.saved_tensors", "body": "return Twice.apply(x)",
}  # fmt: skip


def file(**parts: str) -> str:
    return FILE.format(**{**PLAIN, **parts})


ALLOWED = {
    "plain": file(),
    "imported": file(imports="from torch.autograd import Function", base="Function"),
    "imported with its module": file(imports="import torch.autograd as ag", base="ag.Function"),
    "once differentiable": file(
        imports="from torch.autograd.function import once_differentiable", decorator="@once_differentiable"
    ),
    "numbers on the context": file(forward="ctx.eps = 1e-6; ctx.shape = x.shape", backward="eps = ctx.eps"),
    "settings of the context": file(
        forward="ctx.set_materialize_grads(False)", backward="assert ctx.needs_input_grad[0]"
    ),
    "a name for apply": file(body="twice_of = Twice.apply\n        return twice_of(x)"),
}
REFUSED = {
    "a context that is something else": file(top="STATE = Twice", forward="ctx = STATE; ctx.count = 1"),
    "the model as context": file(body="return Twice.forward(self, x)"),
    "another name of the function": file(body="f = Twice\n        return f.forward(self, x)"),
    "state of the class": file(forward="Twice.count = 1"),
    "state of the class by the context": file(forward="ctx.__class__.count = 1"),
    "private parts of the context": file(forward="ctx._kept = x"),
    "the engine": file(body="return torch.autograd.grad(x, x)[0]"),
    "a method off the class": file(body="return torch.autograd.Function.apply(x)"),
    "hooks": file(body="x.register_hook(print)\n        return Twice.apply(x)"),
    "backward in forward": file(body="Twice.apply(x).backward(x)\n        return x"),
    "another base": file(base="torch.autograd.function.InplaceFunction"),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_a_function_with_a_backward_passes(name: str) -> None:
    assert check(ALLOWED[name]).failure is None


@pytest.mark.parametrize("name", REFUSED)
def test_what_outlives_a_call_or_leaves_the_recorder_is_refused(name: str) -> None:
    failure = check(REFUSED[name]).failure
    assert failure is not None
    assert failure.kind is FailureKind.FORBIDDEN
