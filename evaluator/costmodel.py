"""Estimated times from a recording: no clock is read, and the same recording gives the same estimate."""

import math
from dataclasses import dataclass, replace

from tilewright.evaluator.aten_cost import EagerOp, operation_us
from tilewright.evaluator.costmodel_terms import LaunchWork, launch_terms
from tilewright.evaluator.floor import baselines, floor_us
from tilewright.evaluator.hardware import Hardware
from tilewright.evaluator.recording import CaseCount, Recording
from tilewright.evaluator.timing import CostTerm, TimeKind, TimeSpan, Timing
from tilewright.evaluator.traffic import launch_traffic
from tilewright.sandbox.plan import Alloc, Aten, Launch, LaunchPlan, View, Views
from tilewright.sandbox.protocol import LaunchCount
from tilewright.sandbox.targets import Target
from tilewright.tasks.spec import Case, CaseRole, KernelTask


class CostModelError(ValueError):
    """What is to be priced does not fit together: our fault, not the candidate's."""


def estimate(
    task: KernelTask,
    recording: Recording,
    counts: tuple[CaseCount, ...],
    eager: tuple[tuple[EagerOp, ...], ...],
    target: Target,
    hardware: Hardware,
) -> tuple[Timing, ...]:
    """Return the estimated time of each bench case of a task, with every term.

    Args:
        task: The task.
        recording: Plans and the compiler's facts, one plan a bench case.
        counts: Counted work of each bench case.
        eager: Operations that eager PyTorch runs, one row a bench case in the order of the task.
        target: The part's limits.
        hardware: The part's rates.

    Raises:
        CostModelError: A bench case has no plan, no count or no row of operations, or their launches differ.
    """
    cases = task.cases_of(CaseRole.BENCH)
    if len(eager) != len(cases):
        raise CostModelError(f"expected the operations of {len(cases)} bench cases, got {len(eager)}")
    plans = {plan.case: plan for plan in recording.plans}
    counted = {one.case: one.launches for one in counts}
    missing = [case.name for case in cases if case.name not in plans or case.name not in counted]
    if missing:
        raise CostModelError(f"expected a plan and a count of {missing[0]}: record and count every bench case")
    timing: list[Timing] = []
    for case, operations in zip(cases, eager, strict=True):
        terms = step_terms(recording, plans[case.name], counted[case.name], target, hardware)
        timing.append(_timing(case, operations, terms, target, hardware))
    return tuple(timing)


def _timing(
    case: Case, operations: tuple[EagerOp, ...], terms: tuple[CostTerm, ...], target: Target, hardware: Hardware
) -> Timing:
    """Return the estimated time of one case from its terms."""
    return Timing(
        case=case.name,
        kind=TimeKind.ESTIMATED,
        device=hardware.device,
        candidate=_span(math.fsum(term.us for term in terms), hardware.band),
        baselines=baselines(case, operations, target, hardware),
        floor_us=floor_us(case, operations, hardware),
        terms=terms,
    )


def _span(us: float, band: float) -> TimeSpan:
    """Return an estimate with the model's band."""
    return TimeSpan(median_us=us, low_us=us * (1 - band), high_us=us * (1 + band))


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A step that takes time, with all that its price depends on but the rates.

    Attributes:
        name: Place among the working steps and what runs, such as `0:softmax_kernel`.
        is_first: Whether nothing runs before it.
        step: The launch or the operation.
        launch: What is known of a launch; None for operations and for launches of no program.
    """

    name: str
    is_first: bool
    step: Launch | Aten
    launch: LaunchWork | None


def step_terms(
    recording: Recording, plan: LaunchPlan, counts: tuple[LaunchCount, ...], target: Target, hardware: Hardware
) -> tuple[CostTerm, ...]:
    """Return the terms of every step of a plan, named `STEP:KERNEL TERM`; they add up to the estimate.

    Raises:
        CostModelError: The counted launches are not those of the plan.
    """
    works = plan_work(recording, plan, counts, target, hardware)
    return tuple(term for work in works for term in work_terms(work, target, hardware))


def plan_work(
    recording: Recording, plan: LaunchPlan, counts: tuple[LaunchCount, ...], target: Target, hardware: Hardware
) -> tuple[Work, ...]:
    """Return the steps of a plan that take time, in order.

    Raises:
        CostModelError: The counted launches are not those of the plan.
    """
    if len(counts) != len(plan.launches):
        raise CostModelError(f"expected counts of {len(plan.launches)} launches in {plan.case}, got {len(counts)}")
    works: list[Work] = []
    waiting = list(counts)
    for index, step in enumerate(plan.steps):
        if isinstance(step, Alloc):
            continue
        known, name = None, step.kernel if isinstance(step, Launch) else step.operation
        if isinstance(step, Launch):
            count = waiting.pop(0)
            if step.programs:
                facts = recording.build_of(step.ptx_sha).facts
                traffic = launch_traffic(plan, index, count, facts, target)
                known = LaunchWork(
                    launch=step, count=count, facts=facts, traffic=traffic, target=target, hardware=hardware
                )
        works.append(Work(name=f"{len(works)}:{name}", is_first=not works, step=step, launch=known))
    return tuple(works)


def work_terms(work: Work, target: Target, hardware: Hardware) -> tuple[CostTerm, ...]:
    """Return the terms of one step at the rates of a part."""
    if isinstance(work.step, Aten):
        terms: tuple[CostTerm, ...] = (_aten(work.step, target, hardware),)
    else:
        kernels = hardware.in_kernels
        own = launch_terms(replace(work.launch, hardware=kernels)) if work.launch is not None else ()
        start_us = kernels.launch_us if work.is_first else kernels.gap_us
        terms = (*own, CostTerm(name="launch", us=start_us, reason="start, ramp and drain of a kernel in a graph"))
    return tuple(CostTerm(name=f"{work.name} {one.name}", us=one.us, reason=one.reason) for one in terms)


def _aten(step: Aten, target: Target, hardware: Hardware) -> CostTerm:
    """Return the cost of an ATen step, as eager PyTorch would run it."""
    views = _views(step)
    distinct = {(view.buffer, view.tensor): view for view in views}
    moved = sum(view.tensor.elements * view.tensor.dtype.bytes for view in distinct.values())
    name = step.operation.split(".")[1] if "." in step.operation else step.operation
    dtype = views[0].tensor.dtype.value if views else ""
    operation = EagerOp(name=name.removesuffix("_"), bytes=moved, flops=0, dtype=dtype)
    us = operation_us(operation, target, hardware)
    return CostTerm(name="aten", us=us, reason=f"{moved / 1e6:.1f} MB as PyTorch runs it")


def _views(step: Aten) -> tuple[View, ...]:
    """Return the tensors that an ATen step reads and writes."""
    values = (*step.arguments, *(one.value for one in step.keywords), *step.outputs)
    single = tuple(one for one in values if isinstance(one, View))
    return single + tuple(view for one in values if isinstance(one, Views) for view in one.views)
