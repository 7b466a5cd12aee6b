"""What a sandboxed child does with a request, and what a zygote does once so that children start warm."""

from collections.abc import Callable

from tilewright.sandbox.counting import count
from tilewright.sandbox.fault import CandidateFault
from tilewright.sandbox.interpreter import interpret
from tilewright.sandbox.libdevice import install_common_part
from tilewright.sandbox.mode import ZygoteMode
from tilewright.sandbox.protocol import Answer, Count, Interpret, Record, Refused, Request
from tilewright.sandbox.recorder import record
from tilewright.sandbox.warming import warm_compiler, warm_interpreter


def warm(mode: ZygoteMode) -> tuple[int, ...]:
    """Do everything slow that does not depend on a candidate; call it once, before the first fork.

    Returns:
        Descriptors that children have to keep.
    """
    if mode is ZygoteMode.COMPILE:
        descriptor = install_common_part()
        warm_compiler()
        return (descriptor,)
    warm_interpreter()
    return ()


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
            interpret(request, emit)
        elif isinstance(request, Count):
            count(request, emit)
    except CandidateFault as error:
        emit(Refused(failure=error.failure))
