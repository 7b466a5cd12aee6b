"""What a supervisor and its judge child say to each other: orders one way, answers the other. Loads no torch."""

from collections.abc import Callable

import msgspec

from tilewright.evaluator.dossier import Dossier
from tilewright.evaluator.occasion import Occasion
from tilewright.evaluator.report import Report
from tilewright.sandbox.protocol import Entered


class Device(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The GPU that a child works on, and the software it was reached with.

    Attributes:
        name: The GPU's name.
        target: Name of its architecture, such as `cuda:90`.
        driver: Version of the GPU's driver.
        memory_bytes: Its memory.
        free_bytes: What of it was free when the child began.
        torch: Version of PyTorch, with the CUDA version that it was built for.
        python: Version.
        machine: Kernel release and architecture of the host.
    """

    name: str
    target: str
    driver: str
    memory_bytes: int
    free_bytes: int
    torch: str
    python: str
    machine: str


class JudgeOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="judge"):
    """Judge a recorded candidate.

    Attributes:
        dossier: The candidate.
        environment_id: Where it is judged, for the report.
        occasion: Why, which decides how long it is timed.
    """

    dossier: Dossier
    environment_id: str
    occasion: Occasion = Occasion.SEARCH


class GaugeOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="gauge"):
    """Measure what the device can do."""


Order = JudgeOrder | GaugeOrder


class Busy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="busy"):
    """The child does work of our own that may take long, such as compiling a baseline.

    Attributes:
        what: In words, such as `compiling the baseline`.
        limit_s: Seconds of silence that are no reason to kill it.
    """

    what: str
    limit_s: float


Progress = Entered | Busy


class Ready(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="ready"):
    """The child's first word: it holds a context, and the device computes what it should."""

    device: Device


class Unfit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="unfit"):
    """The child's first word where it cannot work: one line that says why."""

    reason: str


class Judged(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="judged"):
    """Answer to JudgeOrder.

    Attributes:
        report: What was found.
        is_last: Whether the candidate's work has taken the context with it, so that the child ends.
    """

    report: Report
    is_last: bool = False


class Gauged(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="gauged"):
    """Answer to GaugeOrder: the measured rates, as JSON of `measured_hardware`."""

    hardware: bytes


class Broken(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="broken"):
    """The context was lost and nothing was found out before; the child ends.

    Attributes:
        code: The driver's name of the error, such as `CUDA_ERROR_ILLEGAL_ADDRESS`.
        number: Its number.
    """

    code: str
    number: int


class Faulty(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="faulty"):
    """A defect of ours while the context is healthy; the child ends.

    Attributes:
        reason: The traceback.
    """

    reason: str


Answer = Entered | Busy | Ready | Unfit | Judged | Gauged | Broken | Faulty
Tell = Callable[[Progress], None]
