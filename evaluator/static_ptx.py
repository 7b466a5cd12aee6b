"""What a compiled kernel may not read: clocks, and where on the chip it runs, whatever its source says."""

import re

from tilewright.sandbox.failure import Failure, FailureKind, Stage

# A kernel that knows the time, or its place, can work while it is checked and idle while it is timed. Inline assembly
# reaches these registers past every rule for source text.
_READS = {
    "cuda": re.compile(r"%(?:clock(?:_hi|64)?|globaltimer(?:_lo|_hi)?|n?smid|gridid|pm\d+(?:_64)?|envreg\d+)\b"),
    "hip": re.compile(r"\bs_(?:memtime|memrealtime|sendmsg_rtn_b\d+)\b"),
}


def forbidden_read(text: str, kernel: str, backend: str) -> Failure | None:
    """Return the failure of a kernel that reads a forbidden register, or None.

    Args:
        text: Its assembly: PTX, or AMD GCN.
        kernel: Its name.
        backend: `cuda` or `hip`.
    """
    found = _READS[backend].search(text)
    if found is None:
        return None
    return Failure(
        kind=FailureKind.FORBIDDEN,
        stage=Stage.COMPILE,
        message=f"expected a kernel that reads no clock and no place on the chip; {kernel} reads {found.group()}",
        hint="leave it out: an answer may depend on its inputs only",
    )
