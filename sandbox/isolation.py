"""The lock-down of a forked child: after it, the process can compute, read Python's files and answer, nothing else."""

import contextlib
import os
from enum import StrEnum
from itertools import pairwise

import msgspec

from tilewright.sandbox import landlock, privileges, seccomp, syscalls
from tilewright.sandbox.errors import ConfinementError
from tilewright.sandbox.limits import Limits

CHANNEL = 3  # where a child finds its end of the socket pair
DESCRIPTORS = 256  # no descriptor of a zygote has a larger number, so that closing all is quick


class Protection(StrEnum):
    """One layer, named after what it keeps from a child."""

    FILES = "files"  # Landlock: nothing can be read but the Python installation, nothing changed
    NETWORK_AND_SIGNALS = "network and signals"  # Landlock again, behind the system calls: TCP, abstract sockets, kill
    SYSTEM_CALLS = "system calls"  # seccomp: no process, thread, program, socket, write to a file, tracing
    PRIVILEGES = "privileges"  # no capability, none to be gained
    RESOURCES = "resources"  # memory, CPU seconds, descriptors, file size
    PARENT = "parent"  # own session; dies with the zygote
    USER = "user"  # does not run as root


class Confinement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What protects this machine from a child, and what does not because the kernel or the user lacks it."""

    active: tuple[Protection, ...]
    missing: tuple[Protection, ...]


class Lockdown:
    """A lock-down prepared once, before forking, and applied in each child.

    Args:
        limits: What a child may use.
        kept: Descriptors that a child keeps beside its channel; it may do with them what it likes.

    Raises:
        ConfinementError: The kernel lacks Landlock, or the architecture is unknown, and the limits do not allow that.
    """

    def __init__(self, limits: Limits, kept: tuple[int, ...] = ()) -> None:
        self._limits = limits
        self._kept = kept
        self._machine = syscalls.find_machine()
        self._landlock_version = landlock.landlock_version()
        self._ruleset: int | None = None
        if self._landlock_version:
            readable = privileges.readable_paths()
            # A rule binds to an inode, and procfs forgets its inodes under memory pressure unless they are open.
            self._pinned = [os.open(path, os.O_PATH) for path in readable if path.is_relative_to("/proc")]
            self._ruleset = landlock.build_ruleset(readable)
        self._filter = seccomp.build_common(self._machine)
        self._address_space_bytes = privileges.address_space_bytes()
        self._zygote = os.getpid()

    def surrender(self) -> None:
        """Give up, in the zygote and so in all its children, what needs to be given up only once.

        Raises:
            ConfinementError: The user that the limits name cannot be taken on.
            OSError: The kernel refused.
        """
        privileges.surrender_user(self._limits, privileges.readable_paths())
        privileges.surrender_capabilities()
        privileges.hide_from_peers()

    def keep_only(self, channel: int, output: int) -> None:
        """Leave a forked child nothing to read, two descriptors for what is printed, and the channel.

        Args:
            channel: The child's end of the socket pair; becomes `CHANNEL`.
            output: What takes what is printed.
        """
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.dup2(channel, CHANNEL)
        needed = () if self._ruleset is None else (self._ruleset,)  # closed when it is applied
        for last, following in pairwise((CHANNEL, *sorted((*self._kept, *needed)), DESCRIPTORS)):
            os.closerange(last + 1, following)

    def apply(self) -> Confinement:
        """Lock this process down: call it in a forked child with one thread, before foreign code is loaded.

        Raises:
            ConfinementError: A layer that the limits insist on is missing.
            ZygoteLostError: The zygote died meanwhile.
            OSError: The kernel refused.
        """
        os.setsid()
        privileges.die_with_parent(self._zygote)
        privileges.limit_resources(self._limits, self._address_space_bytes)
        active = {Protection.PRIVILEGES, Protection.RESOURCES, Protection.PARENT}
        if os.geteuid() != 0:
            active.add(Protection.USER)
        if self._ruleset is not None:
            landlock.restrict_self(self._ruleset)
            os.close(self._ruleset)
            active.add(Protection.FILES)
            if self._landlock_version >= 6:
                active.add(Protection.NETWORK_AND_SIGNALS)
        with contextlib.suppress(OSError):  # a kernel without seccomp; reported below
            program = seccomp.complete(self._filter, self._machine, os.getpid())
            seccomp.install_filter(self._machine, program)
            active.add(Protection.SYSTEM_CALLS)
        confinement = Confinement(
            active=tuple(layer for layer in Protection if layer in active),
            missing=tuple(layer for layer in Protection if layer not in active),
        )
        self._insist(confinement)
        return confinement

    def _insist(self, confinement: Confinement) -> None:
        needed = {Protection.FILES, Protection.SYSTEM_CALLS}
        lacking = [layer for layer in confinement.missing if layer in needed]
        if lacking and not self._limits.allow_unconfined:
            raise ConfinementError(
                f"expected a kernel with Landlock (Linux 5.13 or newer) and seccomp filters, got no protection of "
                f"{' and '.join(lacking)}; use such a kernel, or --allow-unconfined, with candidates that you trust"
            )
