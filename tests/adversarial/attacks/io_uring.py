"""Have the kernel do forbidden calls asynchronously."""

import ctypes

STOPPED_BY = "EPERM"
HARMS_WHEN_UNCONFINED = True


def attack():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(425, 4, bytes(120)) == -1:
        raise OSError(ctypes.get_errno(), "refused")
    return "a ring"
