"""What a process gives up for good: users, capabilities, gaining privileges again, and resources."""

import contextlib
import os
import resource
import signal
import struct
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from tilewright.sandbox import syscalls
from tilewright.sandbox.errors import ConfinementError, ZygoteLostError
from tilewright.sandbox.limits import Limits

NOBODY = 65534  # the overflow user, which owns nothing

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 1, 4, 24, 38, 47
_AMBIENT_CLEAR_ALL = 4
_CAPABILITY_VERSION_3 = 0x20080522
_SYSTEM_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache")
# Harmless, and read by C libraries at moments of their own.
_SYSTEM_FACTS = ("/dev/null", "/dev/zero", "/dev/urandom", "/sys/devices/system/cpu", "/proc/cpuinfo")


def readable_paths() -> tuple[Path, ...]:
    """Return what Python code that is loaded, or may yet be, has to read: the installation and its libraries.

    Packages that were loaded from elsewhere (an editable project) count with their own directories, not with what
    lies around them.
    """
    installation = [sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix, *sysconfig.get_paths().values()]
    fixed = {Path(path).resolve() for path in (*installation, *_SYSTEM_LIBRARIES, *_SYSTEM_FACTS)}
    fixed -= {Path("/")}
    loaded = {_home_of(module, path) for module, path in _loaded_files()}
    elsewhere = {path for path in loaded if not any(path.is_relative_to(known) for known in fixed)}
    return tuple(sorted(path for path in fixed | elsewhere if path.exists()))


def _loaded_files() -> Iterator[tuple[ModuleType, Path]]:
    """Yield each imported module that has a file; modules made up at run time may claim one that does not exist."""
    for module in tuple(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and Path(file).is_absolute() and Path(file).exists():
            yield module, Path(file).resolve()


def _home_of(module: ModuleType, file: Path) -> Path:
    """Return the directory of a module in a package, or the file of one that stands alone."""
    return file.parent if "." in module.__name__ or file.name == "__init__.py" else file


def surrender_user(limits: Limits, readable: tuple[Path, ...]) -> None:
    """As root, become an unprivileged user if it can read the Python installation or the limits name one.

    Raises:
        ConfinementError: The limits name a user that this process may not become.
    """
    uid = limits.run_as_uid
    if uid is None:
        uid = NOBODY if os.geteuid() == 0 and can_read_as(NOBODY, readable) else os.geteuid()
    if uid == os.geteuid():
        return
    try:
        _become(uid)
    except PermissionError as error:
        raise ConfinementError(f"expected to be root to run as user {uid}, got user {os.geteuid()}") from error


def _become(uid: int) -> None:
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def can_read_as(uid: int, readable: tuple[Path, ...]) -> bool:
    """Say whether a user can read the modules loaded so far and list the directories; tried out in a fork."""
    files = [file for _, file in _loaded_files()]
    pid = os.fork()
    if pid == 0:
        could_read = False
        with contextlib.suppress(OSError):
            _become(uid)
            could_read = all(os.access(path, os.R_OK) for path in (*readable, *files))
        os._exit(0 if could_read else 1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def surrender_capabilities() -> None:
    """Drop every capability from every set, and the means to regain them by executing a file.

    Raises:
        OSError: The kernel refused.
    """
    syscalls.prctl(_PR_SET_NO_NEW_PRIVS, 1)
    with contextlib.suppress(OSError):  # EINVAL after the last capability, EPERM for an ordinary user
        for capability in range(64):
            syscalls.prctl(_PR_CAPBSET_DROP, capability)
    syscalls.prctl(_PR_CAP_AMBIENT, _AMBIENT_CLEAR_ALL)
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    syscalls.call(syscalls.find_machine().capset, header, bytes(24))


def hide_from_peers() -> None:
    """Forbid other processes of the same user to trace this one or read its memory."""
    syscalls.prctl(_PR_SET_DUMPABLE, 0)


def die_with_parent(parent: int) -> None:
    """Ask to be killed when the parent dies.

    Raises:
        ZygoteLostError: It is dead already.
    """
    syscalls.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise ZygoteLostError(f"expected process {parent} as parent, got {os.getppid()}: the zygote is gone")


def limit_open_files(count: int) -> None:
    """Bound the numbers of file descriptors of this process and its children."""
    _bound(resource.RLIMIT_NOFILE, count)


def limit_resources(limits: Limits, address_space_bytes: int) -> None:
    """Bound memory, CPU seconds, files and the rest of this process; hard limits, so that they cannot be lifted.

    Args:
        limits: The bounds.
        address_space_bytes: What the zygote has mapped already, which comes on top of the bound on memory.
    """
    # Equal soft and hard limits: SIGXCPU could be ignored, the SIGKILL at the hard limit cannot.
    bounds = (
        (resource.RLIMIT_AS, address_space_bytes + limits.memory_bytes),
        (resource.RLIMIT_CPU, limits.cpu_s),
        (resource.RLIMIT_NOFILE, limits.open_files),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
    )
    for kind, wanted in bounds:
        _bound(kind, wanted)


def _bound(kind: int, wanted: int) -> None:
    hard = resource.getrlimit(kind)[1]
    bound = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(kind, (bound, bound))


def address_space_bytes() -> int:
    """Return the size of this process's mappings."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[0]
    return int(pages) * resource.getpagesize()
