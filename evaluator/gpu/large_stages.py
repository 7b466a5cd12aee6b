"""The stages at real sizes: replay a candidate's plans and hold the answers against the oracle, all on the device."""

import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass

import torch
from msgspec import structs

from tilewright.evaluator.compare import Finding, check_form
from tilewright.evaluator.dossier import Trials
from tilewright.evaluator.draws import Draw
from tilewright.evaluator.gpu.answers import PreparedOnDevice
from tilewright.evaluator.gpu.arena import FRESH
from tilewright.evaluator.gpu.context import Replayable, Rig
from tilewright.evaluator.gpu.influence import Nudge, check_moves
from tilewright.evaluator.gpu.instance import PlanMismatchError
from tilewright.evaluator.gpu.validation import bad_plan
from tilewright.evaluator.preparation import Unusable
from tilewright.evaluator.report import CaseResult, ErrorMeasure, Place, StageResult, Verdict
from tilewright.evaluator.stages import StagesOutcome
from tilewright.sandbox.failure import Failure, FailureKind, Stage
from tilewright.sandbox.plan import LaunchPlan
from tilewright.sandbox.protocol import Entered
from tilewright.tasks.spec import Case, CaseRole, KernelTask, Layout, Values

# NaN in float16 but a large finite number in float32 and bfloat16.
_OTHER_POISON = 0x7F
_REPEATS = 2
_CHANGED_HINT = "write to memory that forward allocates"
_BITS_HINT = "read no memory that was not written, keep no state between calls, add without float atomics"
_FAR_HINT = "compute offsets in int64: tl.program_id(0).to(tl.int64)"
_FAR_STRIDE = 1 << 30

Tensors = tuple[torch.Tensor, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """What one case gave."""

    error: ErrorMeasure | None
    note: str
    failure: Failure | None


def run_large_stages(task: KernelTask, trials: Trials, plans: Mapping[str, LaunchPlan], context: Rig) -> StagesOutcome:
    """Judge a candidate at real sizes; stop at the first case that fails.

    Args:
        task: What is asked.
        trials: Which cases and seeds.
        plans: The candidate's plan of each case, by its name.
        context: Where it runs.

    Raises:
        KeyError: There is no plan for a case.
        OracleError: The reference cannot answer a bench case.
        OracleMemoryError: The device is too small for the answer of a bench case.
        DeviceLostError: The device failed, and no kernel is to blame.
    """
    judging = _Judging(task=task, plans=plans, context=context)
    stages: list[StageResult] = []
    for planned in trials.large:
        rows: list[CaseResult] = []
        failure: Failure | None = None
        for chosen in planned.draws:
            row, failure = judging.judge(planned.stage, chosen)
            rows.append(row)
            if failure is not None:
                break
        else:
            if planned.stage is Stage.STABILITY:
                nudged, failure = judging.influence(trials)
                rows += nudged
        stages.append(StageResult(stage=planned.stage, cases=tuple(rows)))
        if failure is not None:
            return StagesOutcome(stages=tuple(stages), failure=failure)
    if all(planned.stage is not Stage.STABILITY for planned in trials.large):
        rows, failure = judging.influence(trials)
        stages += [StageResult(stage=Stage.STABILITY, cases=tuple(rows))] if rows else []
        return StagesOutcome(stages=tuple(stages), failure=failure)
    return StagesOutcome(stages=tuple(stages), failure=None)


def influence_draw(trials: Trials) -> Draw | None:
    """Return the case whose inputs are changed one by one: the smallest plain one of the widest type."""
    draws = [
        draw
        for planned in trials.large
        if planned.stage is Stage.SHAPES
        for draw in planned.draws
        if draw.case.layout is Layout.CONTIGUOUS and draw.case.values is Values.DRAWN
    ]
    return min(draws, key=lambda draw: (-draw.case.dtype.bytes, _bytes(draw.case)), default=None)


def _bytes(case: Case) -> int:
    return sum(one.storage_bytes for one in case.outputs)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judging:
    """One candidate on a device."""

    task: KernelTask
    plans: Mapping[str, LaunchPlan]
    context: Rig

    def judge(self, stage: Stage, chosen: Draw) -> tuple[CaseResult, Failure | None]:
        """Judge one case; the determinism stage replays it several times."""
        case = chosen.case
        prepared = self.context.answers.prepare(self.task, chosen)
        if isinstance(prepared, Unusable):
            row = CaseResult(case=case.name, verdict=Verdict.SKIPPED, note=prepared.reason, place=Place.GPU)
            return row, None
        started = time.perf_counter()
        outcome = self._replay(stage, prepared)
        return _row(case.name, outcome, time.perf_counter() - started), outcome.failure

    def influence(self, trials: Trials) -> tuple[list[CaseResult], Failure | None]:
        """Change each input and parameter of one case in turn."""
        chosen = influence_draw(trials)
        nudges = self.context.answers.nudges(self.task, chosen) if chosen is not None else ()
        if chosen is None or not nudges:
            return [], None
        name, started = f"influence-{chosen.case.name}", time.perf_counter()
        unclear = [nudge.name for nudge in nudges if not nudge.is_clear]
        note = f"no clear influence to be seen here of {', '.join(unclear)}" if unclear else ""
        opened = self.context.open(self.plans[chosen.case.name])
        if isinstance(opened, Failure):
            failure: Failure | None = structs.replace(opened, stage=Stage.STABILITY)
        else:
            with closing(_Released(opened)):
                failure = self._nudge(opened, chosen.case, tuple(nudge for nudge in nudges if nudge.is_clear))
        row = _row(name, _Outcome(error=None, note=note, failure=failure), time.perf_counter() - started)
        if failure is None and len(unclear) == len(nudges):
            row = structs.replace(row, verdict=Verdict.SKIPPED)
        return [row], failure

    def _nudge(self, instance: Replayable, case: Case, nudges: tuple[Nudge, ...]) -> Failure | None:
        for nudge in nudges:
            failure = _load(instance, (nudge.inputs, nudge.parameters), case, Stage.STABILITY)
            instance.poison(FRESH)
            failure = failure or instance.try_replay(Stage.STABILITY, self.context.announce)
            if failure is not None:
                return failure
            finding = check_moves(nudge, instance.outputs(), case.output_names)
            if finding is not None:
                return _to_failure(finding, Stage.STABILITY, f"influence-{case.name}")
        return None

    def _replay(self, stage: Stage, prepared: PreparedOnDevice) -> _Outcome:
        """Replay a case on poisoned memory and look at all that it left."""
        case, plan = prepared.case, self.plans[prepared.case.name]
        self.context.announce(Entered(stage=stage, case=case.name))
        form = check_form(case, plan)
        if form is not None:
            return _Outcome(error=None, note="", failure=_to_failure(form, stage, case.name))
        opened = self.context.open(plan)
        if isinstance(opened, Failure):
            return _Outcome(error=None, note="", failure=structs.replace(opened, stage=stage))
        with closing(_Released(opened)):
            mismatch = _load(opened, (prepared.inputs, prepared.parameters), case, stage)
            if mismatch is not None:
                return _Outcome(error=None, note="", failure=mismatch)
            outcome = self._run(stage, prepared, opened)
            if outcome.failure is None and stage is Stage.DETERMINISM:
                failure = self._repeat(prepared, opened)
                return _Outcome(error=outcome.error, note=outcome.note, failure=failure)
            return outcome

    def _run(self, stage: Stage, prepared: PreparedOnDevice, instance: Replayable) -> _Outcome:
        """Replay loaded inputs once on fresh, and so poisoned, memory and judge what came out."""
        case = prepared.case
        failure = instance.try_replay(stage, self.context.announce)
        if failure is not None:
            return _Outcome(error=None, note="", failure=_with_far_hint(failure, case))
        finding = _check_inputs(instance)
        if finding is not None:
            return _Outcome(error=None, note="", failure=_to_failure(finding, stage, case.name))
        compared = prepared.compare(instance.outputs(), FRESH)
        found = compared.comparison.finding
        failure = _with_far_hint(_to_failure(found, stage, case.name), case) if found is not None else None
        return _Outcome(error=compared.comparison.error, note=compared.note, failure=failure)

    def _repeat(self, prepared: PreparedOnDevice, instance: Replayable) -> Failure | None:
        """Replay again: in the same buffers, on other garbage, on another stream, in other buffers."""
        first = tuple(one.clone() for one in instance.outputs())
        stage = Stage.DETERMINISM
        for _ in range(_REPEATS):
            instance.poison(FRESH)
            failure = instance.try_replay(stage, self.context.announce)
            failure = failure or self._differs(prepared, first, instance, "a repeat in the same buffers")
            if failure is not None:
                return failure
        instance.poison(_OTHER_POISON)
        failure = self.context.replay_elsewhere(instance, stage)
        where = "a repeat on another stream, with other garbage"
        failure = failure or self._differs(prepared, first, instance, where, _OTHER_POISON)
        if failure is not None:
            return failure
        # the first instance keeps its buffers meanwhile, so that the other one gets others; no memory follows these,
        # so that a read beyond their end, which a red zone would not show, ends the context
        other = self.context.open(instance.plan, is_tight=True)
        if isinstance(other, Failure):
            return structs.replace(other, stage=stage)
        with closing(_Released(other)):
            failure = _load(other, (prepared.inputs, prepared.parameters), prepared.case, stage)
            other.poison(_OTHER_POISON)
            failure = failure or other.try_replay(stage, self.context.announce)
            return failure or self._differs(prepared, first, other, "a repeat in other buffers", _OTHER_POISON)

    def _differs(
        self,
        prepared: PreparedOnDevice,
        first: tuple[torch.Tensor, ...],
        instance: Replayable,
        where: str,
        poison: int = FRESH,
    ) -> Failure | None:
        """Return the failure of outputs that are not the first ones; where bits may differ, of wrong ones."""
        stage, name = Stage.DETERMINISM, prepared.case.name
        outputs = instance.outputs()
        if not self.task.tolerance.is_deterministic:
            finding = prepared.compare(outputs, poison).comparison.finding
            return _to_failure(finding, stage, name) if finding is not None else None
        if all(torch.equal(_bits(one), _bits(other)) for one, other in zip(first, outputs, strict=True)):
            return None
        return Failure(
            kind=FailureKind.NOT_DETERMINISTIC,
            stage=stage,
            case=name,
            message=f"expected the same bits each time, got other bits in {where}",
            hint=_BITS_HINT,
        )


def _load(instance: Replayable, data: tuple[Tensors, Tensors], case: Case, stage: Stage) -> Failure | None:
    """Fill an instance with inputs and parameters; a plan that has no place for them is the candidate's fault."""
    try:
        instance.load_tensors(*data, case)
    except PlanMismatchError as error:
        return structs.replace(bad_plan(instance.plan, str(error)), stage=stage)
    return None


class _Released:
    """Closes an instance by releasing it."""

    def __init__(self, instance: Replayable) -> None:
        self.close = instance.release


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor's bytes, so that NaN equals itself and zeros of either sign differ."""
    return tensor.contiguous().reshape(-1).view(torch.uint8)


def _check_inputs(instance: Replayable) -> Finding | None:
    changed = instance.inputs_changed()
    if not changed:
        return None
    message = f"expected inputs and parameters to keep their contents, got changes in {', '.join(changed)}"
    return Finding(kind=FailureKind.INPUT_CHANGED, message=message, hint=_CHANGED_HINT)


def _to_failure(finding: Finding, stage: Stage, case: str) -> Failure:
    return Failure(kind=finding.kind, stage=stage, case=case, message=finding.message, hint=finding.hint)


def _with_far_hint(failure: Failure, case: Case) -> Failure:
    """Say what rows beyond 2^31 elements need, where that is what the case is about."""
    strides = [stride for spec in case.inputs if hasattr(spec, "strides") for stride in spec.strides]
    is_far = case.role is CaseRole.SHAPE and max(strides, default=0) > _FAR_STRIDE
    return structs.replace(failure, hint=_FAR_HINT) if is_far else failure


def _row(name: str, outcome: _Outcome, wall_s: float) -> CaseResult:
    verdict = Verdict.PASSED if outcome.failure is None else Verdict.FAILED
    return CaseResult(
        case=name, verdict=verdict, error=outcome.error, note=outcome.note, wall_s=wall_s, place=Place.GPU
    )
