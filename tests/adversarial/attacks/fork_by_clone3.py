"""Start a process by the newest call."""

import ctypes
import os
import signal
import struct

STOPPED_BY = "ENOSYS"
HARMS_WHEN_UNCONFINED = True


def attack():
    libc = ctypes.CDLL(None, use_errno=True)
    arguments = struct.pack("=11Q", 0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, 0)
    pid = libc.syscall(435, arguments, len(arguments))
    if pid == -1:
        raise OSError(ctypes.get_errno(), "refused")
    if pid == 0:
        os._exit(0)
    return "a process"
