"""ATen steps of a plan, executed by torch on the interpreter's memory."""

import ast

import numpy as np
import torch
from torch.utils._pytree import tree_leaves

from tilewright.sandbox.bounds import CheckedMemory
from tilewright.sandbox.errors import SandboxError
from tilewright.sandbox.plan import Aten, AtenArgument, Literal, View, Views

_MARKS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def replay_aten(step: Aten, memory: CheckedMemory) -> None:
    """Execute one ATen step and write its results where the plan says that they lie.

    Raises:
        SandboxError: The plan names an operation that this torch lacks, or its results do not fit.
        MemoryError: Its results are beyond the limit.
    """
    arguments = [_value(argument, memory) for argument in step.arguments]
    keywords = {keyword.name: _value(keyword.value, memory) for keyword in step.keywords}
    _note_unwritten(step, memory)
    reserve(sum(place.tensor.elements * place.tensor.dtype.bytes for place in step.outputs))
    with torch.no_grad():
        results = [one for one in tree_leaves(_find(step.operation)(*arguments, **keywords)) if _is_tensor(one)]
        if len(results) != len(step.outputs):
            raise SandboxError(f"expected {len(step.outputs)} results of {step.operation}, got {len(results)}")
        for result, place in zip(results, step.outputs, strict=True):
            target = tensor_at(place, memory)
            if result.data_ptr() != target.data_ptr():
                target.copy_(result)
            _mark(place, memory)


def reserve(count: int) -> None:
    """Find out whether so many bytes can be had before torch asks for them: its error would have no class of its own.

    Raises:
        MemoryError: They are beyond the limit.
    """
    np.empty(count, dtype=np.uint8)  # address space only: nothing is touched


def tensor_at(view: View, memory: CheckedMemory) -> torch.Tensor:
    """Return a CPU tensor that shares a view's bytes."""
    flat = torch.from_numpy(memory.bytes_of(view.buffer)).view(getattr(torch, view.tensor.dtype.value))
    return flat.as_strided(view.tensor.shape, view.tensor.strides, view.tensor.offset)


def is_written(view: View, memory: CheckedMemory) -> bool:
    """Return whether every element of a view was written by some step, or filled before the first."""
    marks = _marks_at(view, memory)
    return marks is None or bool((marks == _full(marks)).all())


def _marks_at(view: View, memory: CheckedMemory) -> torch.Tensor | None:
    marks = memory.marks_of(view.buffer)
    if marks is None:
        return None
    flat = torch.from_numpy(marks).view(_MARKS[view.tensor.dtype.bytes])
    return flat.as_strided(view.tensor.shape, view.tensor.strides, view.tensor.offset)


def _mark(view: View, memory: CheckedMemory) -> None:
    marks = _marks_at(view, memory)
    if marks is not None:
        marks.fill_(_full(marks))


def _full(marks: torch.Tensor) -> int:
    """Return the number whose bits are all set."""
    return 0xFF if marks.dtype is torch.uint8 else -1


def _note_unwritten(step: Aten, memory: CheckedMemory) -> None:
    for argument in step.arguments:
        if isinstance(argument, View) and argument not in step.outputs and not is_written(argument, memory):
            memory.notes[f"{step.operation} reads elements that nothing wrote"] = None


def _value(argument: AtenArgument, memory: CheckedMemory) -> object:
    if isinstance(argument, View):
        return tensor_at(argument, memory)
    if isinstance(argument, Views):
        return [tensor_at(view, memory) for view in argument.views]
    return _parse(argument)


def _parse(literal: Literal) -> object:
    """Return the value of a Python literal, of a float's `inf` and `nan`, or of a name such as `torch.float16`."""
    text = literal.text
    if text.startswith("torch."):
        return getattr(torch, text.removeprefix("torch."))
    if text.startswith("device("):
        return torch.device("cpu")
    try:
        return ast.literal_eval(text)
    except ValueError:
        return float(text)


def _find(operation: str) -> torch._ops.OpOverload:
    """Return the overload of a qualified name such as `aten.copy_.default`."""
    namespace, name, overload = operation.split(".")
    try:
        found: torch._ops.OpOverload = getattr(getattr(getattr(torch.ops, namespace), name), overload)
    except AttributeError as error:
        raise SandboxError(f"expected an operation of torch {torch.__version__}; got {operation}") from error
    return found


def _is_tensor(value: object) -> bool:
    return isinstance(value, torch.Tensor)
