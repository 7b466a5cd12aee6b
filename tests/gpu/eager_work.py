"""The work of a judge child with one baseline: compiling the others takes a minute a task and changes no verdict."""

from pathlib import Path

import torch

from tilewright.evaluator.gpu import facade
from tilewright.evaluator.gpu.baselines import EAGER
from tilewright.evaluator.gpu.child_protocol import Busy, Tell
from tilewright.evaluator.gpu.facade import GpuJudge
from tilewright.evaluator.gpu.settings import GpuSettings
from tilewright.evaluator.gpu.stopwatch import Stopwatch
from tilewright.evaluator.gpu.workplace import WorkplaceSettings, open_stopwatch

_OWN_WORK_S = 120.0


class EagerJudge(GpuJudge):
    """The product's judge, with eager PyTorch as the only baseline."""

    def _timing(self, target: str) -> Stopwatch:
        if self._stopwatch is None:
            device = torch.device("cuda", 0)
            settings = WorkplaceSettings(target=target, cache=str(Path(self._cache, "eager")), baselines=(EAGER,))
            self._stopwatch = open_stopwatch(
                settings, device, lambda what: self._tell(Busy(what=what, limit_s=_OWN_WORK_S))
            )
        return self._stopwatch


def warm() -> None:
    """Import what every child needs."""
    facade.warm()


def start(settings: GpuSettings, tell: Tell) -> EagerJudge:
    """Return the work of a child that has just been forked."""
    return EagerJudge(settings, tell)
