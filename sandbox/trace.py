"""Run a launcher on fake CUDA tensors and write down every step of GPU work that it asks for."""

import inspect
from dataclasses import dataclass

import torch
from msgspec import structs
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

from tilewright.sandbox.candidate_module import CandidateModule, build_model
from tilewright.sandbox.failure import FailureKind
from tilewright.sandbox.fake_device import offline_device, replaced
from tilewright.sandbox.fault import CandidateFault, blaming
from tilewright.sandbox.launches import Call, intercepted_launches, plain_signature, to_arguments
from tilewright.sandbox.offline_driver import offline_driver
from tilewright.sandbox.plan import BufferOrigin, Launch, LaunchPlan
from tilewright.sandbox.targets import Target
from tilewright.sandbox.trace_buffers import fake_tensor
from tilewright.sandbox.trace_gradients import run_both
from tilewright.sandbox.trace_steps import LaunchSink, Trace
from tilewright.tasks.spec import Case, Gradients, TensorSpec

_LAUNCH_DEFAULTS = {"num_warps": 4, "num_stages": 3, "num_ctas": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedCase:
    """What a launcher did for one case.

    Attributes:
        plan: The plan.
        calls: What was launched, parallel to `plan.launches`, for running it again in the interpreter.
    """

    plan: LaunchPlan
    calls: tuple[Call, ...]


class PlainSink:
    """Writes launches down without compiling them: what the interpreter needs."""

    def launch(self, trace: Trace, call: Call) -> Launch:  # noqa: ARG002  # the protocol's signature
        """Return the step with nothing in it that only a compiler knows."""
        parameters = inspect.signature(call.kernel.fn).parameters.values()
        constant = {parameter.name for parameter in parameters if "constexpr" in str(parameter.annotation)}
        arguments = tuple(
            argument
            for name, value in call.arguments
            for argument in to_arguments(name, value, plain_signature(value, is_constexpr=name in constant))
        )
        options = dict(call.options)
        numbers = {name: int(str(options.get(name) or default)) for name, default in _LAUNCH_DEFAULTS.items()}
        return Launch(
            kernel=call.name, entry=call.name, ptx_sha="", grid=call.grid, num_warps=numbers["num_warps"],
            num_stages=numbers["num_stages"], num_ctas=numbers["num_ctas"], shared_bytes=0, global_scratch_bytes=0,
            arguments=arguments,
        )  # fmt: skip


class _Recording(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's mode hooks have no annotations
    """Shows a trace every ATen operation of a launcher."""

    def __init__(self, trace: Trace) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._trace = trace

    def __torch_dispatch__(
        self, func: OpOverload, _types: object, args: tuple[object, ...] = (), kwargs: dict[str, object] | None = None
    ) -> object:
        """Hand one operation to the trace."""
        return self._trace.operate(func, args, kwargs or {})


def trace_case(module: CandidateModule, case: Case, target: Target, sink: LaunchSink) -> TracedCase:
    """Run a candidate's launcher on fake CUDA tensors of a case and return what it asked the GPU to do.

    Nothing is computed. It works where Triton compiles and where it interprets; `sink` makes the difference.

    Raises:
        CandidateFault: The candidate is at fault; carries the Failure, with the case's name.
    """
    trace = Trace(case, sink)
    try:
        with offline_device(target), offline_driver(target), module.fake, torch.no_grad():
            model = build_model(module, case)
            inputs = _register(trace, model, case)
            with blaming(FailureKind.LAUNCHER_ERROR):
                returned = _forward(trace, module, model, inputs)
            plan = trace.plan(target, returned)
    except CandidateFault as error:
        first = trace.first_fault or error
        raise CandidateFault(structs.replace(first.failure, case=case.name)) from None
    return TracedCase(plan=plan, calls=tuple(trace.calls))


def _register(trace: Trace, model: torch.nn.Module, case: Case) -> list[object]:
    """Number the storages of inputs and parameters and return the inputs."""
    inputs: list[object] = []
    for name, spec in zip(case.input_names, case.inputs, strict=True):
        if isinstance(spec, TensorSpec):
            tensor = fake_tensor(spec)
            trace.buffers.add(tensor, BufferOrigin.INPUT, name, -1)
            inputs.append(tensor)
        else:
            inputs.append(spec.value)
    state = model.state_dict()
    for parameter in case.parameters:
        trace.buffers.add(state[parameter.name], BufferOrigin.PARAMETER, parameter.name, -1)
    return inputs


def _forward(trace: Trace, module: CandidateModule, model: torch.nn.Module, inputs: list[object]) -> object:
    def data_ptr(tensor: torch.Tensor) -> int:
        return trace.buffers.address(tensor)

    with (
        intercepted_launches(trace.launch, module.configurations),
        replaced(torch.Tensor, "data_ptr", data_ptr),
        _Recording(trace),
    ):
        if isinstance(trace.case.gradients, Gradients):
            return run_both(model, inputs, trace.case, trace.end_forward)
        return model(*inputs)
