"""Try calls that are a large surface of the kernel, and one that does not exist yet."""

import ctypes
import errno
import platform

STOPPED_BY = "EPERM"
HARMS_WHEN_UNCONFINED = False


def attack():
    libc = ctypes.CDLL(None, use_errno=True)
    numbers = {  # bpf, perf_event_open, userfaultfd, keyctl, setns, mount, an unknown one
        "x86_64": (321, 298, 323, 250, 308, 165, 999),
        "aarch64": (280, 241, 282, 219, 268, 40, 999),
    }
    codes = set()
    for number in numbers[platform.machine()]:
        result = libc.syscall(number, 0, 0, 0, 0, 0)
        codes.add(ctypes.get_errno() if result == -1 else 0)
    if codes == {errno.EPERM}:
        raise PermissionError(errno.EPERM, "all refused")
    return f"not only EPERM: {codes}"
