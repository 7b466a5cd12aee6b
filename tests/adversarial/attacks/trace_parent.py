"""Trace the parent."""

import ctypes
import os

STOPPED_BY = "EPERM"
HARMS_WHEN_UNCONFINED = True


def attack():
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long] * 4
    if libc.ptrace(0x4206, os.getppid(), 0, 0) == -1:  # PTRACE_SEIZE
        raise OSError(ctypes.get_errno(), "refused")
    return "the parent is traced"
