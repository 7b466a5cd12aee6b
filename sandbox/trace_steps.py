"""The plan of one case while a launcher writes it, step by step."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch
from torch._ops import OpOverload
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._pytree import tree_leaves

from tilewright.sandbox.aten_whitelist import OperationKind, classify, name_of
from tilewright.sandbox.failure import FailureKind
from tilewright.sandbox.fault import CandidateFault, fault
from tilewright.sandbox.launches import Call, Kernel, bind, views_of
from tilewright.sandbox.plan import (
    Alloc,
    Aten,
    AtenArgument,
    BufferOrigin,
    Forward,
    Keyword,
    Launch,
    LaunchPlan,
    Literal,
    Step,
    View,
    Views,
)
from tilewright.sandbox.targets import Target
from tilewright.sandbox.trace_buffers import BufferTable
from tilewright.tasks.spec import Case

T = TypeVar("T")

_MOST_STEPS = 4_000
_DEVICE_KEYWORDS = {"device", "layout", "pin_memory", "non_blocking"}
_ON_GPU = "expected tensors on the GPU"
_NO_READ = "expected a launcher that reads no data on the host"


class LaunchSink(Protocol):
    """Turns a resolved call of a kernel into a step of the plan."""

    def launch(self, trace: "Trace", call: Call) -> Launch:
        """Return the step; the recorder compiles here.

        Raises:
            CandidateFault: The kernel cannot be launched this way.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Operation:
    """A qualified overload and its positional arguments."""

    name: str
    args: tuple[object, ...]


class Trace:
    """The plan of one case while it is being written."""

    def __init__(self, case: Case, sink: LaunchSink) -> None:
        self.case = case
        self.buffers = BufferTable()
        self.steps: list[Step] = []
        self.calls: list[Call] = []
        self.first_fault: CandidateFault | None = None
        self._forward: Forward | None = None
        self._sink = sink

    def launch(self, kernel: Kernel, args: tuple[object, ...], grid: object, kwargs: Mapping[str, object]) -> None:
        """Record `kernel[grid](*args, **kwargs)`."""
        call = self._noting(lambda: bind(kernel, args, grid, kwargs, self._place))
        step = self._noting(lambda: self._sink.launch(self, call))
        touched = [view.buffer for _, value in call.arguments for view in views_of(value)]
        self._append(step, touched, by_kernel=True)
        self.calls.append(call)

    def operate(self, func: OpOverload, args: tuple[object, ...], kwargs: Mapping[str, object]) -> object:
        """Record one ATen operation and return its fake result."""
        return self._noting(lambda: self._operate(func, args, kwargs))

    def _operate(self, func: OpOverload, args: tuple[object, ...], kwargs: Mapping[str, object]) -> object:
        kind, name = classify(func), name_of(func)
        if kind is OperationKind.QUERY or name.startswith("aten.lift_fresh"):
            return func(*args, **kwargs)
        operands = [one for one in tree_leaves((args, kwargs)) if isinstance(one, torch.Tensor)]
        if kind is OperationKind.HOST_READ:
            raise fault(FailureKind.HOST_READ, f"{_NO_READ}; got {name}")
        self._check_operands(name, operands)
        if kind is OperationKind.FORBIDDEN:
            raise _forbidden(name)
        result = func(*args, **kwargs)
        outputs = [one for one in tree_leaves(result) if isinstance(one, torch.Tensor)]
        if any(not output.is_cuda for output in outputs):
            raise _left_the_gpu(name, operands)
        if kind is OperationKind.ALLOCATION:
            self._allocate(outputs[0], name)
        elif kind is not OperationKind.VIEW:
            self._work(kind, _taking_numbers(func, args), kwargs, outputs)
        return result

    def _check_operands(self, name: str, operands: list[torch.Tensor]) -> None:
        for operand in operands:
            if operand.is_cuda and not self.buffers.knows(operand):
                raise _foreign(name)
            if not operand.is_cuda and _constant(operand) is None:
                raise fault(FailureKind.FORBIDDEN_OPERATION, f"{_ON_GPU}; got one on the CPU in {name}")

    def _allocate(self, tensor: torch.Tensor, name: str) -> None:
        index = self.buffers.add(tensor, BufferOrigin.SCRATCH, name, len(self.steps))
        self._append(Alloc(buffer=index), [index])

    def _work(
        self, kind: OperationKind, call: _Operation, kwargs: Mapping[str, object], outputs: list[torch.Tensor]
    ) -> None:
        name = call.name
        arguments = tuple(self._argument(one) for one in call.args)
        keywords = tuple(
            Keyword(name=key, value=self._argument(one)) for key, one in kwargs.items() if key not in _DEVICE_KEYWORDS
        )
        read = [view for one in (*arguments, *(k.value for k in keywords)) for view in _views_in(one)]
        if kind is OperationKind.REDUCTION and not all(self.buffers.is_own_result(view) for view in read):
            raise _forbidden(name, "A reduction in torch may only finish what a kernel of the launcher has written.")
        for output in outputs:
            if not self.buffers.knows(output):
                self.buffers.add(output, BufferOrigin.SCRATCH, name, len(self.steps))
        written = tuple(self.buffers.view(output) for output in outputs)
        step = Aten(operation=name, arguments=arguments, keywords=keywords, outputs=written)
        self._append(step, [view.buffer for view in (*read, *written)])

    def _argument(self, value: object) -> AtenArgument:
        if isinstance(value, torch.Tensor):
            constant = _constant(value)
            return self.buffers.view(value) if constant is None else Literal(text=repr(constant))
        if isinstance(value, list | tuple) and any(isinstance(one, torch.Tensor) for one in value):
            return Views(views=tuple(self.buffers.view(one) for one in value if isinstance(one, torch.Tensor)))
        return Literal(text=repr(list(value) if isinstance(value, tuple | list) else value))

    def _append(self, step: Step, touched: list[int], *, by_kernel: bool = False) -> None:
        if len(self.steps) >= _MOST_STEPS:
            raise fault(FailureKind.LAUNCHER_ERROR, f"expected at most {_MOST_STEPS} steps in one forward")
        for index in touched:
            self.buffers.touch(index, len(self.steps), by_kernel=by_kernel)
        self.steps.append(step)

    def _place(self, tensor: torch.Tensor, name: str) -> View:
        if not tensor.is_cuda:
            raise fault(FailureKind.LAUNCHER_ERROR, f"{_ON_GPU}; got one on the {tensor.device} as {name}")
        if not self.buffers.knows(tensor):
            raise _foreign(f"the kernel's {name}")
        return self.buffers.view(tensor)

    def end_forward(self, outputs: int) -> None:
        """Note that forward returned so many outputs and that all steps from here on are the backward pass's."""
        self._forward = Forward(steps=len(self.steps), outputs=outputs)

    def _noting(self, act: Callable[[], T]) -> T:
        """Run, and remember the first fault: a launcher may swallow what it cannot undo."""
        try:
            return act()
        except CandidateFault as error:
            self.first_fault = self.first_fault or error
            raise

    def plan(self, target: Target, returned: object) -> LaunchPlan:
        """Return the finished plan, given what `forward` returned."""
        if self.first_fault is not None:
            raise self.first_fault
        outputs = tuple(self._output(one) for one in tree_leaves(returned))
        if not self.calls:
            hint = "Launch at least one @triton.jit kernel of your own."
            raise fault(FailureKind.NO_KERNEL, "expected a Triton launch in forward; got none", hint=hint)
        return LaunchPlan(
            target=target.name, case=self.case.name, buffers=self.buffers.rows(outputs, len(self.steps)),
            steps=tuple(self.steps), outputs=outputs, forward=self._forward,
        )  # fmt: skip

    def _output(self, value: object) -> View:
        if not isinstance(value, torch.Tensor) or not value.is_cuda:
            got = value.device if isinstance(value, torch.Tensor) else type(value).__name__
            raise fault(FailureKind.OUTPUT_FORM, f"expected forward to return CUDA tensors; got {got}")
        if not self.buffers.knows(value):
            raise _foreign("what forward returns")
        return self.buffers.view(value)


def _constant(tensor: torch.Tensor) -> bool | int | float | None:
    """Return the value of a Python number that torch wrapped in a 0-dimensional CPU tensor, else None."""
    known = tensor.constant if isinstance(tensor, FakeTensor) else None
    if known is None or known.dim() != 0:
        return None
    with torch._C._DisableTorchDispatch():
        value: bool | int | float = known.item()
    return value


def _taking_numbers(func: OpOverload, args: tuple[object, ...]) -> _Operation:
    """Return an operation in the form that takes wrapped numbers as numbers; most overloads want tensors."""
    name = name_of(func)
    wrapped = [i for i, one in enumerate(args) if isinstance(one, torch.Tensor) and _constant(one) is not None]
    if wrapped == [0] and name == "aten._to_copy.default" and isinstance(args[0], torch.Tensor):
        return _Operation("aten.full.default", ([], _constant(args[0])))
    if wrapped == [1] and func._overloadname == "Tensor" and "Scalar" in func.overloadpacket.overloads():
        return _Operation(f"{name.removesuffix('Tensor')}Scalar", args)
    return _Operation(name, args)


def _views_in(argument: AtenArgument) -> tuple[View, ...]:
    if isinstance(argument, View):
        return (argument,)
    return argument.views if isinstance(argument, Views) else ()


def _forbidden(name: str, hint: str = "Do this work in a kernel of your own.") -> CandidateFault:
    return fault(FailureKind.FORBIDDEN_OPERATION, f"expected whitelisted ATen operations only; got {name}", hint=hint)


def _foreign(where: str) -> CandidateFault:
    return fault(
        FailureKind.FOREIGN_TENSOR,
        f"expected inputs, parameters and tensors made in forward; got another tensor in {where}",
        hint="Make helper tensors in forward, or register them under the reference's parameter names.",
    )


def _left_the_gpu(name: str, operands: list[torch.Tensor]) -> CandidateFault:
    if any(operand.is_cuda for operand in operands):
        return fault(FailureKind.HOST_READ, f"{_NO_READ}; got {name} to the CPU")
    hint = "Pass device=x.device; Python numbers may be kernel arguments as they are."
    return fault(FailureKind.FORBIDDEN_OPERATION, f"{_ON_GPU}; got one on the CPU from {name}", hint=hint)
