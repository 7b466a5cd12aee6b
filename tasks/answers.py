"""What the worker that executes a task file tells the process that asked."""

import msgspec

from tilewright.tasks.spec import KernelTask


class Loaded(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="loaded"):
    """The file is a task."""

    task: KernelTask


class Rejected(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="rejected"):
    """The file is no usable task: what its author should know, in one line."""

    message: str


WorkerAnswer = Loaded | Rejected
