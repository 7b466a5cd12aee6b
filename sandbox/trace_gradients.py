"""A candidate's forward and backward, run on fake tensors one after the other."""

from collections.abc import Callable

import torch
from torch.utils._pytree import tree_leaves

from tilewright.sandbox.backward import GraphWalk
from tilewright.sandbox.failure import FailureKind
from tilewright.sandbox.fault import CandidateFault, fault
from tilewright.tasks.spec import Case, Gradients

_HINT = "Wrap the launches in a torch.autograd.Function whose backward returns the gradients, and call its apply()."


def run_both(
    model: torch.nn.Module, inputs: list[object], case: Case, end_forward: Callable[[int], None]
) -> tuple[torch.Tensor, ...]:
    """Run forward, then backward from the case's grad outputs.

    Args:
        model: The candidate's, its parameters in place.
        inputs: Arguments of forward, then the grad outputs.
        case: Says what is differentiated.
        end_forward: Called between the two with the number of forward's outputs.

    Returns:
        What forward returned, flattened, then the gradients.

    Raises:
        CandidateFault: OUTPUT_FORM or NO_GRADIENT.
    """
    gradients = case.gradients
    assert isinstance(gradients, Gradients)
    count = len(case.arguments)
    leaves = _leaves(model, inputs[:count], gradients.of)
    walk = GraphWalk()
    with walk.watching(), torch.enable_grad():
        outputs = tree_leaves(model(*inputs[:count]))
    end_forward(len(outputs))
    starts = [_start(outputs, index, case) for index in gradients.outputs]
    grad_outputs = [one for one in inputs[count:] if isinstance(one, torch.Tensor)]
    found = walk.run(starts, grad_outputs, leaves)
    for name, one in zip(gradients.of, found, strict=True):
        if one is None:
            raise _missing(f"expected a gradient of {name} from backward; got none")
    return (*outputs, *(one for one in found if one is not None))


def _leaves(model: torch.nn.Module, arguments: list[object], names: tuple[str, ...]) -> list[torch.Tensor]:
    """Return the inputs and parameters that are differentiated; only they require a gradient."""
    named: dict[str, torch.Tensor] = dict(model.named_buffers(remove_duplicate=False))
    for name, parameter in model.named_parameters(remove_duplicate=False):
        named[name] = parameter.requires_grad_(name in names)
    named |= {f"input {index}": one for index, one in enumerate(arguments) if isinstance(one, torch.Tensor)}
    return [named[name].requires_grad_() for name in names]


def _start(outputs: list[object], index: int, case: Case) -> torch.Tensor:
    """Return an output of forward that backward starts from."""
    specs = case.forward_outputs
    if len(outputs) != len(specs):
        raise fault(FailureKind.OUTPUT_FORM, f"expected {len(specs)} outputs of forward; got {len(outputs)}")
    output, name = outputs[index], case.output_names[index]
    if not isinstance(output, torch.Tensor):
        raise fault(FailureKind.OUTPUT_FORM, f"expected {name} to be a CUDA tensor; got {type(output).__name__}")
    if tuple(output.shape) != specs[index].shape:
        got = f"got {tuple(output.shape)}"
        raise fault(FailureKind.OUTPUT_FORM, f"{name}: expected shape {specs[index].shape}, {got}")
    if not output.requires_grad:
        raise _missing(f"expected {name} to be connected with forward's inputs by autograd; it is not")
    return output


def _missing(message: str) -> CandidateFault:
    return fault(FailureKind.NO_GRADIENT, message, hint=_HINT)
