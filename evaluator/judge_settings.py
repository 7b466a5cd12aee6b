"""What a judge needs to know; apart from the judge, so that a driver can say it without loading torch."""

import msgspec

from tilewright.evaluator.calibration import Calibration
from tilewright.sandbox.limits import Limits


class JudgeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a judge needs to know.

    Attributes:
        target: Name of the GPU that kernels are for.
        seed: Of the secret cases and all inputs.
        limits: What a candidate's process may use.
        device_bytes: Memory of the GPUs that measure; 0 where times are estimated.
        cache: Folder for what outlives a run, such as a device's rates and compiled baselines; empty: none is kept.
        calibration: The cost model's constants as fitted to a device; None: the shipped ones.
    """

    target: str
    seed: int = 0
    limits: Limits = Limits()
    device_bytes: int = 0
    cache: str = ""
    calibration: Calibration | None = None
