"""Answers an Interpret request: each case is recorded, then its plan is run step by step on checked memory."""

import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from tilewright.sandbox import shims
from tilewright.sandbox.bounds import CheckedMemory, OutOfBoundsError
from tilewright.sandbox.candidate_module import load_candidate
from tilewright.sandbox.errors import SandboxError
from tilewright.sandbox.failure import Failure, FailureKind, Stage
from tilewright.sandbox.fault import CandidateFault, one_line
from tilewright.sandbox.launches import Call
from tilewright.sandbox.offline_driver import offline_driver
from tilewright.sandbox.plan import Aten, Buffer, BufferOrigin, Launch, LaunchPlan, View
from tilewright.sandbox.protocol import Answer, CaseData, Entered, Interpret, Interpreted
from tilewright.sandbox.replay_aten import is_written, replay_aten, reserve, tensor_at
from tilewright.sandbox.shims_launch import pointed_to, programs_of, run_programs
from tilewright.sandbox.shims_numeric import UnsupportedError
from tilewright.sandbox.targets import find_target
from tilewright.sandbox.trace import PlainSink, TracedCase, trace_case
from tilewright.tasks.spec import Case, CaseRole

_STAGES = {
    CaseRole.SMOKE: Stage.SMOKE,
    CaseRole.SHAPE: Stage.SHAPES,
    CaseRole.STABILITY: Stage.STABILITY,
    CaseRole.EDGE: Stage.EDGES,
    CaseRole.BENCH: Stage.TIMING,
}
_DETAIL_CHARACTERS = 4000


def interpret(request: Interpret, emit: Callable[[Answer], None]) -> None:
    """Record and run each case of a request; emit one Interpreted a case.

    Raises:
        CandidateFault: The candidate is at fault; no case after it is run.
        SandboxError: The data do not fit the case, or the plan names what this torch lacks.
    """
    shims.install()
    target = find_target(request.target)
    emit(Entered(stage=Stage.RECORD, case=None))
    module = load_candidate(request.source, request.knobs, target)
    for data in request.cases:
        emit(Entered(stage=_STAGES[data.case.role], case=data.case.name))
        traced = trace_case(module, data.case, target, PlainSink())
        memory = CheckedMemory(traced.plan.buffers, _contents(traced.plan, data), request.poison)
        with offline_driver(target):  # what a kernel asks about its target is answered as when it is compiled
            answer = _Replay(traced, memory, data.case, emit, request.order).run()
        emit(answer)


@dataclass(frozen=True, slots=True)
class _Replay:
    """A recorded case that is about to run on filled memory."""

    traced: TracedCase
    memory: CheckedMemory
    case: Case
    emit: Callable[[Answer], None]
    order: int

    def run(self) -> Interpreted:
        """Run all steps and return what came out."""
        plan, memory = self.traced.plan, self.memory
        try:
            self._run_steps()
        except UnsupportedError as error:
            return Interpreted(plan=plan, outputs=(), written=(), changed=(), not_covered=(one_line(str(error)),))
        return Interpreted(
            plan=plan,
            outputs=tuple(_row_major(tensor_at(view, memory)) for view in plan.outputs),
            written=tuple(is_written(view, memory) for view in plan.outputs),
            changed=memory.changed(),
            notes=tuple(memory.notes),
        )

    def _run_steps(self) -> None:
        plan, calls = self.traced.plan, iter(self.traced.calls)
        finished: tuple[bytes, ...] = ()
        for index, step in enumerate(plan.steps):
            if plan.forward is not None and index == plan.forward.steps:
                finished = self._finish_forward(plan.outputs[: plan.forward.outputs])
            if isinstance(step, Launch):
                self._launch(next(calls))
            elif isinstance(step, Aten):
                replay_aten(step, self.memory)
        for number, (view, before) in enumerate(zip(plan.outputs, finished, strict=False)):
            if _row_major(tensor_at(view, self.memory)) != before:
                message = f"expected backward to leave {self.case.output_names[number]} as it was; got other contents"
                raise self._fault(FailureKind.INPUT_CHANGED, message, "Compute in memory that backward allocates.")

    def _finish_forward(self, views: tuple[View, ...]) -> tuple[bytes, ...]:
        """Return the contents of forward's outputs; a loss would be computed from them before backward starts."""
        for number, view in enumerate(views):
            if not is_written(view, self.memory):
                message = f"expected {self.case.output_names[number]} to be complete when backward starts"
                hint = "Launch what computes forward's outputs in forward."
                raise self._fault(FailureKind.UNWRITTEN, f"{message}; some elements were not written", hint)
        return tuple(_row_major(tensor_at(view, self.memory)) for view in views)

    def _fault(self, kind: FailureKind, message: str, hint: str) -> CandidateFault:
        stage = _STAGES[self.case.role]
        return CandidateFault(Failure(kind=kind, stage=stage, case=self.case.name, message=message, hint=hint))

    def _launch(self, call: Call) -> None:
        stage = _STAGES[self.case.role]
        self.emit(Entered(stage=stage, case=self.case.name, kernel=call.name))
        self.memory.enter(call.name, pointed_to(call))
        semantic = shims.interpreting_semantic()
        semantic.builder.memory = self.memory
        try:
            run_programs(call, programs_of(call.grid, self.order), semantic)
        except (UnsupportedError, MemoryError):
            raise
        except OutOfBoundsError as error:
            message = one_line(f"kernel `{call.name}`, program {semantic.builder.grid_idx}: {error}")
            hint = "Mask the lanes beyond the end and check the strides of the arguments."
            raise self._fault(FailureKind.OUT_OF_BOUNDS, message, hint) from None
        except Exception as error:
            raise kernel_fault(call, error, self.case.name, stage) from None


def kernel_fault(call: Call, error: Exception, case: str, stage: Stage) -> CandidateFault:
    """Return the fault that an exception out of an interpreted kernel stands for."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.name == call.name]
    where = f"kernel `{call.name}`" + (f", line {lines[0]}" if lines else "")
    failure = Failure(
        kind=FailureKind.INTERPRETER_ERROR,
        stage=stage,
        case=case,
        message=one_line(f"{where}: {type(error).__name__}: {error}"),
        detail="".join(traceback.format_exception(error))[-_DETAIL_CHARACTERS:],
    )
    return CandidateFault(failure)


def _contents(plan: LaunchPlan, data: CaseData) -> dict[int, bytes]:
    """Return the bytes of each input and parameter by the index of its buffer."""
    filled = [
        *zip(_buffers(plan, BufferOrigin.INPUT), data.inputs, strict=True),
        *zip(_buffers(plan, BufferOrigin.PARAMETER), data.parameters, strict=True),
    ]
    for buffer, given in filled:
        if len(given) != buffer.bytes:
            raise SandboxError(f"expected {buffer.bytes} bytes for {buffer.name} of {plan.case}, got {len(given)}")
    return {buffer.index: given for buffer, given in filled}


def _buffers(plan: LaunchPlan, origin: BufferOrigin) -> Iterator[Buffer]:
    return (buffer for buffer in plan.buffers if buffer.origin is origin)


def _row_major(tensor: torch.Tensor) -> bytes:
    reserve(tensor.numel() * tensor.element_size())
    data: bytes = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return data
