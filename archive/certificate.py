"""What a kernel is handed over with: what was checked, how fast it is, and where it came from."""

import msgspec

from tilewright.archive.descriptors import describe
from tilewright.archive.errors import UnfitCandidateError
from tilewright.archive.reader import ArchiveReader
from tilewright.archive.records import StepKey
from tilewright.evaluator.recording import KernelBuild, Recording
from tilewright.evaluator.report import Environment, Report, Reward, RewardTerm, StageResult, Verdict
from tilewright.evaluator.timing import TimeKind, Timing
from tilewright.sandbox.failure import Stage
from tilewright.tasks.candidate import Knob


class StageEvidence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One stage and how many of its cases passed, failed and were skipped."""

    stage: Stage
    verdict: Verdict
    passed: int
    failed: int
    skipped: int


class TimeEvidence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The time on one bench case: what it is, on what, against what. Times in microseconds."""

    case: str
    kind: TimeKind
    device: str
    median_us: float
    low_us: float
    high_us: float
    baseline: str
    baseline_us: float
    speedup: float
    lower_bound: float
    floor_us: float
    share_of_floor: float


class KernelEvidence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the compiler says of one kernel."""

    kernel: str
    registers: int
    spill_bytes: int
    shared_bytes: int
    occupancy: float
    sass_sha: str


class Certificate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that speaks for a candidate.

    Attributes:
        task: Title of the task.
        task_id: Its id.
        candidate_id: The candidate.
        source_sha: SHA-256 of its source as it was judged.
        knobs: Its chosen values.
        operator: What proposed it.
        model: The LLM that wrote it, or None.
        ancestors: Ids of all candidates that it descends from, nearest first.
        run: Name of the run that judged it.
        seed: The run's seed.
        step: Number of the step.
        code_version: Version of Tilewright.
        environment: Where it was judged.
        cell: Its cell.
        fitness: log2 of the cautious speed-up, -3 to 4.
        stages: The five stages.
        confirmation: The five stages once more, on other secret cases; empty if it was judged once.
        timing: Its time on each bench case.
        kernels: Its compiled kernels.
        reward: The reward's terms.
    """

    task: str
    task_id: str
    candidate_id: str
    source_sha: str
    knobs: tuple[Knob, ...]
    operator: str
    model: str | None
    ancestors: tuple[str, ...]
    run: str
    seed: int
    step: int
    code_version: str
    environment: Environment
    cell: str
    fitness: float
    stages: tuple[StageEvidence, ...]
    confirmation: tuple[StageEvidence, ...]
    timing: tuple[TimeEvidence, ...]
    kernels: tuple[KernelEvidence, ...]
    reward: tuple[RewardTerm, ...]


def certificate(
    archive: ArchiveReader, prefix: str, confirmation: Report | None = None, *, run_id: str | None = None
) -> Certificate:
    """Return what speaks for a right candidate.

    Args:
        archive: Where it is stored.
        prefix: Its id, or the first digits of it.
        confirmation: A second judgement of it, on other secret cases.
        run_id: The run whose judgement counts; the newest of all runs if absent.

    Raises:
        UnknownCandidateError: No id starts so, or several do.
        UnfitCandidateError: It is not right, or was never judged.
    """
    with archive.snapshot():
        candidate = archive.candidate(prefix)
        step, report, recording, reward, fitness = _proof(archive, candidate.id, run_id)
        run = archive.run(step.run_id)
        return Certificate(
            task=archive.task(candidate.task_id).title,
            task_id=candidate.task_id,
            candidate_id=candidate.id,
            source_sha=candidate.source_sha,
            knobs=candidate.knobs,
            operator=candidate.origin.operator,
            model=candidate.origin.model,
            ancestors=tuple(one.candidate_id for one in archive.lineage(candidate.id)[1:]),
            run=run.name,
            seed=run.seed,
            step=step.number,
            code_version=run.code_version,
            environment=archive.environment(report.environment_id),
            cell=describe(recording, report).cell,
            fitness=fitness,
            stages=tuple(to_stage(stage) for stage in report.stages),
            confirmation=tuple(to_stage(stage) for stage in confirmation.stages) if confirmation else (),
            timing=tuple(to_time(timing) for timing in report.timing),
            kernels=tuple(_to_kernel(build) for build in recording.builds),
            reward=reward.terms,
        )


def _proof(
    archive: ArchiveReader, candidate_id: str, run_id: str | None
) -> tuple[StepKey, Report, Recording, Reward, float]:
    """Return the step that judged a right candidate, its report, recording, reward and fitness.

    Raises:
        UnfitCandidateError: It is not right, or was never judged.
    """
    step, recording = archive.judged_step(candidate_id, run_id), archive.recording(candidate_id)
    report, reward = archive.report(candidate_id, run_id), archive.reward(candidate_id, run_id)
    if not (step and report and report.is_right and recording and reward) or reward.fitness is None:
        why = report.failure.message if report and report.failure else "it has no verdict"
        raise UnfitCandidateError(f"expected a right candidate; {candidate_id} is not: {why}")
    if archive.disproofs(candidate_id):
        raise UnfitCandidateError(f"expected a right candidate; {candidate_id} was wrong when it was judged again")
    return step, report, recording, reward, reward.fitness


def to_stage(stage: StageResult) -> StageEvidence:
    """Return a stage in numbers."""
    verdicts = [case.verdict for case in stage.cases]
    return StageEvidence(
        stage=stage.stage,
        verdict=stage.verdict,
        passed=verdicts.count(Verdict.PASSED),
        failed=verdicts.count(Verdict.FAILED),
        skipped=verdicts.count(Verdict.SKIPPED),
    )


def to_time(timing: Timing) -> TimeEvidence:
    """Return a time with what it is compared with."""
    return TimeEvidence(
        case=timing.case,
        kind=timing.kind,
        device=timing.device,
        median_us=timing.candidate.median_us,
        low_us=timing.candidate.low_us,
        high_us=timing.candidate.high_us,
        baseline=timing.baseline.name,
        baseline_us=timing.baseline.span.median_us,
        speedup=timing.speedup,
        lower_bound=timing.lower_bound,
        floor_us=timing.floor_us,
        share_of_floor=timing.share_of_floor,
    )


def _to_kernel(build: KernelBuild) -> KernelEvidence:
    return KernelEvidence(
        kernel=build.kernel,
        registers=build.facts.registers,
        spill_bytes=build.facts.spill_bytes,
        shared_bytes=build.facts.shared_bytes,
        occupancy=build.facts.occupancy.share,
        sass_sha=build.facts.sass_sha,
    )
