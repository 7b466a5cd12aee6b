"""The Python module of a task file: executing it and calling what it defines."""

import ast
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import torch

from tilewright.tasks.constants import override
from tilewright.tasks.errors import TaskError
from tilewright.tasks.spec import DType, InputSpec, ScalarSpec, Size, TensorSpec
from tilewright.tasks.values import to_torch

_FILENAME = "<task file>"
Input = torch.Tensor | int | float | bool | str | None


def load_module(source: str, sizes: tuple[Size, ...] = ()) -> ModuleType:
    """Execute a task file with size constants replaced.

    Raises:
        TaskError: The file does not parse, raises, or a size names no constant of it.
    """
    code = compile(override(source, sizes), _FILENAME, "exec")
    module = ModuleType("task_file")
    with blaming("the file to run"):
        exec(code, vars(module))
    return module


@contextmanager
def blaming(expected: str) -> Iterator[None]:
    """Turn whatever the task file raises into a TaskError that names its line."""
    try:
        yield
    except TaskError:
        raise
    except (Exception, SystemExit) as error:  # foreign code: it may raise anything
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == _FILENAME]
        where = f" (line {lines[-1]})" if lines else ""
        message = " ".join(str(error).split())[:300]
        raise TaskError(
            f"expected {expected}; got {type(error).__name__}: {message}{where}: correct the file"
        ) from error


def find_member(module: ModuleType, name: str) -> object:
    """Return what the file defines under a name.

    Raises:
        TaskError: It does not define it, or it cannot be called.
    """
    member = vars(module).get(name)
    if not callable(member):
        got = "none" if member is None else f"a {type(member).__name__}"
        kind = "class" if name == "Model" else "function"
        raise TaskError(f"expected a {kind} {name} in the file; got {got}: define it as in KernelBench's format")
    return member


def find_init_args(module: ModuleType) -> tuple[object, ...]:
    """Return what `get_init_inputs` gives.

    Raises:
        TaskError: It is missing, raises, or gives something that cannot be written as a Python literal.
    """
    function = find_member(module, "get_init_inputs")
    with blaming("get_init_inputs to return the arguments of Model"):
        result = function()  # type: ignore[operator]  # find_member made sure that it can be called
    if not isinstance(result, list | tuple):
        raise TaskError(f"expected a list from get_init_inputs; got {type(result).__name__}: return a list")
    try:
        ast.literal_eval(repr(list(result)))
    except (ValueError, SyntaxError):
        got = f"{list(result)!r}"[:100]
        raise TaskError(
            f"expected numbers, strings, tuples and lists from get_init_inputs; got {got}: make tensors in Model"
        ) from None
    return tuple(result)


def find_inputs(module: ModuleType) -> tuple[Input, ...]:
    """Return what `get_inputs` gives.

    Raises:
        TaskError: It is missing, raises, or gives something that is neither a CPU tensor nor a scalar.
    """
    function = find_member(module, "get_inputs")
    with blaming("get_inputs to return the inputs of forward"):
        result = function()  # type: ignore[operator]  # find_member made sure that it can be called
    if not isinstance(result, list | tuple):
        raise TaskError(f"expected a list from get_inputs; got {type(result).__name__}: return a list of tensors")
    return tuple(_checked(index, value) for index, value in enumerate(result))


def _checked(index: int, value: object) -> Input:
    if isinstance(value, torch.Tensor):
        if value.device.type != "cpu" or value.layout is not torch.strided:
            raise TaskError(
                f"expected dense CPU tensors from get_inputs; got {value.layout} on {value.device} as input {index}: "
                "leave out the device"
            )
        return value.detach()
    if value is None or isinstance(value, int | float | str):
        return value
    raise TaskError(
        f"expected tensors and numbers from get_inputs; got a {type(value).__name__} as input {index}: "
        "pass its tensors one by one"
    )


def make_model(module: ModuleType, init_args: tuple[object, ...]) -> torch.nn.Module:
    """Construct the reference in evaluation mode.

    Raises:
        TaskError: `Model` is missing, raises, or is no module.
    """
    model_class = find_member(module, "Model")
    with blaming("Model(*get_init_inputs()) to work"):
        model = model_class(*init_args)  # type: ignore[operator]  # find_member made sure that it can be called
    if not isinstance(model, torch.nn.Module):
        raise TaskError(f"expected Model to be an nn.Module; got {type(model).__name__}: derive it from nn.Module")
    return model.eval()


def cast_model(model: torch.nn.Module, dtype: DType) -> torch.nn.Module:
    """Cast floating parameters and buffers, in place.

    `Module.to` does not work under fake tensors, which cannot be swapped. Assigning the attribute
    keeps what modules derive from their parameters (the flat weights of an LSTM) and tied weights.
    """
    target = to_torch(dtype)
    done: dict[torch.Tensor, torch.Tensor] = {}
    for module in model.modules():
        members = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        for name, old in members:
            if not old.is_floating_point() or old.dtype is target:
                continue
            if old not in done:
                new = old.detach().to(target)
                done[old] = torch.nn.Parameter(new, old.requires_grad) if isinstance(old, torch.nn.Parameter) else new
            setattr(module, name, done[old])
    return model


def flatten(result: object) -> tuple[torch.Tensor, ...]:
    """Return the tensors of a forward's result, in order.

    Raises:
        TaskError: It holds something that is no tensor.
    """
    if isinstance(result, torch.Tensor):
        return (result,)
    if isinstance(result, tuple | list) and result:
        return tuple(tensor for part in result for tensor in flatten(part))
    raise TaskError(
        f"expected forward to return a tensor, or a tuple or list of tensors; got {type(result).__name__}: "
        "return the tensors only"
    )


def spec_of(value: Input) -> InputSpec:
    """Return the shape, strides and type of a tensor, or the value of a scalar.

    Raises:
        TaskError: The element type is not supported.
    """
    if not isinstance(value, torch.Tensor):
        return ScalarSpec(value=value)
    try:
        dtype = DType(str(value.dtype).removeprefix("torch."))
    except ValueError:
        expected = ", ".join(DType)
        raise TaskError(f"expected element types among {expected}; got {value.dtype}: convert the tensor") from None
    return TensorSpec(
        shape=tuple(value.shape), strides=tuple(value.stride()), dtype=dtype, offset=int(value.storage_offset())
    )


def realise_all(values: tuple[Input, ...], specs: tuple[InputSpec, ...]) -> tuple[Input, ...]:
    """Return inputs cast and laid out as their specs say, each tensor in a storage of its own; see `realise`."""
    return tuple(
        realise(value, spec) if isinstance(value, torch.Tensor) and isinstance(spec, TensorSpec) else value
        for value, spec in zip(values, specs, strict=True)
    )


def realise(value: torch.Tensor, spec: TensorSpec) -> torch.Tensor:
    """Copy a tensor into a storage of its own, cast and laid out exactly as a spec says.

    Elements of the storage that the tensor skips are NaN (0 for integers), so that a kernel which
    ignores strides shows. Along a dimension of stride 0 the first element counts.
    """
    dtype = to_torch(spec.dtype)
    gap = torch.nan if spec.dtype.is_floating else 0
    storage = torch.full((spec.storage_elements,), gap, dtype=dtype)
    for dimension, (size, stride) in enumerate(zip(spec.shape, spec.strides, strict=True)):
        if stride == 0 and size > 1:
            value = value.narrow(dimension, 0, 1)
    storage.as_strided(tuple(value.shape), spec.strides, spec.offset).copy_(value)
    return storage.as_strided(spec.shape, spec.strides, spec.offset)
