"""Keep one judge child alive for one GPU: watch it, kill it when it hangs, replace it when it ends."""

import time
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

import msgspec
from msgspec import structs

from tilewright.evaluator.dossier import Dossier
from tilewright.evaluator.environment import measured_environment
from tilewright.evaluator.gpu.child_line import ChildLine
from tilewright.evaluator.gpu.child_protocol import Busy, Device, Gauged, GaugeOrder, Judged, JudgeOrder
from tilewright.evaluator.gpu.endings import Ending, blamed_report, describe, explain
from tilewright.evaluator.gpu.errors import JudgeFaultError
from tilewright.evaluator.gpu.settings import GpuSettings
from tilewright.evaluator.occasion import Occasion
from tilewright.evaluator.report import Environment, Report

_GAUGE_S = 120.0
_ATTEMPTS = 2  # a failure of ours is tried once more, on a fresh child


class GpuSupervisor:
    """Judges recorded candidates on one GPU; a context manager, for one thread.

    The child holds the CUDA context and lives for many candidates. What ends it (an illegal access, a hang, a defect
    of ours) ends it alone: another is forked from a warm process, its device is probed, and only then is the end
    reported, as the candidate's failure or as ours. A candidate that is judged again gets a child of its own beside
    the waiting one, which keeps what it has prepared; the two never work at once. Nothing is started before it is
    needed. Loads no torch.

    Args:
        device: The device's number or UUID.
        settings: Limits, and where candidates were recorded.
    """

    def __init__(self, device: int | str = 0, settings: GpuSettings | None = None) -> None:
        self._settings = settings or GpuSettings()
        self._own_cache: TemporaryDirectory[str] | None = None
        if not self._settings.cache:
            self._own_cache = TemporaryDirectory(prefix="tilewright-judge-")
            self._settings = structs.replace(self._settings, cache=self._own_cache.name)
        self._search = ChildLine(str(device), self._settings)
        self._again = ChildLine(str(device), self._settings)
        self._environment: Environment | None = None

    def __enter__(self) -> Self:
        """Return the supervisor itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all processes."""
        self.close()

    def close(self) -> None:
        """End all processes. Harmless when done already."""
        self._search.close()
        self._again.close()
        if self._own_cache is not None:
            self._own_cache.cleanup()

    def device(self) -> Device:
        """Describe the device.

        Raises:
            DeviceGoneError: It cannot be used; the message says why.
        """
        return self._search.device()

    def environment(self) -> Environment:
        """Describe where candidates are judged.

        Raises:
            DeviceGoneError: The device cannot be used.
        """
        if self._environment is None:
            self._environment = measured_environment(self.device(), self._settings.recorder)
        return self._environment

    def hardware(self) -> bytes:
        """Return what the device can do, as the child's work encodes it.

        Raises:
            DeviceGoneError: The device cannot be used.
            JudgeFaultError: It could not be measured.
        """
        for _ in range(_ATTEMPTS):
            answer = self._search.ask(GaugeOrder(), Busy(what="measuring the device", limit_s=_GAUGE_S))
            if isinstance(answer, Gauged):
                return answer.hardware
        raise JudgeFaultError("expected the device's rates from the judge, got none")

    def judge(self, dossier: Dossier | bytes, occasion: Occasion = Occasion.SEARCH) -> Report:
        """Judge a candidate; one that was judged before, in a child that has met no other.

        Args:
            dossier: The candidate, as a value or as MessagePack.
            occasion: Why it is judged.

        Raises:
            DeviceGoneError: The device cannot be used, or not any more.
            JudgeFaultError: The judge itself failed twice; the candidate was not judged.
        """
        known = msgspec.msgpack.decode(dossier, type=Dossier) if isinstance(dossier, bytes) else dossier
        started = time.monotonic()
        order = JudgeOrder(dossier=known, environment_id=self.environment().id, occasion=occasion)
        line = self._again if occasion.is_again else self._search
        why = ""
        try:
            for _ in range(_ATTEMPTS):
                answer = line.ask(order, None)
                if isinstance(answer, Judged):
                    return answer.report
                failure = explain(answer, known) if isinstance(answer, Ending) else None
                if failure is not None:
                    return blamed_report(known, order.environment_id, failure, time.monotonic() - started)
                why = describe(answer) if isinstance(answer, Ending) else type(answer).__name__
                self._search.end_child()  # what it keeps may be in the way
        finally:
            self._again.end_child()
        raise JudgeFaultError(f"expected a report on {known.candidate.id} from the judge; got twice: {why}")

    def confirm(self, dossier: Dossier | bytes) -> Report:
        """Judge a candidate for the last time; for the rest as `judge`."""
        return self.judge(dossier, Occasion.FINAL)
