"""The backward pass of a reference, by torch's autograd on ordinary tensors: for workers only."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch

from tilewright.tasks import task_module
from tilewright.tasks.errors import TaskError
from tilewright.tasks.spec import Gradients
from tilewright.tasks.task_module import Input

Tensors = tuple[torch.Tensor, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Differentiated:
    """A reference's forward and backward, as observed.

    Attributes:
        gradients: What starts the backward pass and what it gives.
        grad_outputs: Tensors of the form that the grad outputs have.
        outputs: What forward returned, then the gradients.
    """

    gradients: Gradients
    grad_outputs: Tensors
    outputs: Tensors


def differentiate(model: torch.nn.Module, inputs: tuple[Input, ...], gradients: Gradients) -> Tensors:
    """Run forward and backward.

    Args:
        model: The reference.
        inputs: Arguments of forward, then the grad outputs.
        gradients: What starts the backward pass and what it gives.

    Returns:
        What forward returns, flattened, then the gradients.
    """
    return differentiate_call(model, dict(model.named_parameters()), inputs, gradients)


def differentiate_call(
    forward: Callable[..., object],
    parameters: Mapping[str, torch.Tensor],
    inputs: tuple[Input, ...],
    gradients: Gradients,
) -> Tensors:
    """Run forward and backward of any way to compute the reference, such as a compiled one; see `differentiate`.

    Args:
        forward: Called with the arguments.
        parameters: The reference's parameters by name, which `forward` uses.
        inputs: Arguments of forward, then the grad outputs.
        gradients: What starts the backward pass and what it gives.
    """
    count = len(inputs) - len(gradients.outputs)
    arguments = tuple(one.detach() if isinstance(one, torch.Tensor) else one for one in inputs[:count])
    grad_outputs = tuple(one for one in inputs[count:] if isinstance(one, torch.Tensor))
    named = {**parameters, **dict(_named(arguments))}
    leaves = [named[name].requires_grad_() for name in gradients.of]
    # in this thread: modes that watch or change operations are a thread's own, and so is the capture of a graph
    with torch.enable_grad(), torch.autograd.set_multithreading_enabled(False):
        outputs = task_module.flatten(forward(*arguments))
        starts = [outputs[index] for index in gradients.outputs]
        found = torch.autograd.grad(starts, leaves, grad_outputs)
    return tuple(one.detach() for one in (*outputs, *found))


def observe_gradients(model: torch.nn.Module, inputs: tuple[Input, ...]) -> Differentiated:
    """Find out what of a reference can be differentiated, and run it.

    Raises:
        TaskError: No output depends on an input or parameter in a way that has a gradient.
    """
    if len(list(model.named_parameters())) != len(list(model.named_parameters(remove_duplicate=False))):
        raise TaskError("expected each parameter under one name where GRADIENTS is set; got a shared one: untie it")
    arguments = tuple(one.detach() if isinstance(one, torch.Tensor) else one for one in inputs)
    parameters = ((name, one) for name, one in model.named_parameters() if one.requires_grad)
    leaves = {name: one.requires_grad_() for name, one in (*_named(arguments), *parameters)}
    with torch.enable_grad():
        outputs = task_module.flatten(model(*arguments))
        chosen = tuple(i for i, one in enumerate(outputs) if one.requires_grad and one.is_floating_point())
        starts = [outputs[index] for index in chosen]
        grad_outputs = tuple(torch.empty_like(one, requires_grad=False) for one in starts)
        got = torch.autograd.grad(starts, tuple(leaves.values()), grad_outputs, allow_unused=True) if starts else ()
    found = {name: one for name, one in zip(leaves, got, strict=False) if one is not None}
    if not found:
        raise TaskError("expected a gradient of an input or a parameter; got none: leave GRADIENTS out")
    return Differentiated(
        gradients=Gradients(outputs=chosen, of=tuple(found)),
        grad_outputs=grad_outputs,
        outputs=tuple(one.detach() for one in (*outputs, *found.values())),
    )


def _named(inputs: tuple[Input, ...]) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield floating tensors among the arguments of forward, each with its name."""
    for index, value in enumerate(inputs):
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            yield f"input {index}", value
