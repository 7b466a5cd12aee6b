"""Leave shared memory behind that outlives the process."""

import ctypes

STOPPED_BY = "EPERM"
HARMS_WHEN_UNCONFINED = True


def attack():
    libc = ctypes.CDLL(None, use_errno=True)
    segment = libc.shmget(0, 4096, 0o600)
    if segment == -1:
        raise OSError(ctypes.get_errno(), "refused")
    libc.shmctl(segment, 0, None)
    return "a segment"
