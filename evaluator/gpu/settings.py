"""What the judge on a GPU needs to know; loads no torch."""

import msgspec

from tilewright.evaluator.report import Environment


class GpuSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the judge on a GPU needs to know.

    Attributes:
        quiet_s: Seconds of silence after which a child is killed: what the slowest honest kernel may take.
        candidate_s: Seconds that judging one candidate may take in all.
        start_s: Seconds that a child may take to come up, and the zygote to import torch.
        cache: Folder for what outlives a child and a run: rates of the device, compiled baselines. Empty: one of
            the supervisor's own, gone with it.
        recorder: Where candidates are recorded, if that is another machine or already known.
        work: Module that does the child's work, by name or by the path of its file.
    """

    quiet_s: float = 10.0
    candidate_s: float = 600.0
    start_s: float = 180.0
    cache: str = ""
    recorder: Environment | None = None
    work: str = "tilewright.evaluator.gpu.facade"
