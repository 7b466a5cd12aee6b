"""The zygote's own process: warmed up once, it forks a locked-down child for each request."""

import contextlib
import faulthandler
import gc
import os
import socket
import traceback
from collections.abc import Callable
from typing import NoReturn, Protocol, cast

import msgspec

from tilewright.sandbox import channel, control, forking, isolation, memory, privileges
from tilewright.sandbox.errors import ConfinementError, SandboxError
from tilewright.sandbox.failure import Failure, FailureKind, Stage
from tilewright.sandbox.isolation import Lockdown
from tilewright.sandbox.mode import ZygoteMode
from tilewright.sandbox.protocol import Answer, Entered, Finished, Refused, Request

_REQUEST_BYTES = 2 << 30  # the trusted side is trusted; this only bounds a mistake
_REASON_CHARACTERS = 8192


class Answering(Protocol):
    """The module that does the work in a child."""

    def warm(self, mode: ZygoteMode) -> tuple[int, ...]:
        """Import and initialise what every request needs, and return descriptors that children keep; no thread."""

    def answer(self, request: Request, emit: Callable[[Answer], None]) -> None:
        """Work on a request and emit the answers; `Finished` is added by the caller."""


class _Outlet:
    """Where a child's answers go; remembers whether the last word was said and where the work is."""

    def __init__(self, end: channel.Channel) -> None:
        self._end = end
        self.entered: Entered | None = None
        self.is_refused = False

    def emit(self, answer: Answer) -> None:
        """Send one answer."""
        if isinstance(answer, Entered):
            self.entered = answer
        self.is_refused = self.is_refused or isinstance(answer, Refused)
        self._end.send(msgspec.msgpack.encode(answer))


def serve(descriptor: int) -> None:
    """Serve one trusted process until it closes the socket.

    Args:
        descriptor: The zygote's end of a SOCK_SEQPACKET pair.
    """
    os.dup2(descriptor, isolation.CHANNEL)  # a fixed place, which a child's channel takes over
    if descriptor != isolation.CHANNEL:
        os.close(descriptor)
    orders = socket.socket(fileno=isolation.CHANNEL)
    try:
        privileges.limit_open_files(isolation.DESCRIPTORS)
        start = _receive_start(orders)
        answering = cast(Answering, forking.load_module(start.answering))
        kept = answering.warm(start.mode)
        forking.prefer_for_out_of_memory()
        lockdown = Lockdown(start.limits, kept)
        tasks = os.open("/proc/self/task", os.O_RDONLY | os.O_DIRECTORY)
        lockdown.surrender()
    except ConfinementError as error:
        forking.tell(orders, control.NotLocked(reason=str(error)))
        return
    except Exception:  # whatever the import of torch, triton or a test's module may raise
        forking.tell(orders, control.Broken(reason=traceback.format_exc()[-_REASON_CHARACTERS:]))
        return
    gc.collect()
    gc.freeze()  # the collector would touch, and so copy, every shared page
    memory.collapse()
    forking.tell(orders, control.Ready())
    _work(orders, tasks, answering, lockdown)


def _work(orders: socket.socket, tasks: int, answering: Answering, lockdown: Lockdown) -> None:
    """Fork a child for each order, one at a time."""
    decoder = msgspec.msgpack.Decoder(control.Order)
    while True:
        data, descriptors, _, _ = socket.recv_fds(orders, control.MESSAGE_BYTES, 2)
        if not data:
            return
        if not isinstance(decoder.decode(data), control.Fork):
            continue  # a Kill that crossed with the child's own end
        threads = len(os.listdir(tasks))
        if threads != 1:
            reason = f"expected a zygote with one thread, got {threads}: a fork would copy locks that are held"
            forking.tell(orders, control.Broken(reason=reason))
            return
        end, output = descriptors
        pid = os.fork()
        if pid == 0:
            _run_child(end, output, answering, lockdown)
        os.close(end)
        os.close(output)
        forking.tell(orders, forking.watch(pid, orders))


def _run_child(descriptor: int, output: int, answering: Answering, lockdown: Lockdown) -> NoReturn:
    """Be the child: lock down, answer one request, end without any clean-up that a candidate could hook into."""
    code = 1
    try:
        lockdown.keep_only(descriptor, output)
        end = channel.Channel(isolation.CHANNEL, limit_bytes=_REQUEST_BYTES)
        try:
            confinement = lockdown.apply()
        except (ConfinementError, OSError) as error:
            end.send(msgspec.msgpack.encode(control.NotLocked(reason=str(error))))
        else:
            faulthandler.enable(file=2)  # a segmentation fault leaves a traceback in the failure's detail
            end.send(msgspec.msgpack.encode(control.Locked(confinement=confinement)))
            _answer(end, answering)
            code = 0
    except channel.ClosedError:
        code = 0  # the trusted side only wanted to see the lock-down, or gave up
    except BaseException:  # the candidate's SystemExit, or a defect of ours: the trusted side sees the traceback
        with contextlib.suppress(BaseException):
            os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(code)


def _answer(end: channel.Channel, answering: Answering) -> None:
    request: Request = channel.decode(end.receive(), msgspec.msgpack.Decoder(Request))
    outlet = _Outlet(end)
    try:
        answering.answer(request, outlet.emit)
    except MemoryError:
        failure = Failure(
            kind=FailureKind.MEMORY_LIMIT,
            stage=outlet.entered.stage if outlet.entered else Stage.RECORD,
            case=outlet.entered.case if outlet.entered else None,
            message="expected to stay within the memory limit, got MemoryError",
        )
        outlet.emit(Refused(failure=failure))
    if not outlet.is_refused:
        outlet.emit(Finished())


def _receive_start(orders: socket.socket) -> control.Start:
    order = msgspec.msgpack.decode(orders.recv(control.MESSAGE_BYTES), type=control.Order)
    if not isinstance(order, control.Start):
        raise SandboxError(f"expected Start as the first order, got {order}")
    return order
