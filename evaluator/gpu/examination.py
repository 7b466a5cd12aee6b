"""Is a recorded candidate right on this GPU: small cases, cases at real size, changed inputs."""

import msgspec
from msgspec import structs

from tilewright.evaluator.dossier import Dossier
from tilewright.evaluator.gpu.context import Rig
from tilewright.evaluator.gpu.large_stages import run_large_stages
from tilewright.evaluator.report import CaseResult, Place, StageResult, Verdict
from tilewright.evaluator.stages import run_stages
from tilewright.sandbox.failure import Failure, Stage

_ORDER = (Stage.SMOKE, Stage.SHAPES, Stage.STABILITY, Stage.DETERMINISM, Stage.EDGES)


class Examination(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the five stages found, wherever they ran.

    Attributes:
        stages: Those that ran, in order, the interpreter's rows first; the last one may have failed.
        failure: Why the candidate is refused, or None.
    """

    stages: tuple[StageResult, ...]
    failure: Failure | None


def examine(dossier: Dossier, context: Rig) -> Examination:
    """Run the five stages of a recorded candidate; its binaries must have been adopted.

    Raises:
        KeyError: The dossier has no plan for a case of its trials.
        OracleError: The reference cannot answer a case that the task declares.
        OracleMemoryError: The device is too small for the answer of a bench case.
        DeviceLostError: The device failed, and no kernel is to blame.
    """
    task, trials = dossier.task, dossier.trials
    plans = {plan.case: plan for plan in (*dossier.recording.plans, *dossier.plans)}
    context.preparations.keep(task, trials.seed, trials.small)
    runner = context.runner(plans)
    small = run_stages(
        task, dossier.candidate, dossier.recording.target, runner, trials.seed, preparations=context.preparations
    )
    if runner.lost is not None:
        # the answers of the cases before went with the context: only the runner knows which case it was
        stages = (dossier.interpreted, _blame(runner.lost))
        return Examination(stages=merge_stages(stages, runner.lost), failure=runner.lost)
    stages = (dossier.interpreted, tuple(_on_gpu(one) for one in small.stages))
    if small.failure is not None:
        return Examination(stages=merge_stages(stages, small.failure), failure=small.failure)
    large = run_large_stages(task, trials, plans, context)
    return Examination(stages=merge_stages((*stages, large.stages), large.failure), failure=large.failure)


def merge_stages(parts: tuple[tuple[StageResult, ...], ...], failure: Failure | None) -> tuple[StageResult, ...]:
    """Join the rows of each stage, in the order of the stages; those after the failed one are left out."""
    merged = []
    for stage in _ORDER:
        rows = tuple(row for part in parts for one in part if one.stage is stage for row in one.cases)
        if rows:
            merged.append(StageResult(stage=stage, cases=rows))
        if failure is not None and failure.stage is stage:
            break
    return tuple(merged)


def _blame(lost: Failure) -> tuple[StageResult, ...]:
    """Return the row of the case that took the device's context with it."""
    row = CaseResult(case=lost.case or "", verdict=Verdict.FAILED, place=Place.GPU)
    return (StageResult(stage=lost.stage, cases=(row,)),)


def _on_gpu(result: StageResult) -> StageResult:
    return StageResult(stage=result.stage, cases=tuple(structs.replace(row, place=Place.GPU) for row in result.cases))
