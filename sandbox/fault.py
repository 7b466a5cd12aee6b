"""How a candidate's fault leaves foreign code: an exception that `except Exception` does not catch."""

import contextlib
import traceback
from collections.abc import Iterator

from tilewright.sandbox.errors import SandboxError
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


@contextlib.contextmanager
def blaming(kind: FailureKind, *, case: str | None = None) -> Iterator[None]:
    """Turn whatever a candidate's code raises inside a `with` block into a fault; put nothing else in the block.

    Args:
        kind: What to call an exception that is no fault already.
        case: Name of the case, or None if it does not depend on one.
    """
    try:
        yield
    except (CandidateFault, SandboxError):
        raise
    except BaseException as error:  # SystemExit and KeyboardInterrupt too: the candidate may raise what it likes
        raise fault_of(error, kind, case=case) from None


def fault_of(error: BaseException, kind: FailureKind, *, case: str | None = None) -> CandidateFault:
    """Return the fault that an exception out of candidate code stands for."""
    if isinstance(error, MemoryError):
        kind = FailureKind.MEMORY_LIMIT
    message = one_line(f"{type(error).__name__}: {error}")
    detail = "".join(traceback.format_exception(error))[-_DETAIL_CHARACTERS:]
    return CandidateFault(Failure(kind=kind, stage=Stage.RECORD, case=case, message=message, detail=detail))


def one_line(text: str, limit: int = 300) -> str:
    """Return the text without line breaks, cut to `limit` characters."""
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else f"{flat[: limit - 3]}..."
