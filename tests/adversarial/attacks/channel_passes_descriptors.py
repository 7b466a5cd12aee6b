"""Pass an open file over the inherited channel."""

import ctypes

STOPPED_BY = "EPERM"
HARMS_WHEN_UNCONFINED = False


def attack():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.sendmsg(3, bytes(56), 0) == -1:
        raise OSError(ctypes.get_errno(), "refused")
    return "sent"
