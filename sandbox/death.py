"""What the end of a child says about its candidate."""

import signal

import msgspec

from tilewright.sandbox.channel import ChannelError, DeadlineError, GarbageError, OversizedError
from tilewright.sandbox.control import Exited
from tilewright.sandbox.failure import Failure, FailureKind, Stage
from tilewright.sandbox.limits import Limits
from tilewright.sandbox.protocol import Answer, Counted, Entered, Interpret, Interpreted, Record, Recorded, Request

_MESSAGE_CHARACTERS = 500
_DETAIL_CHARACTERS = 16_384


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How a request ended that got no last word.

    Attributes:
        error: What the channel said.
        exited: How the child ended.
        was_killed: Whether the trusted side had to end it.
        entered: The last place that the child reported.
        printed: The last of what it printed.
    """

    error: ChannelError
    exited: Exited
    was_killed: bool
    entered: Entered | None
    printed: str


def explain(ending: Ending, limits: Limits) -> Failure:
    """Return the failure that an ending stands for."""
    entered = ending.entered
    kind, message = _classify(ending, limits)
    where = f" in kernel {entered.kernel}" if entered is not None and entered.kernel else ""
    return Failure(
        kind=kind,
        stage=entered.stage if entered is not None else Stage.RECORD,
        case=entered.case if entered is not None else None,
        message=message + where,
        detail=ending.printed,
    )


def _classify(ending: Ending, limits: Limits) -> tuple[FailureKind, str]:
    exited = ending.exited
    if isinstance(ending.error, DeadlineError):
        return FailureKind.TIME_LIMIT, f"expected an answer within {limits.wall_s:g} s, got none"
    if isinstance(ending.error, GarbageError | OversizedError):
        return FailureKind.PROTOCOL, f"expected answers of the protocol, got something else: {ending.error}"
    if ending.was_killed:
        return FailureKind.PROTOCOL, "expected answers, got a closed channel and a process that lived on"
    if exited.code >= 0:
        return FailureKind.PROTOCOL, f"expected an answer, got an exit with code {exited.code} before the last one"
    return _classify_signal(exited, limits)


def _classify_signal(exited: Exited, limits: Limits) -> tuple[FailureKind, str]:
    name = signal.Signals(-exited.code).name
    # The kernel holds the limit against ticks, which count up to an eighth of a second more on a busy machine.
    if exited.code == -signal.SIGKILL and exited.cpu_s >= 0.75 * limits.cpu_s:
        return FailureKind.TIME_LIMIT, f"expected at most {limits.cpu_s} CPU seconds, got {exited.cpu_s:.1f}"
    if exited.code == -signal.SIGKILL and exited.peak_bytes >= limits.memory_bytes // 2:
        # Nobody else kills a child: the machine's memory ran out before the child's own limit was reached.
        return FailureKind.MEMORY_LIMIT, f"killed by the kernel with {exited.peak_bytes >> 20} MiB resident"
    return FailureKind.CRASH, f"expected an answer, got death by {name}"


def missing_answer(request: Request, answers: tuple[Answer, ...]) -> str:
    """Return what is wrong with the answers to a request that the child calls finished; empty if nothing.

    A candidate can write to the channel itself, so that `Finished` alone proves nothing.
    """
    wanted: type[Recorded | Interpreted | Counted] = Recorded
    count = 1
    if not isinstance(request, Record):
        wanted, count = (Interpreted if isinstance(request, Interpret) else Counted), len(request.cases)
    results = [answer for answer in answers if not isinstance(answer, Entered)]
    if len(results) == count and all(isinstance(result, wanted) for result in results):
        return ""
    got = ", ".join(type(result).__name__ for result in results[:4]) or "none"
    return f"expected {count} {wanted.__name__} before the end, got {len(results)} answers ({got})"


def shorten(failure: Failure) -> Failure:
    """Return a failure whose texts, which a candidate may have written, are short and its message one line."""
    return msgspec.structs.replace(
        failure,
        message=" ".join(failure.message.split())[:_MESSAGE_CHARACTERS],
        hint=" ".join(failure.hint.split())[:_MESSAGE_CHARACTERS],
        case=failure.case[:_MESSAGE_CHARACTERS] if failure.case is not None else None,
        detail=failure.detail[-_DETAIL_CHARACTERS:],
    )
