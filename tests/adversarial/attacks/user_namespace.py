"""Become root in a name space of its own."""

import ctypes

STOPPED_BY = "EPERM"
HARMS_WHEN_UNCONFINED = True


def attack():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x10000000) == -1:
        raise OSError(ctypes.get_errno(), "refused")
    return "root of a name space"
