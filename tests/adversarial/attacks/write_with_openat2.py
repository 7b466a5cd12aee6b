"""Create a file with the newer call whose flags a filter cannot see."""

import ctypes
import os
import struct

import world

STOPPED_BY = "ENOSYS"
HARMS_WHEN_UNCONFINED = True


def attack():
    libc = ctypes.CDLL(None, use_errno=True)
    how = struct.pack("=QQQ", os.O_CREAT | os.O_WRONLY, 0o600, 0)
    path = world.writable_directory.encode() + b"/planted2"
    if libc.syscall(437, -100, path, how, len(how)) == -1:
        raise OSError(ctypes.get_errno(), "refused")
    return "created"
