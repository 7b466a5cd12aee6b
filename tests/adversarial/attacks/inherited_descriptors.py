"""Find a descriptor of the zygote or of the trusted side that was left open."""

import contextlib
import os

STOPPED_BY = "EBADF"
HARMS_WHEN_UNCONFINED = False


def attack():
    for descriptor in range(4, 1024):
        with contextlib.suppress(OSError):
            return f"descriptor {descriptor} is {os.fstat(descriptor)}"
    return os.fstat(4)
