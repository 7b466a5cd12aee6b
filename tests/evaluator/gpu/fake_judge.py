"""A judge child's work without a GPU: what the candidate's source says is what happens to the child."""

import os
import signal
import sys
import time
from pathlib import Path

from tilewright.evaluator.gpu.child_protocol import Broken, Busy, Device, JudgeOrder, Tell
from tilewright.evaluator.gpu.errors import UnfitError
from tilewright.evaluator.gpu.settings import GpuSettings
from tilewright.evaluator.report import Report
from tilewright.sandbox.failure import Failure, FailureKind, Stage
from tilewright.sandbox.protocol import Entered

CASE = "bench-8192x8192-float16"


def warm() -> None:
    """Import nothing."""


def start(settings: GpuSettings, tell: Tell) -> "FakeWork":
    return FakeWork(settings, tell)


class FakeWork:
    """Counts its candidates, so that a fresh child can be told from an old one."""

    def __init__(self, settings: GpuSettings, tell: Tell) -> None:
        self._tell = tell
        self._folder = Path(settings.cache)
        self._broken: Broken | None = None
        self._judged = 0

    def device(self) -> Device:
        if (self._folder / "gone").exists():
            raise UnfitError("no CUDA device answers")
        return Device(
            name="Fake GPU", target="cuda:90", driver="1.2", memory_bytes=1 << 30, free_bytes=1 << 29,
            torch="2.11+cu130", python="3.12", machine="test",
        )  # fmt: skip

    def gauge(self) -> bytes:
        return b"rates"

    def broken(self) -> Broken | None:
        return self._broken

    def judge(self, order: JudgeOrder) -> Report:
        self._judged += 1
        self._tell(Entered(stage=Stage.SHAPES, case=CASE))
        failure = getattr(self, "_" + order.dossier.candidate.source, self._right)()
        return Report(
            candidate_id=order.dossier.candidate.id, environment_id=order.environment_id, stages=(), timing=(),
            counts=(), profile=None, failure=failure, judge_s=float(self._judged),
        )  # fmt: skip

    def _right(self) -> None:
        return

    def _refused_and_broken(self) -> Failure:
        self._broken = Broken(code="CUDA_ERROR_ASSERT", number=710)
        return Failure(kind=FailureKind.CRASH, stage=Stage.SHAPES, case=CASE, message="failed its own assertion")

    def _broken_at_the_end(self) -> None:
        self._broken = Broken(code="CUDA_ERROR_ILLEGAL_ADDRESS", number=700)

    def _broken_midway(self) -> None:
        self._broken_at_the_end()
        raise RuntimeError("an illegal memory access was encountered")

    def _device_trouble(self) -> None:
        self._broken = Broken(code="CUDA_ERROR_ECC_UNCORRECTABLE", number=214)
        raise RuntimeError("uncorrectable")

    def _device_gone(self) -> None:
        (self._folder / "gone").touch()
        self._broken_midway()

    def _hang(self) -> None:
        while True:
            time.sleep(60)

    def _crash(self) -> None:
        os.kill(os.getpid(), signal.SIGSEGV)

    def _crash_of_ours(self) -> None:
        self._tell(Busy(what="compiling a baseline", limit_s=5.0))
        self._crash()

    def _long_work_of_ours(self) -> None:
        self._tell(Busy(what="compiling a baseline", limit_s=30.0))
        time.sleep(1.2)

    def _fault(self) -> None:
        raise ZeroDivisionError("a defect of ours")

    def _fault_once(self) -> None:
        if not (self._folder / "failed").exists():
            (self._folder / "failed").touch()
            self._fault()

    def _garbage(self) -> None:
        for descriptor in range(3, 32):
            try:
                os.write(descriptor, b"\x00\x00\x00\x03abc")
            except OSError:
                continue
        self._hang()

    def _talk_forever(self) -> None:
        while True:
            self._tell(Entered(stage=Stage.TIMING, case=CASE))
            time.sleep(0.01)

    def _print_and_die(self) -> None:
        sys.stderr.write("x" * 200_000 + "last words\n")
        sys.stderr.flush()
        os.kill(os.getpid(), signal.SIGABRT)
