"""Make the dossier of a recorded candidate: a plan for each case of its trials and every kernel's binary."""

from msgspec import structs

from tilewright.evaluator.builder import Builder
from tilewright.evaluator.dossier import Binary, Dossier, Trials
from tilewright.evaluator.recording import Recording
from tilewright.sandbox.failure import Failure, FailureKind, Stage
from tilewright.sandbox.plan import LaunchPlan
from tilewright.tasks.candidate import Candidate
from tilewright.tasks.spec import Case, CaseRole, KernelTask

# Cases that one child records: few forks, and no child compiles so much that it meets its limit of CPU seconds.
_CASES_A_CHILD = 12


def make_dossier(
    task: KernelTask, candidate: Candidate, recording: Recording, trials: Trials, builder: Builder
) -> Dossier | Failure:
    """Record every case of the trials and gather what a judge with a GPU needs.

    Args:
        task: What is asked.
        candidate: The file and its knobs.
        recording: The candidate's bench cases, recorded before, here or on another machine.
        trials: What the stages will run.
        builder: Records and assembles; what its cache knows is not compiled again.

    Returns:
        The dossier, its `interpreted`, `counts` and `estimate` still empty; or the candidate's fault, at the stage
        of the case that it was found in.

    Raises:
        ValueError: Two cases of the trials bear one name.
    """
    cases = _distinct(task.cases_of(CaseRole.BENCH), trials)
    plans: dict[str, LaunchPlan] = {}
    binaries: dict[str, Binary] = {}
    for first in range(0, len(cases), _CASES_A_CHILD):
        some = cases[first : first + _CASES_A_CHILD]
        assembled = builder.assemble(candidate, some)
        if isinstance(assembled, Failure):
            return _placed(assembled, trials)
        plans |= {case.name: plan for case, plan in zip(some, assembled.plans, strict=True)}
        for kernel in assembled.kernels:
            sha = kernel.build.ptx_sha
            binaries[sha] = Binary(ptx_sha=sha, data=kernel.binary)
    failure = _changed(recording, plans)
    if failure is not None:
        return failure
    benched = {plan.case for plan in recording.plans}
    return Dossier(
        task=task,
        candidate=candidate,
        recording=recording,
        trials=trials,
        plans=tuple(plan for name, plan in plans.items() if name not in benched),
        binaries=tuple(binaries.values()),
    )


def _distinct(bench: tuple[Case, ...], trials: Trials) -> tuple[Case, ...]:
    """Return the bench cases and every case of the trials once."""
    named: dict[str, Case] = {}
    drawn = (draw.case for stage in (*trials.small, *trials.large) for draw in stage.draws)
    for case in (*bench, *drawn):
        known = named.setdefault(case.name, case)
        # a bench case may come back with another role; nothing else of it decides what a launcher does
        if structs.replace(known, role=case.role) != case:
            raise ValueError(f"expected one case named {case.name} among the trials, got two that differ")
    return tuple(named.values())


def _placed(failure: Failure, trials: Trials) -> Failure:
    """Return a failure to record a case at the first stage that would have run it."""
    for planned in (*trials.small, *trials.large):
        if any(draw.case.name == failure.case for draw in planned.draws):
            return structs.replace(failure, stage=planned.stage)
    return failure


def _changed(recording: Recording, plans: dict[str, LaunchPlan]) -> Failure | None:
    """Return why plans do not fit their cases or the bench cases' earlier recording, if so."""
    for name, plan in plans.items():
        if plan.case != name:
            message = f"expected a plan for case {name}, got one for {plan.case}"
            return Failure(kind=FailureKind.PROTOCOL, stage=Stage.RECORD, case=name, message=message)
    for before in recording.plans:
        if plans.get(before.case) != before:
            return Failure(
                kind=FailureKind.NOT_DETERMINISTIC,
                stage=Stage.RECORD,
                case=before.case,
                message="expected the launcher to ask for the same work each time it is recorded; got other work",
                hint="decide launches from shapes, types and knobs alone",
            )
    return None
