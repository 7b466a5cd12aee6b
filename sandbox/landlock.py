"""Landlock: which files a process can reach, and that it cannot reach TCP, abstract sockets or others' signals.

Numbers are those of the kernel's `include/uapi/linux/landlock.h`. Not covered by Landlock: `stat` and `readlink`
of any path, so that a child can learn whether a file exists.
"""

import os
import struct
from pathlib import Path

from tilewright.sandbox import syscalls

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_PATH_BENEATH = 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_ALL_OF_FIRST_VERSION = (1 << 13) - 1
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_TCP = 0b11  # bind and connect, from version 4
_SCOPES = 0b11  # abstract sockets and signals, from version 6


def landlock_version() -> int:
    """Return the version of Landlock's interface, 0 where the kernel has none."""
    try:
        return syscalls.call(_CREATE_RULESET, None, 0, 1)
    except OSError:
        return 0


def build_ruleset(readable: tuple[Path, ...]) -> int:
    """Return the descriptor of a ruleset under which only some files can be read and nothing can be changed.

    Args:
        readable: Files, and directories with all that is below; those that are absent or closed to us are left out.

    Raises:
        OSError: The kernel has no Landlock.
    """
    version = landlock_version()
    handled = _ALL_OF_FIRST_VERSION
    handled |= _REFER if version >= 2 else 0
    handled |= _TRUNCATE if version >= 3 else 0
    handled |= _IOCTL_DEV if version >= 5 else 0
    attributes = struct.pack("=Q", handled)
    if version >= 4:
        attributes += struct.pack("=Q", _TCP)
    if version >= 6:
        attributes += struct.pack("=Q", _SCOPES)
    ruleset = syscalls.call(_CREATE_RULESET, attributes, len(attributes), 0)
    for path in readable:
        _allow_reading(ruleset, path)
    return ruleset


def _allow_reading(ruleset: int, path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    try:
        rights = _READ_FILE | _READ_DIR if path.is_dir() else _READ_FILE
        syscalls.call(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, descriptor), 0)
    finally:
        os.close(descriptor)


def restrict_self(ruleset: int) -> None:
    """Put this process under a ruleset, for good.

    Raises:
        OSError: The process may still gain privileges (`no_new_privs` is off).
    """
    syscalls.call(_RESTRICT_SELF, ruleset, 0)
