"""What a sandboxed child does with a request, and what a zygote does once so that children start warm."""

from collections.abc import Callable

from tilewright.sandbox.fault import CandidateFault
from tilewright.sandbox.mode import ZygoteMode
from tilewright.sandbox.protocol import Answer, Count, Interpret, Record, Refused, Request
from tilewright.sandbox.recorder import record
from tilewright.sandbox.warming import warm_compiler, warm_tracing


def warm(mode: ZygoteMode) -> None:
    """Do everything slow that does not depend on a candidate; call it once, before the first fork."""
    warm_tracing()
    if mode is ZygoteMode.COMPILE:
        warm_compiler()


def answer(request: Request, emit: Callable[[Answer], None]) -> None:
    """Answer one request; a candidate's fault becomes a final Refused.

    Args:
        request: What to do.
        emit: Sends one answer to the trusted side.
    """
    try:
        if isinstance(request, Record):
            record(request, emit)
        elif isinstance(request, Interpret):
            _interpret(request, emit)
        elif isinstance(request, Count):
            _count(request, emit)
    except CandidateFault as error:
        emit(Refused(failure=error.failure))


def _interpret(request: Interpret, emit: Callable[[Answer], None]) -> None:
    # Only the interpreting zygote may import Triton's interpreter in place of the compiler's language.
    from tilewright.sandbox.interpreter import interpret

    interpret(request, emit)


def _count(request: Count, emit: Callable[[Answer], None]) -> None:
    from tilewright.sandbox.counting import count

    count(request, emit)
