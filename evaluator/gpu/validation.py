"""A plan is checked against itself before anything of it is launched: it comes out of a sandbox, or out of a file."""

import re
from collections.abc import Mapping

from tilewright.evaluator.dossier import Binary
from tilewright.evaluator.gpu.literals import to_value
from tilewright.evaluator.gpu.validation_launch import check_launch
from tilewright.evaluator.gpu.validation_view import PlanError, check_view, need
from tilewright.sandbox.aten_operations import is_listed
from tilewright.sandbox.failure import Failure, FailureKind, Stage
from tilewright.sandbox.plan import (
    Alloc,
    Aten,
    AtenArgument,
    Buffer,
    BufferOrigin,
    Launch,
    LaunchPlan,
    Step,
    View,
    Views,
)
from tilewright.sandbox.targets import Target

_MOST_STEPS = 4_000
_MOST_BUFFERS = 4_000
_MOST_ARGUMENTS = 32
_MOST_VIEWS = 128
_WORD = re.compile(r"[a-z_]+")


def validate(plan: LaunchPlan, binaries: Mapping[str, Binary], target: Target) -> Failure | None:
    """Return why a plan may not be replayed, or None.

    Checked are buffers (order, sizes, sum), every view, pointer and descriptor (within its buffer), every launch
    (known binary for this architecture, grid, warps, shared memory, scratch) and every ATen step (on the list, with
    views and literals only). What only the driver or torch can tell (numbers of parameters, schemas of operations)
    is checked where the plan is loaded.

    Args:
        plan: What was recorded.
        binaries: Every kernel that its launches may name, by the hash of its PTX.
        target: The architecture and limits of the device.
    """
    try:
        need(plan.target == target.name, "a plan", f"for {target.name}", f"one for {plan.target}")
        _check_buffers(plan.buffers, target)
        need(len(plan.steps) <= _MOST_STEPS, "a plan", f"of at most {_MOST_STEPS} steps", str(len(plan.steps)))
        for index, step in enumerate(plan.steps):
            _check_step(f"step {index}", step, plan.buffers, binaries, target)
        need(len(plan.outputs) <= _MOST_VIEWS, "a plan", f"with at most {_MOST_VIEWS} outputs", str(len(plan.outputs)))
        for index, view in enumerate(plan.outputs):
            check_view(f"output {index}", view, plan.buffers)
        if plan.forward is not None:
            is_part = 0 <= plan.forward.steps <= len(plan.steps) and 0 <= plan.forward.outputs <= len(plan.outputs)
            need(is_part, "forward", "a part of the plan's steps and outputs", str(plan.forward))
    except PlanError as error:
        return Failure(kind=error.kind, stage=Stage.RECORD, case=plan.case, message=str(error))
    return None


def bad_plan(plan: LaunchPlan, message: str) -> Failure:
    """Return the failure of a plan that turned out not to be replayable only when it was loaded."""
    return Failure(kind=FailureKind.BAD_PLAN, stage=Stage.RECORD, case=plan.case, message=message)


def _check_buffers(buffers: tuple[Buffer, ...], target: Target) -> None:
    need(len(buffers) <= _MOST_BUFFERS, "a plan", f"of at most {_MOST_BUFFERS} buffers", str(len(buffers)))
    for index, buffer in enumerate(buffers):
        need(buffer.index == index, f"buffer {index}", "numbered by its place", str(buffer.index))
        need(buffer.bytes >= 0, f"buffer {index}", "of no negative size", str(buffer.bytes))
    total = sum(buffer.bytes for buffer in buffers)
    need(
        total <= target.memory_bytes,
        "a plan",
        f"of at most the device's {target.memory_bytes} bytes",
        f"{total} bytes of buffers",
        kind=FailureKind.MEMORY_LIMIT,
    )


def _check_step(
    where: str, step: Step, buffers: tuple[Buffer, ...], binaries: Mapping[str, Binary], target: Target
) -> None:
    if isinstance(step, Launch):
        check_launch(f"{where}, kernel {step.kernel}", step, buffers, binaries, target)
    elif isinstance(step, Aten):
        _check_aten(f"{where}, {step.operation}", step, buffers)
    else:
        assert isinstance(step, Alloc)
        is_scratch = 0 <= step.buffer < len(buffers) and buffers[step.buffer].origin is BufferOrigin.SCRATCH
        need(is_scratch, where, "an allocation of a scratch buffer", f"number {step.buffer}")


def _check_aten(where: str, step: Aten, buffers: tuple[Buffer, ...]) -> None:
    need(is_listed(step.operation), where, "a whitelisted ATen operation", step.operation)
    names = [keyword.name for keyword in step.keywords]
    count = len(step.arguments) + len(names)
    need(count <= _MOST_ARGUMENTS, where, f"at most {_MOST_ARGUMENTS} arguments", str(count))
    for name in names:
        # results are written where the plan says, by us
        is_word = _WORD.fullmatch(name) is not None and "out" not in name.split("_") and names.count(name) == 1
        need(is_word, where, "keywords of the operation, each once", name[:40])
    for argument in (*step.arguments, *(keyword.value for keyword in step.keywords)):
        _check_argument(where, argument, buffers)
    need(bool(step.outputs), where, "at least one result", "none")
    for view in step.outputs:
        check_view(where, view, buffers)


def _check_argument(where: str, argument: AtenArgument, buffers: tuple[Buffer, ...]) -> None:
    if isinstance(argument, View):
        check_view(where, argument, buffers)
    elif isinstance(argument, Views):
        need(len(argument.views) <= _MOST_VIEWS, where, f"at most {_MOST_VIEWS} tensors", str(len(argument.views)))
        for view in argument.views:
            check_view(where, view, buffers)
    else:
        try:
            to_value(argument.text)
        except ValueError as error:
            raise PlanError(FailureKind.BAD_PLAN, f"{where}: {error}") from error
