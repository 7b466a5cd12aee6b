"""The judge's zygote: torch imported once and no CUDA context; it forks children that make one and judge.

No candidate's Python ever runs here. What can go wrong is the GPU work of a candidate, which can take the context
with it, or never end: then the child ends or is killed, and the next one is forked in milliseconds.
"""

import contextlib
import faulthandler
import gc
import os
import socket
import sys
import traceback
from typing import NoReturn, Protocol, cast

import msgspec

from tilewright.evaluator.gpu import child_protocol as protocol
from tilewright.evaluator.gpu.child_protocol import (
    Broken,
    Device,
    Faulty,
    Gauged,
    GaugeOrder,
    Judged,
    JudgeOrder,
    Ready,
    Unfit,
)
from tilewright.evaluator.gpu.errors import UnfitError
from tilewright.evaluator.gpu.settings import GpuSettings
from tilewright.evaluator.report import Report
from tilewright.sandbox import control, forking
from tilewright.sandbox.channel import Channel, ClosedError, decode

_ORDER_BYTES = 1 << 40  # the supervisor is trusted, and a child lives for many orders
_REASON_CHARACTERS = 8192


class Work(Protocol):
    """A child's work, from its first word to its last."""

    def device(self) -> Device:
        """Make a context, see that the device computes what it should, and describe it.

        Raises:
            UnfitError: There is no such device, or it cannot be used.
        """

    def judge(self, order: JudgeOrder) -> Report:
        """Judge one candidate."""

    def gauge(self) -> bytes:
        """Measure what the device can do."""

    def broken(self) -> Broken | None:
        """Return why the context is lost, or None if it is healthy."""


class Working(Protocol):
    """The module with a child's work."""

    def warm(self) -> None:
        """Import what every child needs; no thread and no CUDA context may be left behind."""

    def start(self, settings: GpuSettings, tell: protocol.Tell) -> Work:
        """Return the work of a child that has just been forked."""


def serve(descriptor: int, settings: GpuSettings) -> None:
    """Serve one supervisor until it closes the socket.

    Args:
        descriptor: The zygote's end of a SOCK_SEQPACKET pair.
        settings: What the children need to know.
    """
    orders = socket.socket(fileno=descriptor)
    try:
        working = cast(Working, forking.load_module(settings.work))
        working.warm()
        threads = len(os.listdir("/proc/self/task"))
        if threads != 1:
            raise RuntimeError(f"expected one thread after the imports, got {threads}: a fork would copy held locks")
    except Exception:  # whatever the import of torch or of a test's module may raise
        forking.tell(orders, control.Broken(reason=traceback.format_exc()[-_REASON_CHARACTERS:]))
        return
    forking.prefer_for_out_of_memory()
    gc.collect()
    gc.freeze()  # the collector would touch, and so copy, every shared page
    forking.tell(orders, control.Ready())
    while True:
        data, descriptors, _, _ = socket.recv_fds(orders, control.MESSAGE_BYTES, 2)
        if not data:
            return
        if not isinstance(msgspec.msgpack.decode(data, type=control.Order), control.Fork):
            continue  # a Kill that crossed with the child's own end
        end, output = descriptors
        pid = os.fork()
        if pid == 0:
            orders.close()
            _be_child(end, output, working, settings)
        os.close(end)
        os.close(output)
        forking.tell(orders, forking.watch(pid, orders))


def _be_child(descriptor: int, output: int, working: Working, settings: GpuSettings) -> NoReturn:
    """Be the child until the supervisor closes the channel or the context is lost."""
    code = 1
    try:
        os.setpgid(0, 0)  # compilers that the work starts end with it
        for stream in (1, 2):
            os.dup2(output, stream)
        os.close(output)
        faulthandler.enable(file=2)
        end = Channel(descriptor, limit_bytes=_ORDER_BYTES)
        work = working.start(settings, lambda progress: _say(end, progress))
        try:
            _say(end, Ready(device=work.device()))
        except UnfitError as error:
            _say(end, Unfit(reason=str(error)))
        else:
            code = _work(end, work)
    except ClosedError:
        code = 0
    except BaseException:  # a defect of ours: the supervisor sees the traceback
        with contextlib.suppress(BaseException):
            os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(code)  # no clean-up on a context that may be lost, nor twice what the zygote will do


def _work(end: Channel, work: Work) -> int:
    """Obey orders; return the exit code once no further one can be obeyed."""
    decoder = msgspec.msgpack.Decoder(protocol.Order)
    while True:
        order: protocol.Order = decode(end.receive(), decoder)
        try:
            answer = _obey(work, order)
        except Exception:  # ours, unless the context says that the candidate's work has broken it
            reason = traceback.format_exc()[-_REASON_CHARACTERS:]
            answer = work.broken() or Faulty(reason=reason)
        _say(end, answer)
        if isinstance(answer, Broken | Faulty) or (isinstance(answer, Judged) and answer.is_last):
            return 1


def _obey(work: Work, order: protocol.Order) -> protocol.Answer:
    if isinstance(order, GaugeOrder):
        return Gauged(hardware=work.gauge())
    report = work.judge(order)
    broken = work.broken()
    if broken is not None and report.failure is None:
        return broken  # after the last word on it, so it is no right candidate
    return Judged(report=report, is_last=broken is not None)


def _say(end: Channel, answer: protocol.Answer) -> None:
    end.send(msgspec.msgpack.encode(answer))


def main() -> None:
    """Serve with the settings in the second argument, over the descriptor in the first."""
    serve(int(sys.argv[1]), msgspec.json.decode(sys.argv[2], type=GpuSettings))
