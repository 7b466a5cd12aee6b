"""Take back the wish to die with the zygote."""

import ctypes

STOPPED_BY = "EPERM"
HARMS_WHEN_UNCONFINED = True


def attack():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(1, 0, 0, 0, 0) == -1:
        raise OSError(ctypes.get_errno(), "refused")
    return "will outlive it"
