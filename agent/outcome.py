"""The ways a step can end, as the value that the archive stores."""

from tilewright.archive.records import FinishedStep, PlannedStep, StepState
from tilewright.evaluator.recording import Recording
from tilewright.evaluator.report import Report, Reward
from tilewright.sandbox.failure import Failure
from tilewright.tasks.candidate import Candidate


def idle(planned: PlannedStep) -> FinishedStep:
    """No operator had anything left to try."""
    return FinishedStep(key=planned.key, arm=planned.operator, state=StepState.FAILED)


def lost(planned: PlannedStep, candidate: Candidate) -> FinishedStep:
    """We could not judge the candidate: neither a failure of its own nor a score."""
    return FinishedStep(key=planned.key, arm=candidate.origin.operator, state=StepState.FAILED, candidate=candidate)


def refused(planned: PlannedStep, candidate: Candidate, failure: Failure) -> FinishedStep:
    """The candidate could not be recorded or compiled."""
    return FinishedStep(
        key=planned.key,
        arm=candidate.origin.operator,
        state=StepState.FAILED,
        candidate=candidate,
        failure=failure,
    )


def duplicate(planned: PlannedStep, candidate: Candidate, recording: Recording, earlier: str) -> FinishedStep:
    """The candidate compiles to the machine code of an earlier one."""
    return FinishedStep(
        key=planned.key,
        arm=candidate.origin.operator,
        state=StepState.DUPLICATE,
        candidate=candidate,
        recording=recording,
        duplicate_of=earlier,
        judge_s=recording.wall_s,
    )


def judged(
    planned: PlannedStep, candidate: Candidate, recording: Recording, report: Report, reward: Reward
) -> FinishedStep:
    """The candidate went through the stages, and perhaps failed one."""
    return FinishedStep(
        key=planned.key,
        arm=candidate.origin.operator,
        state=StepState.DONE if report.is_right else StepState.FAILED,
        candidate=candidate,
        recording=recording,
        report=report,
        reward=reward,
        failure=report.failure,
        judge_s=recording.wall_s + report.judge_s,
    )
