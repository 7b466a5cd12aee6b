"""Copy memory out of the parent."""

import ctypes
import os

STOPPED_BY = "EPERM"
HARMS_WHEN_UNCONFINED = True


def attack():
    libc = ctypes.CDLL(None, use_errno=True)
    libc.process_vm_readv.argtypes = [ctypes.c_long, *[ctypes.c_void_p, ctypes.c_ulong] * 2, ctypes.c_ulong]
    taken = ctypes.create_string_buffer(8)
    here = (ctypes.c_ulong * 2)(ctypes.addressof(taken), 8)
    there = (ctypes.c_ulong * 2)(id(None), 8)  # at the same address in the process that it was forked from
    count = libc.process_vm_readv(os.getppid(), ctypes.addressof(here), 1, ctypes.addressof(there), 1, 0)
    if count == -1:
        raise OSError(ctypes.get_errno(), "refused")
    return f"{count} bytes: {taken.raw}"
