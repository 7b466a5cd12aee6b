"""Use the inherited channel, which is a socket, to send a message with an address."""

import ctypes

STOPPED_BY = "EPERM"
HARMS_WHEN_UNCONFINED = False


def attack():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.sendto(3, b"x", 1, 0, b"\x01\x00/tmp/x", 10) == -1:
        raise OSError(ctypes.get_errno(), "refused")
    return "sent"
