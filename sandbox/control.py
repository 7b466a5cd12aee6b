"""What the trusted side and a zygote say to each other; candidates never see this socket."""

import msgspec

from tilewright.sandbox.isolation import Confinement
from tilewright.sandbox.limits import Limits
from tilewright.sandbox.mode import ZygoteMode

MESSAGE_BYTES = 1 << 16  # most that one message takes


class Start(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="start"):
    """The first message to a zygote.

    Attributes:
        mode: Passed to the answering module's `warm`.
        answering: Name of the module with `warm` and `answer`, or path of its file.
        limits: What children may use.
    """

    mode: ZygoteMode
    answering: str
    limits: Limits


class Fork(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="fork"):
    """Start a child; its end of the channel and a pipe for what it prints come along as descriptors."""


class Kill(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="kill"):
    """Kill the child, if it still lives."""


Order = Start | Fork | Kill


class Ready(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="ready"):
    """The zygote is warm and can fork."""


class Broken(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="broken"):
    """The zygote cannot work and ends."""

    reason: str


class Exited(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="exited"):
    """The child is gone.

    Attributes:
        code: Exit code, or the negative number of the signal that killed it.
        cpu_s: CPU seconds it used.
        peak_bytes: Most memory that was resident at once, what it shares with the zygote included.
    """

    code: int
    cpu_s: float
    peak_bytes: int


class Locked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="locked"):
    """A child's first message: it is locked down; no foreign code is loaded yet."""

    confinement: Confinement


class NotLocked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="not_locked"):
    """It could not be locked down and ends; said by a zygote, or as a child's first message."""

    reason: str


Greeting = Locked | NotLocked
Notice = Ready | Broken | Exited | NotLocked
