"""seccomp: a filter program that lets a process compute and read files, and answers everything else with EPERM."""

import ctypes
import errno
import fcntl
import os
import struct

from tilewright.sandbox import syscalls
from tilewright.sandbox.syscalls import Machine

_LOAD, _JUMP_EQUAL, _JUMP_ANY_BIT, _JUMP_AT_LEAST, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
_ALLOW, _KILL_PROCESS, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_X32 = 0x40000000  # the bit that marks x86-64's second table of calls
_FILTER = 1

# O_TMPFILE contains O_DIRECTORY, which reading needs: only its own bit counts.
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | (os.O_TMPFILE & ~os.O_DIRECTORY)
# F_SETOWN and F_SETSIG make the kernel signal another process: not listed, so not allowed.
_FCNTL = (
    fcntl.F_DUPFD, fcntl.F_GETFD, fcntl.F_SETFD, fcntl.F_GETFL, fcntl.F_SETFL, fcntl.F_DUPFD_CLOEXEC,
)  # fmt: skip
_TCGETS, _FIONREAD, _FIONBIO, _FIONCLEX, _FIOCLEX = 0x5401, 0x541B, 0x5421, 0x5450, 0x5451
# TIOCSTI and TIOCLINUX type on the user's terminal, FIOSETOWN signals: not listed, so not allowed.
_IOCTL = (_TCGETS, _FIONREAD, _FIONBIO, _FIONCLEX, _FIOCLEX)


class _Program:
    """Instructions of classic BPF, in the making."""

    def __init__(self) -> None:
        self.code = b""

    def add(self, code: int, value: int, *, if_true: int = 0, if_false: int = 0) -> None:
        self.code += struct.pack("=HBBI", code, if_true, if_false, value)

    def load(self, offset: int) -> None:
        self.add(_LOAD, offset)

    def give(self, action: int) -> None:
        self.add(_RETURN, action)

    def when_number(self, number: int, action: int) -> None:
        self.add(_JUMP_EQUAL, number, if_false=1)
        self.give(action)

    def when_argument_is(self, number: int, index: int, values: tuple[int, ...]) -> None:
        """Allow a call if the low 32 bits of an argument are one of some values; all arguments checked are ints."""
        self.add(_JUMP_EQUAL, number, if_false=2 * len(values) + 2)
        self.load(_FIRST_ARGUMENT + 8 * index)
        for value in values:
            self.when_number(value, _ALLOW)
        self.give(_ERRNO | errno.EPERM)

    def unless_argument_has(self, number: int, index: int, bits: int) -> None:
        """Allow a call if none of some bits is set in an argument."""
        self.add(_JUMP_EQUAL, number, if_false=4)
        self.load(_FIRST_ARGUMENT + 8 * index)
        self.add(_JUMP_ANY_BIT, bits, if_false=1)
        self.give(_ERRNO | errno.EPERM)
        self.give(_ALLOW)


def build_common(machine: Machine) -> bytes:
    """Return the instructions that are the same for every process; built once, before forking."""
    program = _Program()
    program.load(_ARCHITECTURE)
    program.add(_JUMP_EQUAL, machine.audit_arch, if_true=1)
    program.give(_KILL_PROCESS)
    program.load(_NUMBER)
    program.add(_JUMP_AT_LEAST, _X32, if_false=1)
    program.give(_ERRNO | errno.EPERM)
    for number in machine.plain:
        program.when_number(number, _ALLOW)
    program.unless_argument_has(machine.openat, 2, _WRITING)
    if machine.legacy_open is not None:
        program.unless_argument_has(machine.legacy_open, 1, _WRITING)
    program.when_argument_is(machine.fcntl, 1, _FCNTL)
    program.when_argument_is(machine.ioctl, 1, _IOCTL)
    program.when_number(machine.openat2, _ERRNO | errno.ENOSYS)
    program.when_number(machine.clone3, _ERRNO | errno.ENOSYS)
    return program.code


def complete(common: bytes, machine: Machine, own_pid: int) -> bytes:
    """Return the filter program of a process.

    Args:
        common: What `build_common` gave.
        machine: Numbers of the architecture.
        own_pid: The only process that may be signalled or have its limits asked.
    """
    program = _Program()
    program.when_argument_is(machine.prlimit64, 0, (0, own_pid))
    program.when_argument_is(machine.kill, 0, (own_pid,))
    program.when_argument_is(machine.tgkill, 0, (own_pid,))
    program.give(_ERRNO | errno.EPERM)
    return common + program.code


def install_filter(machine: Machine, code: bytes) -> None:
    """Put this process under a filter program, for good.

    Raises:
        OSError: The kernel has no seccomp filters, or the process may still gain privileges.
    """
    instructions = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("=H6xQ", len(code) // 8, ctypes.addressof(instructions))
    syscalls.call(machine.seccomp, _FILTER, 0, header)
