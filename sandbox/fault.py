"""How a candidate's fault leaves foreign code: an exception that `except Exception` does not catch."""

import traceback

from tilewright.sandbox.failure import Failure, FailureKind, Stage

_DETAIL_CHARACTERS = 4000


class CandidateFault(BaseException):
    """Carries a Failure from deep inside a candidate's launcher to the child's entry point.

    It stays inside the sandboxed child, where it becomes a `Refused` answer; the trusted side only ever sees the value.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def fault(kind: FailureKind, message: str, *, case: str | None = None, hint: str = "") -> CandidateFault:
    """Return a fault found while recording."""
    failure = Failure(kind=kind, stage=Stage.RECORD, case=case, message=one_line(message), hint=hint)
    return CandidateFault(failure)


def fault_of(error: BaseException, kind: FailureKind, *, case: str | None = None) -> CandidateFault:
    """Return the fault that an exception out of candidate code stands for.

    Args:
        error: What the candidate's code raised; a fault is returned as it is.
        kind: What to call any other exception.
        case: Name of the case, or None if it does not depend on one.
    """
    if isinstance(error, CandidateFault):
        return error
    message = one_line(f"{type(error).__name__}: {error}")
    detail = "".join(traceback.format_exception(error))[-_DETAIL_CHARACTERS:]
    return CandidateFault(Failure(kind=kind, stage=Stage.RECORD, case=case, message=message, detail=detail))


def one_line(text: str, limit: int = 300) -> str:
    """Return the text without line breaks, cut to `limit` characters."""
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else f"{flat[: limit - 3]}..."
