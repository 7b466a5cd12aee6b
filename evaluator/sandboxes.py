"""The two zygotes that a judge works with, replaced when they are lost."""

import contextlib
from concurrent.futures import Future, ThreadPoolExecutor

from tilewright.sandbox.errors import SandboxError, ZygoteLostError
from tilewright.sandbox.limits import Limits
from tilewright.sandbox.mode import ZygoteMode
from tilewright.sandbox.protocol import Answer, Interpret, Request
from tilewright.sandbox.zygote import Zygote


class Sandboxes:
    """Two zygotes, each started when it is first needed and once more if it was lost."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._zygotes: dict[ZygoteMode, Zygote] = {}
        self._starting: dict[ZygoteMode, Future[Zygote]] = {}

    def warm(self) -> None:
        """Start both at once and return; whoever needs one waits for it, and is told if it could not be started."""
        starter = ThreadPoolExecutor(len(ZygoteMode))
        self._starting = {mode: starter.submit(Zygote, mode, self._limits) for mode in ZygoteMode}
        starter.shutdown(wait=False)

    def zygote(self, mode: ZygoteMode) -> Zygote:
        """Return the zygote of a mode.

        Raises:
            ZygoteLostError: It could not be started.
            ConfinementError: This machine lacks a protection.
        """
        starting = self._starting.pop(mode, None)
        if starting is not None:
            self._zygotes[mode] = starting.result()
        elif mode not in self._zygotes:
            self._zygotes[mode] = Zygote(mode, self._limits)
        return self._zygotes[mode]

    def ask(self, mode: ZygoteMode, request: Request) -> tuple[Answer, ...]:
        """Have a fresh child answer; a lost zygote is replaced once.

        Raises:
            ZygoteLostError: It was lost twice.
        """
        try:
            return self.zygote(mode).ask(request)
        except ZygoteLostError:
            lost = self._zygotes.pop(mode, None)
            if lost is not None:
                lost.close()
            return self.zygote(mode).ask(request)

    def record(self, request: Request) -> tuple[Answer, ...]:
        """Ask the zygote that compiles."""
        return self.ask(ZygoteMode.COMPILE, request)

    def interpret(self, request: Interpret) -> tuple[Answer, ...]:
        """Ask the zygote that interprets."""
        return self.ask(ZygoteMode.INTERPRET, request)

    def close(self) -> None:
        """End both zygotes."""
        for mode in tuple(self._starting):
            with contextlib.suppress(SandboxError):  # one that never came up needs no end
                self.zygote(mode)
        for zygote in self._zygotes.values():
            zygote.close()
        self._zygotes.clear()
