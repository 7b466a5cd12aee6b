"""Which cases a stage runs and which numbers they get: values that travel, so nothing here loads torch."""

from enum import StrEnum

import msgspec

from tilewright.sandbox.failure import Stage
from tilewright.tasks.spec import Case


class Probe(StrEnum):
    """What the judge does to drawn inputs, beyond the case's own `values`."""

    NONE = "none"
    SPIKES = "spikes"  # a flat row with a few elements that decide the answer, the last element among them


class Draw(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which numbers a case gets.

    Attributes:
        case: The case.
        seed: Seed of inputs and parameters.
        probe: What is done to the inputs afterwards.
    """

    case: Case
    seed: int
    probe: Probe = Probe.NONE


class StageDraws(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one stage runs, smallest case first."""

    stage: Stage
    draws: tuple[Draw, ...]
