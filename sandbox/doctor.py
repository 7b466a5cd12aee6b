"""What this machine offers for confining candidates, asked without starting a zygote."""

import os
import platform
import resource
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from tilewright.sandbox import landlock, privileges, syscalls
from tilewright.sandbox.errors import ConfinementError

_PR_GET_SECCOMP = 21


class Probe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One finding.

    Attributes:
        name: What was looked for.
        is_available: Whether the sandbox can use it.
        detail: One line: what was found, or what its absence means.
    """

    name: str
    is_available: bool
    detail: str


def probe() -> tuple[Probe, ...]:
    """Return what this machine offers; changes nothing and takes a few milliseconds."""
    probes: tuple[Callable[[], Probe], ...] = (
        _architecture, _landlock, _seccomp, _pidfd, _limits, _user, _interpreter, _cgroup,
    )  # fmt: skip
    return tuple(probe_one() for probe_one in probes)


def _architecture() -> Probe:
    try:
        syscalls.find_machine()
    except ConfinementError as error:
        return Probe(name="architecture", is_available=False, detail=str(error))
    return Probe(name="architecture", is_available=True, detail=f"{platform.machine()}, Linux {platform.release()}")


def _landlock() -> Probe:
    version = landlock.landlock_version()
    if not version:
        detail = "needs Linux 5.13 or newer with Landlock enabled; candidates could read the user's files"
    elif version < 6:
        detail = f"version {version}; signals and abstract sockets are left to seccomp (complete from version 6)"
    else:
        detail = f"version {version}: files, TCP, abstract sockets and signals"
    return Probe(name="landlock", is_available=version > 0, detail=detail)


def _seccomp() -> Probe:
    try:
        syscalls.prctl(_PR_GET_SECCOMP)
        actions = Path("/proc/sys/kernel/seccomp/actions_avail").read_text(encoding="ascii").split()
    except OSError as error:
        return Probe(name="seccomp", is_available=False, detail=f"{error}; candidates could start processes")
    return Probe(name="seccomp", is_available="errno" in actions, detail=f"filters with {', '.join(actions)}")


def _pidfd() -> Probe:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError as error:
        return Probe(name="pidfd", is_available=False, detail=f"needs Linux 5.3 or newer: {error}")
    return Probe(name="pidfd", is_available=True, detail="children are waited for by descriptor")


def _limits() -> Probe:
    kinds = {"address space": resource.RLIMIT_AS, "CPU seconds": resource.RLIMIT_CPU, "files": resource.RLIMIT_NOFILE}
    hard = {name: resource.getrlimit(kind)[1] for name, kind in kinds.items()}
    texts = (f"{name} {'unlimited' if value == resource.RLIM_INFINITY else value}" for name, value in hard.items())
    return Probe(name="rlimits", is_available=True, detail=f"hard limits now: {', '.join(texts)}")


def _user() -> Probe:
    uid = os.geteuid()
    if uid != 0:
        return Probe(name="user", is_available=True, detail=f"uid {uid}: candidates run as it, without capabilities")
    if privileges.can_read_as(privileges.NOBODY, privileges.readable_paths()):
        return Probe(name="user", is_available=True, detail=f"root: candidates run as uid {privileges.NOBODY}")
    detail = (
        f"root, and uid {privileges.NOBODY} cannot read {sys.base_prefix}: candidates run as root without capabilities"
    )
    return Probe(name="user", is_available=False, detail=detail)


def _interpreter() -> Probe:
    paths = privileges.readable_paths()
    return Probe(name="readable", is_available=True, detail=f"{len(paths)} paths, among them {sys.prefix}")


def _cgroup() -> Probe:
    controllers = Path("/sys/fs/cgroup/cgroup.controllers")
    is_unified = controllers.exists()
    detail = f"version 2: {controllers.read_text(encoding='ascii').strip()}" if is_unified else "no version 2 hierarchy"
    return Probe(name="cgroup", is_available=is_unified, detail=f"{detail}; not needed, memory is bounded by rlimits")
