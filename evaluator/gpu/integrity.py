"""Whether a candidate's own kernels do the work: shares of the GPU time by step, and what happens without each."""

import msgspec
import torch

from tilewright.evaluator.gpu.agreement import find_disagreement
from tilewright.evaluator.gpu.candidate_work import CandidateWork
from tilewright.evaluator.gpu.captured import Captured, CaptureError, Contestant, Replays, nothing, take_turns
from tilewright.evaluator.gpu.driver import DriverError
from tilewright.evaluator.gpu.instance import Instance
from tilewright.evaluator.gpu.spreads import to_span
from tilewright.evaluator.timing import CostTerm
from tilewright.sandbox.failure import Failure, FailureKind, Stage
from tilewright.sandbox.plan import Alloc, Launch, LaunchPlan

_TURNS = 8
_OWN = "kernel of its own"
_FOREIGN = "operation of PyTorch"


class StepShares(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a plan's GPU time goes.

    Attributes:
        steps: Time of each step that computes, in the plan's order; together the plan's time.
        own_share: Share of the time in the candidate's own kernels, 0 to 1.
    """

    steps: tuple[CostTerm, ...]
    own_share: float


class _Step:
    """One step of a plan as a contestant, where it cannot be captured."""

    def __init__(self, work: CandidateWork, index: int) -> None:
        self._work = work
        self._index = index

    def prepare(self) -> None:
        """Nothing is left to do before a turn."""

    def run(self) -> None:
        """Enqueue the step for every set."""
        self._work.enqueue_step(self._index)


def measure_steps(work: CandidateWork, total_us: float) -> StepShares:
    """Time each step of a plan alone, on buffers that a whole replay has filled, and scale to the plan's time.

    Args:
        work: The candidate on a bench case.
        total_us: Time of the plan, by the stopwatch.

    Raises:
        DriverError: The device failed.
    """
    plan = work.plan
    indices = [index for index, step in enumerate(plan.steps) if not isinstance(step, Alloc)]
    alone = dict.fromkeys(indices, 1.0)
    if len(indices) > 1:
        with torch.cuda.stream(work.stream):
            work.prepare()
            work.run()
            contestants = {str(index): _contestant(work, index) for index in indices}
            order = tuple(contestants) * _TURNS
            times = take_turns(contestants, order, nothing)
        alone = {index: to_span(times[str(index)]).median_us for index in indices}
    scale = total_us / max(sum(alone.values()), 1e-9)
    steps = tuple(_to_term(plan, index, alone[index] * scale) for index in indices)
    own_us = sum(one.us for one in steps if one.reason == _OWN)
    return StepShares(steps=steps, own_share=own_us / total_us if steps else 0.0)


def find_idle_kernel(work: CandidateWork) -> Failure | None:
    """Leave out each of the candidate's kernels in turn: one without which the answer stays right does no work.

    First the buffers hold what a replay on other inputs left, so that kernels which follow find sane numbers; outputs
    are poisoned. Where the answer is right nevertheless, it may hang on parameters alone, which are the same: then
    everything is poisoned. Only a kernel that is not missed then either is idle. Needs two input sets.

    Raises:
        DriverError: The device failed.
    """
    plan = work.plan
    launches = [index for index, step in enumerate(plan.steps) if isinstance(step, Launch)]
    if len(work.instances) < 2 or sum(not isinstance(step, Alloc) for step in plan.steps) < 2:
        return None  # a single step is missed by every output
    with torch.cuda.stream(work.stream):
        for index in launches:
            if _is_missed(work, index, has_stale=True) or _is_missed(work, index, has_stale=False):
                continue
            step = plan.steps[index]
            name = step.kernel if isinstance(step, Launch) else ""
            message = f"expected every kernel to be needed; without {name} (step {index}) the answer is the same"
            hint = "leave the kernel out, or let it do work that the answer depends on"
            return Failure(
                kind=FailureKind.IDLE_KERNEL, stage=Stage.TIMING, case=plan.case, message=message, hint=hint
            )  # fmt: skip
    return None


def _is_missed(work: CandidateWork, index: int, *, has_stale: bool) -> bool:
    """Whether the answer to the second set is wrong without a step.

    Args:
        work: The candidate.
        index: The step.
        has_stale: Whether launcher-made buffers hold what a replay on the first set left, outputs poisoned.
    """
    first, second = work.instances[:2]
    stream = work.stream.cuda_stream
    for one in (first, second):
        one.poison(stream=stream)
        one.replay(stream)
    expected = second.outputs()
    work.load(first, 1)
    try:
        if has_stale:
            _poison_outputs(first)
        else:
            first.poison(stream=stream)
        first.replay(stream, without=index)
        return find_disagreement([(first.outputs(), expected)], work.bench.case) is not None
    finally:
        work.load(first, 0)


def _poison_outputs(instance: Instance) -> None:
    """Make every output wrong."""
    for one in instance.outputs():
        if one.is_floating_point() or one.is_complex():
            one.fill_(float("nan"))
        elif one.dtype is torch.bool:
            one.logical_not_()
        else:
            one.bitwise_not_()


def _contestant(work: CandidateWork, index: int) -> Contestant:
    """Return a step, captured where that is possible."""
    try:
        return Replays(Captured(lambda: work.enqueue_step(index), work.stream))
    except (CaptureError, DriverError):
        return _Step(work, index)


def _to_term(plan: LaunchPlan, index: int, us: float) -> CostTerm:
    step = plan.steps[index]
    if isinstance(step, Launch):
        return CostTerm(name=step.kernel, us=us, reason=_OWN)
    return CostTerm(name=getattr(step, "operation", "step"), us=us, reason=_FOREIGN)
