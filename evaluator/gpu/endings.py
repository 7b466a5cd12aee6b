"""What the abnormal end of a judge child says about its candidate, or that it says nothing about it."""

import signal

import msgspec
from msgspec import structs

from tilewright.evaluator.dossier import Dossier
from tilewright.evaluator.gpu.child_process import Death
from tilewright.evaluator.gpu.child_protocol import Broken, Busy, Faulty, Progress
from tilewright.evaluator.report import CaseResult, Place, Report, StageResult, Verdict
from tilewright.sandbox.channel import ChannelError, DeadlineError
from tilewright.sandbox.failure import Failure, FailureKind
from tilewright.sandbox.protocol import Entered

# What a kernel can do to its context (names of the CUDA driver); anything else is the device's fault, or ours.
_KINDS = {
    "CUDA_ERROR_ILLEGAL_ADDRESS": FailureKind.OUT_OF_BOUNDS,
    "CUDA_ERROR_INVALID_ADDRESS_SPACE": FailureKind.OUT_OF_BOUNDS,
    "CUDA_ERROR_MISALIGNED_ADDRESS": FailureKind.CRASH,
    "CUDA_ERROR_ILLEGAL_INSTRUCTION": FailureKind.CRASH,
    "CUDA_ERROR_INVALID_PC": FailureKind.CRASH,
    "CUDA_ERROR_HARDWARE_STACK_ERROR": FailureKind.CRASH,
    "CUDA_ERROR_LAUNCH_FAILED": FailureKind.CRASH,
    "CUDA_ERROR_LAUNCH_TIMEOUT": FailureKind.TIME_LIMIT,
    "CUDA_ERROR_ASSERT": FailureKind.CRASH,
    "CUDA_ERROR_TENSOR_MEMORY_LEAK": FailureKind.CRASH,
}
_HINTS = {
    FailureKind.OUT_OF_BOUNDS: "mask loads and stores; compute offsets beyond 2**31 in int64",
    FailureKind.TIME_LIMIT: "no loop may wait for another program, and every loop must end",
}
_MANY_BYTES = 8 << 30


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How a child ended in the middle of an order.

    Attributes:
        last: Its last answer if that was its last word, else what the channel said.
        progress: What it was doing.
        death: How the process ended.
        silence_s: Seconds that it had, of silence or in all.
    """

    last: Broken | Faulty | ChannelError
    progress: Progress | None
    death: Death
    silence_s: float


def explain(ending: Ending, dossier: Dossier) -> Failure | None:
    """Return the candidate's failure that an ending stands for, or None if the candidate is not to blame."""
    entered = ending.progress
    if not isinstance(entered, Entered):
        return None
    found = _classify(ending)
    if found is None:
        return None
    kind, message = found
    kernel = _kernel(entered, dossier)
    return Failure(
        kind=kind,
        stage=entered.stage,
        case=entered.case,
        message=f"{message}{f' in kernel {kernel}' if kernel else ''}",
        hint=_HINTS.get(kind, ""),
        detail=ending.death.printed,
    )


def describe(ending: Ending) -> str:
    """Return in one line how a child ended, for a failure of ours."""
    doing = ending.progress
    if isinstance(doing, Busy):
        where = f" while {doing.what}"
    else:
        where = f" in stage {doing.stage} of {doing.case}" if doing is not None else ""
    if isinstance(ending.last, Broken):
        what = ending.last.code
    elif isinstance(ending.last, Faulty):
        what = ending.last.reason.strip().splitlines()[-1]
    else:
        what = f"{ending.last}, exit code {ending.death.exited.code}"
    return f"{what}{where}"


def blamed_report(dossier: Dossier, environment_id: str, failure: Failure, judge_s: float) -> Report:
    """Return the report of a candidate whose child ended: the interpreter's rows up to the failure's stage."""
    failed = CaseResult(
        case=failure.case or "all", verdict=Verdict.FAILED, note=failure.message, wall_s=judge_s, place=Place.GPU
    )
    stages: list[StageResult] = []
    for stage in dossier.interpreted:
        is_last = stage.stage is failure.stage
        stages.append(structs.replace(stage, cases=(*stage.cases, failed)) if is_last else stage)
        if is_last:
            break
    return Report(
        candidate_id=dossier.candidate.id,
        environment_id=environment_id,
        stages=tuple(stages) or (StageResult(stage=failure.stage, cases=(failed,)),),
        timing=(),
        counts=dossier.counts,
        profile=None,
        failure=failure,
        judge_s=judge_s,
    )


def _classify(ending: Ending) -> tuple[FailureKind, str] | None:
    last, exited = ending.last, ending.death.exited
    if isinstance(last, Faulty):
        return None
    if isinstance(last, Broken):
        kind = _KINDS.get(last.code)
        return None if kind is None else (kind, f"expected the GPU's work to end, got {last.code}")
    if isinstance(last, DeadlineError):
        return FailureKind.TIME_LIMIT, f"expected the GPU's work to end within {ending.silence_s:g} s, it did not"
    if exited.code == -signal.SIGKILL and not ending.death.was_killed and exited.peak_bytes >= _MANY_BYTES:
        # Nobody else kills a child: the machine's memory ran out.
        return FailureKind.MEMORY_LIMIT, f"killed by the kernel with {exited.peak_bytes >> 20} MiB resident"
    if exited.code < 0 and not ending.death.was_killed:
        return FailureKind.CRASH, f"expected an answer, got death by {signal.Signals(-exited.code).name}"
    return None


def _kernel(entered: Entered, dossier: Dossier) -> str:
    """Return the kernel that was running, or those that may have been."""
    if entered.kernel:
        return entered.kernel
    try:
        launches = dossier.plan_of(entered.case or "").launches
    except KeyError:
        return ""
    return " or ".join(dict.fromkeys(launch.kernel for launch in launches))
