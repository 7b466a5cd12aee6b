"""One judge child after another for one GPU: an order goes in; an answer, or how the child ended, comes out."""

import time

from tilewright.evaluator.gpu import child_protocol as protocol
from tilewright.evaluator.gpu.child_process import JudgeZygote, ZygoteGoneError
from tilewright.evaluator.gpu.child_protocol import (
    Broken,
    Busy,
    Device,
    Faulty,
    Gauged,
    Judged,
    Progress,
    Ready,
    Unfit,
)
from tilewright.evaluator.gpu.endings import Ending
from tilewright.evaluator.gpu.errors import DeviceGoneError
from tilewright.evaluator.gpu.settings import GpuSettings
from tilewright.sandbox.channel import ChannelError, ClosedError, GarbageError
from tilewright.sandbox.protocol import Entered

_START_ATTEMPTS = 3  # right after a crash the driver may still be busy with it


class ChildLine:
    """Has at most one child at a time; the next one is forked when the last has ended. For one thread.

    Args:
        name: The device's number or UUID.
        settings: Limits, passed on to the children.
    """

    def __init__(self, name: str, settings: GpuSettings) -> None:
        self._name = name
        self._settings = settings
        self._zygote: JudgeZygote | None = None
        self._device: Device | None = None

    def device(self) -> Device:
        """Describe the device, as the last child that came up found it.

        Raises:
            DeviceGoneError: None comes up.
        """
        if self._device is None:
            self.ready()
        assert self._device is not None
        return self._device

    def end_child(self) -> None:
        """End the child, if there is one; the next order gets another."""
        if self._zygote is not None and self._zygote.has_child:
            try:
                self._zygote.reap(is_ending=False)
            except ZygoteGoneError:
                self.close()

    def close(self) -> None:
        """End the child and its zygote. Harmless when done already."""
        if self._zygote is not None:
            self._zygote.close()
            self._zygote = None

    def ask(self, order: protocol.Order, progress: Progress | None) -> Judged | Gauged | Ending:
        """Have a child obey an order; when it ends instead, see that the next one comes up.

        Args:
            order: What to do.
            progress: What the child will be doing before it says so itself.

        Raises:
            DeviceGoneError: No child comes up, before the order or after its end.
        """
        zygote = self.ready()
        last_call = time.monotonic() + self._settings.candidate_s
        silence_s = progress.limit_s if isinstance(progress, Busy) else self._settings.quiet_s
        last: Broken | Faulty | ChannelError
        try:
            zygote.send(order, time.monotonic() + silence_s)
            while True:
                asked, is_ours = time.monotonic(), isinstance(progress, Busy)
                answer = zygote.receive(asked + silence_s if is_ours else min(asked + silence_s, last_call))
                last_call += time.monotonic() - asked if is_ours else 0.0  # our time is not the candidate's
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
            if time.monotonic() >= last_call:
                silence_s = self._settings.candidate_s
        death = zygote.reap(is_ending=isinstance(last, Broken | Faulty | ClosedError))
        self.ready()  # the probe: were the device itself at fault, the candidate would not be
        return Ending(last=last, progress=progress, death=death, silence_s=silence_s)

    def _settled(self, answer: Judged | Gauged, zygote: JudgeZygote) -> Judged | Gauged:
        """Return an answer, once a child that ends with it has been replaced and its device probed."""
        if isinstance(answer, Judged) and answer.is_last:
            zygote.reap(is_ending=True)
            self.ready()
        return answer

    def ready(self) -> JudgeZygote:
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
