"""Walking autograd's graph gives what its engine gives, on any tensors; here on the CPU's."""

from collections.abc import Callable

import pytest
import torch

from tilewright.sandbox.backward import GraphWalk

Tensor = torch.Tensor
Forward = Callable[[Tensor, Tensor], Tensor | tuple[Tensor, ...]]


class Scale(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, factor, weight):
        ctx.save_for_backward(x, weight)
        ctx.factor = factor
        return x * factor * weight

    @staticmethod
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        assert ctx.needs_input_grad == (True, False, True)
        return grad * ctx.factor * weight, None, (grad * ctx.factor * x).sum(0), None


class Pair(torch.autograd.Function):
    """Has two outputs, of which one may have no gradient."""

    @staticmethod
    def forward(ctx, x, spares):
        ctx.set_materialize_grads(not spares)
        return x * 2, x * 3

    @staticmethod
    def backward(ctx, one, other):
        return one * 2 + (0 if other is None else other * 3), None


class Separate(torch.autograd.Function):
    """Written in the newer style."""

    @staticmethod
    def forward(x):
        return x.exp()

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx, grad):
        (output,) = ctx.saved_tensors
        return grad * output


FORWARDS: dict[str, Forward] = {
    "views": lambda x, w: x.view(2, 3, 4).transpose(0, 1)[1:].reshape(-1, 4),
    "a branch": lambda x, w: x * w + x.exp() * x,
    "broadcasting": lambda x, w: (x + w) * w,
    "a cast": lambda x, w: x.double() * w.double(),
    "an output twice": lambda x, w: (x * w, (x * w).sum(1)),
    "a function": lambda x, w: Scale.apply(x, 3.0, w),
    "a function of a cast": lambda x, w: Scale.apply(x.double(), 3.0, w),
    "functions in a row": lambda x, w: Scale.apply(Separate.apply(x), 2.0, w) + x,
    "one output of two": lambda x, w: Pair.apply(x, False)[0] * w,
    "one output of two, sparing": lambda x, w: Pair.apply(x, True)[0] * w,
    "both outputs": lambda x, w: Pair.apply(x * w, True),
    "the input itself": lambda x, w: (x.view_as(x), w * 2),
    "a change in place": lambda x, w: (x * w).add_(w).relu_().view(-1)[3:],
}


def outputs_of(forward: Forward, x: Tensor, w: Tensor) -> tuple[Tensor, ...]:
    result = forward(x, w)
    return result if isinstance(result, tuple) else (result,)


@pytest.mark.parametrize("name", FORWARDS)
def test_gradients_are_those_of_the_engine(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(6, 4, generator=generator).requires_grad_()
    w = torch.randn(4, generator=generator).requires_grad_()
    grads = [torch.randn(one.shape, generator=generator) for one in outputs_of(FORWARDS[name], x, w)]
    expected = torch.autograd.grad(outputs_of(FORWARDS[name], x, w), [x, w], grads, allow_unused=True)
    walk = GraphWalk()
    with walk.watching():
        outputs = outputs_of(FORWARDS[name], x, w)
    found = walk.run(outputs, grads, [x, w])
    assert [one is None for one in found] == [one is None for one in expected]
    for one, other in zip(found, expected, strict=True):
        if one is not None:
            assert one.dtype is other.dtype
            assert torch.allclose(one, other)
            assert not one.requires_grad


class Few(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight):
        return x * weight

    @staticmethod
    def backward(ctx, grad):
        return grad


class Wide(Few):
    @staticmethod
    def backward(ctx, grad):
        return grad, grad.new_zeros(5)


class Number(Few):
    @staticmethod
    def backward(ctx, grad):
        return grad, 1.0


@pytest.mark.parametrize(
    ("function", "error", "words"),
    [(Few, RuntimeError, "incorrect number"), (Wide, RuntimeError, "shape"), (Number, TypeError, "float")],
)
def test_gradients_of_a_wrong_form_raise(function: type[Few], error: type[Exception], words: str) -> None:
    x, w = torch.ones(6, 4, requires_grad=True), torch.ones(4, requires_grad=True)
    output = function.apply(x, w)
    with pytest.raises(error, match=words):
        GraphWalk().run([output], [torch.ones(6, 4)], [x, w])


def test_nothing_leads_to_a_leaf_that_forward_left_out() -> None:
    x, w = torch.ones(6, 4, requires_grad=True), torch.ones(4, requires_grad=True)
    found = GraphWalk().run([x * 2], [torch.ones(6, 4)], [x, w])
    assert found[1] is None
