"""Keep one judge child alive for one GPU: watch it, kill it when it hangs, replace it when it ends."""

import time
from types import TracebackType
from typing import Self

import msgspec

from tilewright.evaluator.dossier import Dossier
from tilewright.evaluator.environment import measured_environment
from tilewright.evaluator.gpu import child_protocol as protocol
from tilewright.evaluator.gpu.child_process import JudgeZygote, ZygoteGoneError
from tilewright.evaluator.gpu.child_protocol import (
    Broken,
    Busy,
    Device,
    Faulty,
    Gauged,
    GaugeOrder,
    Judged,
    JudgeOrder,
    Progress,
    Ready,
    Unfit,
)
from tilewright.evaluator.gpu.endings import Ending, blamed_report, describe, explain
from tilewright.evaluator.gpu.errors import DeviceGoneError, JudgeFaultError
from tilewright.evaluator.gpu.settings import GpuSettings
from tilewright.evaluator.occasion import Occasion
from tilewright.evaluator.report import Environment, Report
from tilewright.sandbox.channel import ChannelError, ClosedError, GarbageError
from tilewright.sandbox.protocol import Entered

_GAUGE_S = 120.0
_ATTEMPTS = 2  # a failure of ours is tried once more, on a fresh child
_START_ATTEMPTS = 3  # right after a crash the driver may still be busy with it


class GpuSupervisor:
    """Judges recorded candidates on one GPU; a context manager, for one thread.

    The child holds the CUDA context and lives for many candidates. What ends it (an illegal access, a hang, a defect
    of ours) ends it alone: another is forked from a warm process, its device is probed, and only then is the end
    reported, as the candidate's failure or as ours. Nothing is started before it is needed. Loads no torch.

    Args:
        device: The device's number or UUID.
        settings: Limits, and where candidates were recorded.
    """

    def __init__(self, device: int | str = 0, settings: GpuSettings | None = None) -> None:
        self._name = str(device)
        self._settings = settings or GpuSettings()
        self._zygote: JudgeZygote | None = None
        self._device: Device | None = None
        self._environment: Environment | None = None

    def __enter__(self) -> Self:
        """Return the supervisor itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the child and its zygote."""
        self.close()

    def close(self) -> None:
        """End the child and its zygote. Harmless when done already."""
        if self._zygote is not None:
            self._zygote.close()
            self._zygote = None

    def device(self) -> Device:
        """Describe the device.

        Raises:
            DeviceGoneError: It cannot be used; the message says why.
        """
        if self._device is None:
            self._ready()
        assert self._device is not None
        return self._device

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
            answer = self._ask(GaugeOrder(), Busy(what="measuring the device", limit_s=_GAUGE_S))
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
        if occasion.is_again and self._zygote is not None and self._zygote.has_child:
            self._zygote.reap(is_ending=False)
        known = msgspec.msgpack.decode(dossier, type=Dossier) if isinstance(dossier, bytes) else dossier
        started = time.monotonic()
        order = JudgeOrder(dossier=known, environment_id=self.environment().id, occasion=occasion)
        why = ""
        for _ in range(_ATTEMPTS):
            answer = self._ask(order, None)
            if isinstance(answer, Judged):
                return answer.report
            failure = explain(answer, known) if isinstance(answer, Ending) else None
            if failure is not None:
                return blamed_report(known, order.environment_id, failure, time.monotonic() - started)
            why = describe(answer) if isinstance(answer, Ending) else type(answer).__name__
        raise JudgeFaultError(f"expected a report on {known.candidate.id} from the judge; got twice: {why}")

    def confirm(self, dossier: Dossier | bytes) -> Report:
        """Judge a candidate for the last time; for the rest as `judge`."""
        return self.judge(dossier, Occasion.FINAL)

    def _ask(self, order: protocol.Order, progress: Progress | None) -> Judged | Gauged | Ending:
        """Have a child obey an order; when it ends instead, see that the next one comes up."""
        zygote = self._ready()
        last_call = time.monotonic() + self._settings.candidate_s
        silence_s = progress.limit_s if isinstance(progress, Busy) else self._settings.quiet_s
        last: Broken | Faulty | ChannelError
        try:
            zygote.send(order, time.monotonic() + silence_s)
            while True:
                answer = zygote.receive(min(time.monotonic() + silence_s, last_call))
                if isinstance(answer, Judged | Gauged):
                    return self._settled(answer, zygote)
                if isinstance(answer, Broken | Faulty):
                    last = answer
                    break
                if not isinstance(answer, Entered | Busy):
                    raise GarbageError(f"expected progress or an answer, got {type(answer).__name__}")
                progress = answer
                silence_s = answer.limit_s if isinstance(answer, Busy) else self._settings.quiet_s
        except ChannelError as error:
            last = error
        death = zygote.reap(is_ending=isinstance(last, Broken | Faulty | ClosedError))
        self._ready()  # the probe: were the device itself at fault, the candidate would not be
        return Ending(last=last, progress=progress, death=death, silence_s=silence_s)

    def _settled(self, answer: Judged | Gauged, zygote: JudgeZygote) -> Judged | Gauged:
        """Return an answer, once a child that ends with it has been replaced and its device probed."""
        if isinstance(answer, Judged) and answer.is_last:
            zygote.reap(is_ending=True)
            self._ready()
        return answer

    def _ready(self) -> JudgeZygote:
        """Return the zygote with a child that waits for orders.

        Raises:
            DeviceGoneError: No child comes up.
        """
        why = ""
        for _ in range(_START_ATTEMPTS):
            try:
                zygote = self._zygote or JudgeZygote(self._name, self._settings)
                self._zygote = zygote
                why = "" if zygote.has_child else self._fork(zygote)
            except ZygoteGoneError as error:
                why = str(error)
                self.close()
            else:
                if not why:
                    return zygote
        raise DeviceGoneError(f"expected GPU {self._name} to be usable; {why}")

    def _fork(self, zygote: JudgeZygote) -> str:
        """Start a child; return why it does not work, or an empty text."""
        zygote.fork()
        try:
            answer = zygote.receive(time.monotonic() + self._settings.start_s)
        except ChannelError as error:
            death = zygote.reap(is_ending=isinstance(error, ClosedError))
            last_words = death.printed.splitlines()[-1:] or [f"exit code {death.exited.code}"]
            return f"a judge process did not come up: {error} ({last_words[0]})"
        if isinstance(answer, Ready):
            self._device = answer.device
            return ""
        zygote.reap(is_ending=True)
        return answer.reason if isinstance(answer, Unfit) else f"got {type(answer).__name__} as its first word"
