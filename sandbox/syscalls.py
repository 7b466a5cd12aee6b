"""System calls by number: those that a confined child may make, and a way to make raw ones."""

import ctypes
import functools
import os
import platform

import msgspec

from tilewright.sandbox.errors import ConfinementError

# Everything CPython, torch and Triton's compiler need to compute and to read files, on (x86-64, aarch64). What
# is not listed fails with EPERM: processes, threads, programs, sockets, namespaces, tracing, signals to others,
# new kinds of memory (memfd, SysV), changing any file, and whatever the kernel learns in the future.
# None: the architecture has no such call.
_PLAIN: dict[str, tuple[int, int | None]] = {
    "futex": (202, 98), "read": (0, 63), "write": (1, 64), "mmap": (9, 222), "munmap": (11, 215),
    "mprotect": (10, 226), "madvise": (28, 233), "brk": (12, 214), "mremap": (25, 216), "mincore": (27, 232),
    "close": (3, 57), "newfstatat": (262, 79), "fstat": (5, 80), "stat": (4, None), "lstat": (6, None),
    "statx": (332, 291), "lseek": (8, 62), "pread64": (17, 67), "readv": (19, 65), "writev": (20, 66),
    "preadv": (295, 69), "getdents64": (217, 61), "readlink": (89, None), "readlinkat": (267, 78),
    "access": (21, None), "faccessat": (269, 48), "faccessat2": (439, 439), "getcwd": (79, 17), "dup": (32, 23),
    "dup2": (33, None), "dup3": (292, 24), "pipe": (22, None), "pipe2": (293, 59), "poll": (7, None),
    "ppoll": (271, 73), "select": (23, None), "pselect6": (270, 72), "fadvise64": (221, 223),
    "sched_yield": (24, 124), "sched_getaffinity": (204, 123), "getcpu": (309, 168), "clock_gettime": (228, 113),
    "clock_getres": (229, 114), "clock_nanosleep": (230, 115), "nanosleep": (35, 101), "gettimeofday": (96, 169),
    "time": (201, None), "times": (100, 153), "getrusage": (98, 165), "sysinfo": (99, 179), "uname": (63, 160),
    "getrandom": (318, 278), "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132), "restart_syscall": (219, 128), "getpid": (39, 172), "gettid": (186, 178),
    "getppid": (110, 173), "getuid": (102, 174), "geteuid": (107, 175), "getgid": (104, 176), "getegid": (108, 177),
    "getresuid": (118, 148), "getresgid": (120, 150), "getgroups": (115, 158), "getpgrp": (111, None),
    "getpgid": (121, 155), "getsid": (124, 156), "getrlimit": (97, 163), "arch_prctl": (158, None),
    "membarrier": (324, 283), "rseq": (334, 293), "exit": (60, 93), "exit_group": (231, 94),
}  # fmt: skip


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of one processor architecture.

    Attributes:
        audit_arch: What seccomp calls the architecture.
        plain: Calls that are allowed whatever their arguments.
        legacy_open: `open(2)`, which newer architectures lack.
        openat, fcntl, ioctl, prlimit64, kill, tgkill: Calls whose arguments are checked.
        openat2, clone3: Calls answered with ENOSYS, so that the C library falls back to their older form.
        seccomp, capset: Calls the lock-down makes.
    """

    audit_arch: int
    plain: tuple[int, ...]
    legacy_open: int | None
    openat: int
    fcntl: int
    ioctl: int
    prlimit64: int
    kill: int
    tgkill: int
    seccomp: int
    capset: int
    openat2: int = 437
    clone3: int = 435


def _plain(column: int) -> tuple[int, ...]:
    numbers = (row[column] for row in _PLAIN.values())
    return tuple(number for number in numbers if number is not None)


_MACHINES = {
    "x86_64": Machine(
        audit_arch=0xC000003E, plain=_plain(0), legacy_open=2, openat=257, fcntl=72, ioctl=16, prlimit64=302,
        kill=62, tgkill=234, seccomp=317, capset=126,
    ),
    "aarch64": Machine(
        audit_arch=0xC00000B7, plain=_plain(1), legacy_open=None, openat=56, fcntl=25, ioctl=29, prlimit64=261,
        kill=129, tgkill=131, seccomp=277, capset=91,
    ),
}  # fmt: skip


def find_machine() -> Machine:
    """Return the numbers of this machine.

    Raises:
        ConfinementError: The architecture is not known.
    """
    name = platform.machine()
    if name not in _MACHINES:
        raise ConfinementError(f"expected one of the architectures {', '.join(_MACHINES)} for the sandbox, got {name}")
    return _MACHINES[name]


@functools.cache
def _libc() -> ctypes.CDLL:
    """Return the C library; loading it anew costs a fresh fork 0.6 ms in copied pages."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return libc


def call(number: int, *arguments: int | bytes | None) -> int:
    """Make a system call.

    Args:
        number: Which.
        arguments: Integers, or buffers passed by address.

    Returns:
        Its non-negative result.

    Raises:
        OSError: The kernel refused.
    """
    raw = (ctypes.c_long(value) if isinstance(value, int) else value for value in arguments)
    result = int(_libc().syscall(ctypes.c_long(number), *raw))
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


def prctl(option: int, *arguments: int) -> int:
    """Change or ask something about this process; see `prctl(2)`.

    Raises:
        OSError: The kernel refused.
    """
    padded = (*arguments, 0, 0, 0, 0)[:4]
    result = int(_libc().prctl(ctypes.c_int(option), *(ctypes.c_ulong(value) for value in padded)))
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result
