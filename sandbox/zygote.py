"""The trusted side of the sandbox: a warm process that forks one confined child for each request."""

import contextlib
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from tilewright.sandbox import channel, control
from tilewright.sandbox.channel import Channel, ChannelError, ClosedError, Tail
from tilewright.sandbox.death import Ending, explain, missing_answer, shorten
from tilewright.sandbox.errors import ConfinementError, ZygoteLostError
from tilewright.sandbox.failure import Failure, FailureKind, Stage
from tilewright.sandbox.isolation import Confinement
from tilewright.sandbox.limits import Limits
from tilewright.sandbox.mode import ZygoteMode
from tilewright.sandbox.protocol import Answer, Entered, Finished, Refused, Request

ANSWERING = "tilewright.sandbox.answering"

_START_S = 180.0  # a cold import of torch and triton on a busy machine
_GRACE_S = 5.0  # for a zygote, which only has to wait or to kill
_EXIT_S = 1.0  # for a child that said its last word
_SERVE = (
    "import site, sys; [site.addsitedir(path) for path in sys.argv[2:]]; "
    "from tilewright.sandbox.zygote_server import serve; serve(int(sys.argv[1]))"
)


_Notice = TypeVar("_Notice", control.Ready, control.Exited)


class _Child(msgspec.Struct, frozen=True, kw_only=True):
    """One forked child, seen from the trusted side."""

    end: Channel
    tail: Tail
    confinement: Confinement


class _Death(msgspec.Struct, frozen=True, kw_only=True):
    """How a child ended, and whether it had to be killed."""

    exited: control.Exited
    was_killed: bool


class Zygote:
    """A warm process that forks one confined child for each request. For one thread at a time.

    Its environment holds no key, its children cannot reach anything but the Python installation and their end of a
    socket pair. When the trusted process ends or is killed, zygote and child end with it.

    Args:
        mode: What it is for.
        limits: What children may use.
        answering: Module with `warm` and `answer`, by name or by the path of its file.

    Raises:
        ZygoteLostError: It could not be started; the message has the reason.
        ConfinementError: This machine lacks a protection that the limits insist on.
    """

    def __init__(self, mode: ZygoteMode, limits: Limits, answering: str = ANSWERING) -> None:
        self._limits = limits
        self._decoder = msgspec.msgpack.Decoder(Answer)
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = _start(mode, theirs.fileno())
        try:
            self._order(control.Start(mode=mode, answering=answering, limits=limits))
            self._expect(control.Ready, _START_S)
            self._confinement = self._probe()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Process number of the zygote."""
        return self._process.pid

    def confinement(self) -> Confinement:
        """Return which layers protect this machine from the children, and which are missing."""
        return self._confinement

    def close(self) -> None:
        """End the zygote and its child, if any. Harmless when done already."""
        self._control.close()
        self._process.kill()  # its child dies with it
        self._process.wait()

    def ask(self, request: Request) -> tuple[Answer, ...]:
        """Fork a child, have it work on a request and return what it answered.

        Whatever ends the child before its last word is the candidate's fault and becomes a final `Refused`.

        Returns:
            Answers in order; the last is `Finished` or `Refused`, and before `Finished` stand all results.

        Raises:
            ZygoteLostError: The zygote died or does not react; start another. The candidate is not to blame.
            ConfinementError: The child could not be locked down.
        """
        if self._control.fileno() < 0:
            raise ZygoteLostError("expected an open zygote, got one that was closed; start another")
        deadline = time.monotonic() + self._limits.wall_s
        answers: list[Answer] = []
        try:
            with self._fork(self._limits.answer_bytes) as child:
                try:
                    child.end.send(msgspec.msgpack.encode(request), deadline)
                    self._collect(child.end, answers, deadline)
                except ChannelError as error:
                    answers.append(self._refuse(error, child, answers))
                else:
                    self._reap(is_done=True)
        except BaseException:
            self.close()  # out of step: whatever the child says from now on would answer the next request
            raise
        return _settle(request, tuple(answers))

    def _collect(self, end: Channel, answers: list[Answer], deadline: float) -> None:
        """Append answers until the last word."""
        while not (answers and isinstance(answers[-1], Finished | Refused)):
            if len(answers) == self._limits.answers:
                raise channel.OversizedError(f"expected at most {self._limits.answers} answers")
            answers.append(channel.decode(end.receive(deadline), self._decoder))

    def _refuse(self, error: ChannelError, child: _Child, answers: list[Answer]) -> Refused:
        death = self._reap(is_done=isinstance(error, ClosedError))
        child.tail.drain()
        entered = next((answer for answer in reversed(answers) if isinstance(answer, Entered)), None)
        ending = Ending(
            error=error, exited=death.exited, was_killed=death.was_killed, entered=entered, printed=child.tail.text
        )
        return Refused(failure=explain(ending, self._limits))

    def _probe(self) -> Confinement:
        """Fork a child that only locks itself down, and return how far it got."""
        with self._fork(control.MESSAGE_BYTES) as child:
            confinement = child.confinement
        self._reap(is_done=True)
        return confinement

    @contextmanager
    def _fork(self, answer_bytes: int) -> Iterator[_Child]:
        """Fork a child that is locked down and waits for its request; give it up at the end of the context."""
        ours, theirs = socket.socketpair()
        reading, writing = os.pipe()
        try:
            try:
                socket.send_fds(self._control, [msgspec.msgpack.encode(control.Fork())], [theirs.fileno(), writing])
            except OSError as error:
                raise self._lost() from error
            finally:
                theirs.close()
                os.close(writing)
            yield self._greet(ours, Tail(reading), answer_bytes)
        finally:
            ours.close()
            os.close(reading)

    def _greet(self, ours: socket.socket, tail: Tail, answer_bytes: int) -> _Child:
        """Wait until a child says that it is locked down; until then nothing foreign is in it."""
        end = Channel(ours.fileno(), limit_bytes=answer_bytes + control.MESSAGE_BYTES, tail=tail)
        try:
            payload = end.receive(time.monotonic() + _GRACE_S)
        except ChannelError as error:
            tail.drain()
            raise self._lost(tail.text) from error
        greeting = msgspec.msgpack.decode(payload, type=control.Greeting)
        if isinstance(greeting, control.NotLocked):
            raise ConfinementError(greeting.reason)
        return _Child(end=end, tail=tail, confinement=greeting.confinement)

    def _reap(self, *, is_done: bool) -> _Death:
        """Have the child gone: wait if it is about to end, else kill it."""
        if is_done and self._has_notice(_EXIT_S):
            return _Death(exited=self._expect(control.Exited, _GRACE_S), was_killed=False)
        self._order(control.Kill())
        return _Death(exited=self._expect(control.Exited, _GRACE_S), was_killed=True)

    def _has_notice(self, limit_s: float) -> bool:
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        return bool(poll.poll(limit_s * 1000))

    def _order(self, order: control.Order) -> None:
        try:
            self._control.send(msgspec.msgpack.encode(order))
        except OSError as error:
            raise self._lost() from error

    def _expect(self, kind: type[_Notice], limit_s: float) -> _Notice:
        """Return the zygote's next notice."""
        if not self._has_notice(limit_s):
            raise ZygoteLostError(f"expected {kind.__name__} from the zygote within {limit_s:g} s, got nothing")
        try:
            data = self._control.recv(control.MESSAGE_BYTES)
        except OSError as error:
            raise self._lost() from error
        if not data:
            raise self._lost()
        notice = msgspec.msgpack.decode(data, type=control.Notice)
        if isinstance(notice, control.NotLocked):
            raise ConfinementError(notice.reason)
        if not isinstance(notice, kind):
            reason = notice.reason if isinstance(notice, control.Broken) else type(notice).__name__
            raise ZygoteLostError(f"expected {kind.__name__} from the zygote, got: {reason}")
        return notice

    def _lost(self, printed: str = "") -> ZygoteLostError:
        """Return the error for a zygote that does not serve any more, with its last words if there are any."""
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            if self._has_notice(_EXIT_S):
                notice = msgspec.msgpack.decode(self._control.recv(control.MESSAGE_BYTES), type=control.Notice)
                printed = notice.reason if isinstance(notice, control.Broken) else f"{notice} {printed}"
        with contextlib.suppress(subprocess.TimeoutExpired):
            return ZygoteLostError(f"the zygote died with status {self._process.wait(_EXIT_S)}: {printed}")
        return ZygoteLostError(f"the zygote cannot start a child: {printed}")


def _start(mode: ZygoteMode, descriptor: int) -> "subprocess.Popen[bytes]":
    """Start the process with an environment of ours and no descriptor but the control socket."""
    environment = {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "HOME": "/nonexistent",
        "PYTHONHASHSEED": "0",  # the same candidate gives the same plan in every zygote
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        **({"TRITON_INTERPRET": "1"} if mode is ZygoteMode.INTERPRET else {}),
    }
    # -s -P: nothing from the user's home or the working directory shadows a module; -B: no bytecode is written.
    flags = ("-s", "-P", "-B")
    return subprocess.Popen(
        [sys.executable, *flags, "-c", _SERVE, str(descriptor), *foreign_paths()],
        env=environment,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(descriptor,),
        start_new_session=True,  # Ctrl-C on the terminal is the trusted side's business
    )


def foreign_paths() -> tuple[str, ...]:
    """Return the directories that this process imports from and a fresh interpreter would not."""
    own = (sys.prefix, sys.base_prefix)
    paths = (path for path in sys.path if Path(path).is_absolute() and Path(path).is_dir())
    return tuple(path for path in paths if not any(Path(path).is_relative_to(prefix) for prefix in own))


def _settle(request: Request, answers: tuple[Answer, ...]) -> tuple[Answer, ...]:
    """Return answers whose last one is trustworthy in form: results complete, texts short."""
    last = answers[-1]
    if isinstance(last, Refused):
        return (*answers[:-1], Refused(failure=shorten(last.failure)))
    wrong = missing_answer(request, answers[:-1])
    if not wrong:
        return answers
    entered = next((answer for answer in reversed(answers) if isinstance(answer, Entered)), None)
    failure = Failure(
        kind=FailureKind.PROTOCOL,
        stage=entered.stage if entered is not None else Stage.RECORD,
        case=entered.case if entered is not None else None,
        message=wrong,
    )
    return (*answers[:-1], Refused(failure=failure))
