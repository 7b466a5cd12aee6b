"""ATen steps of a plan, prepared once on fixed device buffers and run by torch as often as the plan is replayed."""

from collections.abc import Callable, Sequence
from functools import cache

import torch
from torch.utils._pytree import tree_leaves

from tilewright.evaluator.gpu.literals import ThisDevice, TorchName, to_value
from tilewright.sandbox.aten_whitelist import OperationKind, classify
from tilewright.sandbox.plan import Aten, AtenArgument, Literal, View, Views

_COPIES = frozenset({"aten._to_copy.default", "aten.clone.default"})
_CONSTANTS = {"zeros": 0, "zeros_like": 0, "new_zeros": 0, "ones": 1, "ones_like": 1, "new_ones": 1}
_FILLS = {"aten.full.default": 1, "aten.full_like.default": 1, "aten.new_full.default": 2}  # place of the value
# What variants that write to given memory leave out: the memory says it.
_GIVEN = frozenset({"dtype", "layout", "device", "pin_memory", "memory_format"})


class AtenError(Exception):
    """A step names an operation that this torch lacks, or its results are not what the plan says."""


class AtenStep:
    """One ATen step on fixed buffers.

    Args:
        step: The step.
        tensor_at: Gives the device tensor of a view.
        device: The device.

    Raises:
        AtenError: The operation is not on the whitelist, or this torch lacks it.
    """

    def __init__(self, step: Aten, tensor_at: Callable[[View], torch.Tensor], device: torch.device) -> None:
        self._step = step
        self._operation = _find(step.operation)
        self._targets = [tensor_at(view) for view in step.outputs]
        self._arguments = [_to_argument(one, tensor_at, device) for one in step.arguments]
        self._keywords = {one.name: _to_argument(one.value, tensor_at, device) for one in step.keywords}
        self._run = self._choose()

    @property
    def is_capturable(self) -> bool:
        """Whether it can stand in a CUDA graph."""
        unsafe = getattr(torch.Tag, "cudagraph_unsafe", None)
        return unsafe not in self._operation.tags and torch.Tag.data_dependent_output not in self._operation.tags

    def run(self) -> None:
        """Enqueue it on torch's current stream.

        Raises:
            AtenError: torch refuses the arguments, or the results are not what the plan says.
            torch.OutOfMemoryError: There is too little memory for what it makes in between.
        """
        try:
            with torch.no_grad():
                self._run()
        except (torch.OutOfMemoryError, torch.AcceleratorError):
            raise
        except (RuntimeError, TypeError, ValueError, IndexError, NotImplementedError) as error:
            raise AtenError(f"{self._step.operation}: {str(error).partition(chr(10))[0][:200]}") from error

    def _choose(self) -> Callable[[], object]:
        """Return the cheapest way to have the results where the plan says: launchers pay for no copy either."""
        name = self._operation._schema.name.removeprefix("aten::")
        qualified = self._step.operation
        if len(self._targets) == 1:
            (target,) = self._targets
            if name in _CONSTANTS and _shapes_agree(self._operation, self._arguments, target):
                return lambda: target.fill_(_CONSTANTS[name])
            if qualified in _FILLS and _shapes_agree(self._operation, self._arguments, target):
                value = self._arguments[_FILLS[qualified]]
                return lambda: target.fill_(value)  # type: ignore[call-overload]  # torch checks it
            source = self._arguments[0] if self._arguments else None
            if qualified in _COPIES and isinstance(source, torch.Tensor) and source.shape == target.shape:
                return lambda: target.copy_(source)
        writing = None if name.endswith("_") else _writing_form(self._operation)
        return self._compute_and_copy if writing is None else lambda: self._compute_into(*writing)

    def _compute_and_copy(self) -> None:
        results = [one for one in tree_leaves(self._operation(*self._arguments, **self._keywords)) if _is_tensor(one)]
        self._need_results(results)
        for result, target in zip(results, self._targets, strict=True):
            if result.data_ptr() != target.data_ptr():
                target.copy_(result)

    def _compute_into(self, operation: torch._ops.OpOverload, outs: Sequence[str], taken: frozenset[str]) -> None:
        if len(outs) != len(self._targets):
            self._compute_and_copy()
            return
        keywords = {key: value for key, value in self._keywords.items() if key in taken}
        into = [target.as_strided(target.shape, target.stride(), target.storage_offset()) for target in self._targets]
        operation(*self._arguments, **keywords, **dict(zip(outs, into, strict=True)))
        self._need_results(into)

    def _need_results(self, results: list[torch.Tensor]) -> None:
        got = [(tuple(one.shape), one.dtype) for one in results]
        wanted = [(tuple(one.shape), one.dtype) for one in self._targets]
        if got != wanted:
            raise AtenError(f"{self._step.operation}: expected results {wanted}; got {got}")


def _shapes_agree(operation: torch._ops.OpOverload, arguments: list[object], target: torch.Tensor) -> bool:
    """Whether a filling operation asks for the target's shape; otherwise the general way finds out."""
    first = arguments[0] if arguments else None
    if operation._schema.name.startswith("aten::new_"):
        first = arguments[1] if len(arguments) > 1 else None
    shape = tuple(first.shape) if isinstance(first, torch.Tensor) else first
    return isinstance(shape, list | tuple) and tuple(shape) == tuple(target.shape)


@cache
def _writing_form(
    operation: torch._ops.OpOverload,
) -> tuple[torch._ops.OpOverload, tuple[str, ...], frozenset[str]] | None:
    """Return the overload that writes to given tensors, the names of these, and the other arguments that it takes."""
    wanted = {(one.name, str(one.type)) for one in operation._schema.arguments}
    for name in operation.overloadpacket.overloads():
        other: torch._ops.OpOverload = getattr(operation.overloadpacket, name)
        outs = tuple(one.name for one in other._schema.arguments if one.is_out)
        plain = {(one.name, str(one.type)) for one in other._schema.arguments if not one.is_out}
        left_out = {key for key, _ in wanted - plain}
        if len(outs) == len(operation._schema.returns) and plain <= wanted and left_out <= _GIVEN:
            return other, outs, frozenset(key for key, _ in plain)
    return None


def _find(operation: str) -> torch._ops.OpOverload:
    namespace, name, overload = operation.split(".")
    try:
        found: torch._ops.OpOverload = getattr(getattr(getattr(torch.ops, namespace), name), overload)
    except AttributeError as error:
        raise AtenError(f"expected an operation of torch {torch.__version__}; got {operation}") from error
    if classify(found) not in (OperationKind.WORK, OperationKind.REDUCTION):
        raise AtenError(f"expected a whitelisted ATen operation; got {operation}")
    return found


def _to_argument(argument: AtenArgument, tensor_at: Callable[[View], torch.Tensor], device: torch.device) -> object:
    if isinstance(argument, View):
        return tensor_at(argument)
    if isinstance(argument, Views):
        return [tensor_at(view) for view in argument.views]
    assert isinstance(argument, Literal)
    value = to_value(argument.text)
    if isinstance(value, TorchName):
        return getattr(torch, value.name)
    if isinstance(value, ThisDevice):
        return device
    return list(value) if isinstance(value, tuple) else value


def _is_tensor(value: object) -> bool:
    return isinstance(value, torch.Tensor)
