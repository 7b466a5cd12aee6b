"""The supervisor's end of the judge's processes: a zygote, and at most one child of it at a time."""

import contextlib
import os
import select
import socket
import subprocess
import sys
from typing import TypeVar

import msgspec

from tilewright.evaluator.gpu import child_protocol as protocol
from tilewright.evaluator.gpu.errors import DeviceGoneError
from tilewright.evaluator.gpu.settings import GpuSettings
from tilewright.sandbox import control
from tilewright.sandbox.channel import Channel, ChannelError, Tail, decode
from tilewright.sandbox.zygote import foreign_paths

_ANSWER_BYTES = 1 << 40  # of a child's whole life; its code is ours
_EXIT_S = 1.0  # for a child that said its last word
_DEATH_S = 30.0  # for a killed one: the driver first stops what it has running
_CALL = "import site, sys; [site.addsitedir(path) for path in sys.argv[3:]]; "
# Where programs and libraries are found; keys and settings of other programs stay behind.
_INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH", "CUDA_HOME", "CUDA_PATH")
_SERVE = _CALL + "from tilewright.evaluator.gpu.judge_child import main; main()"

_Notice = TypeVar("_Notice", control.Ready, control.Exited)


class Death(msgspec.Struct, frozen=True, kw_only=True):
    """How a child ended.

    Attributes:
        exited: Its exit code and what it used.
        was_killed: Whether it had to be killed.
        printed: The last of what it printed.
    """

    exited: control.Exited
    was_killed: bool
    printed: str


class ZygoteGoneError(Exception):
    """The zygote died, does not react or could not be started; the message has its last words."""


class JudgeZygote:
    """A warm process that forks judge children for one device. For one thread at a time.

    Args:
        device: The device's number or UUID, as `CUDA_VISIBLE_DEVICES` takes it.
        settings: Passed on to the children.

    Raises:
        ZygoteGoneError: It could not be started.
    """

    def __init__(self, device: str, settings: GpuSettings) -> None:
        self._settings = settings
        self._decoder = msgspec.msgpack.Decoder(protocol.Answer)
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._end: Channel | None = None
        with theirs:
            self._process = _start(device, settings, theirs.fileno())
        try:
            self._expect(control.Ready, settings.start_s)
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """Process number of the zygote."""
        return self._process.pid

    @property
    def has_child(self) -> bool:
        """Whether a child was forked and has not been seen to end."""
        return self._end is not None

    def close(self) -> None:
        """End the zygote and its child, if any. Harmless when done already."""
        self._forget()
        self._control.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_EXIT_S)  # it kills its child first
        self._process.kill()
        self._process.wait()

    def fork(self) -> None:
        """Start a child; its first answer is Ready or Unfit.

        Raises:
            ZygoteGoneError: The zygote does not serve any more.
        """
        self._ours, theirs = socket.socketpair()
        self._reading, writing = os.pipe()
        self._tail = Tail(self._reading)
        self._end = Channel(self._ours.fileno(), limit_bytes=_ANSWER_BYTES, tail=self._tail)
        try:
            socket.send_fds(self._control, [msgspec.msgpack.encode(control.Fork())], [theirs.fileno(), writing])
        except OSError as error:
            raise self._gone() from error
        finally:
            theirs.close()
            os.close(writing)

    def send(self, order: protocol.Order, deadline: float) -> None:
        """Send the child an order.

        Raises:
            ChannelError: It is gone, or does not read.
        """
        self._channel.send(msgspec.msgpack.encode(order), deadline)

    def receive(self, deadline: float) -> protocol.Answer:
        """Return the child's next answer.

        Raises:
            ChannelError: It died, is silent until the deadline, or sends garbage.
        """
        answer: protocol.Answer = decode(self._channel.receive(deadline), self._decoder)
        return answer

    def reap(self, *, is_ending: bool) -> Death:
        """Have the child gone: wait if it is about to end, else kill it.

        Raises:
            DeviceGoneError: It cannot be killed: the driver holds it.
            ZygoteGoneError: The zygote does not serve any more.
        """
        was_killed = not (is_ending and self._has_notice(_EXIT_S))
        if was_killed:
            try:
                self._control.send(msgspec.msgpack.encode(control.Kill()))
            except OSError as error:
                raise self._gone() from error
            if not self._has_notice(_DEATH_S):
                raise DeviceGoneError(
                    f"expected a killed judge process to end within {_DEATH_S:.0f} s; the GPU's driver holds it: "
                    "see `nvidia-smi`, and go on with `tilewright resume` once the device works again"
                )
        exited = self._expect(control.Exited, _EXIT_S)
        self._tail.drain()
        death = Death(exited=exited, was_killed=was_killed, printed=self._tail.text)
        self._forget()
        return death

    @property
    def _channel(self) -> Channel:
        if self._end is None:
            raise ChannelError("expected a child, got none")
        return self._end

    def _forget(self) -> None:
        """Give up the channel and the pipe of a child that is gone."""
        if self._end is not None:
            self._end = None
            self._ours.close()
            os.close(self._reading)

    def _has_notice(self, limit_s: float) -> bool:
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        return bool(poll.poll(limit_s * 1000))

    def _expect(self, kind: type[_Notice], limit_s: float) -> _Notice:
        """Return the zygote's next notice."""
        if not self._has_notice(limit_s):
            raise ZygoteGoneError(f"expected {kind.__name__} from the judge's zygote within {limit_s:g} s, got nothing")
        try:
            data = self._control.recv(control.MESSAGE_BYTES)
        except OSError as error:
            raise self._gone() from error
        if not data:
            raise self._gone()
        notice = msgspec.msgpack.decode(data, type=control.Notice)
        if isinstance(notice, kind):
            return notice
        reason = notice.reason if isinstance(notice, control.Broken) else type(notice).__name__
        raise ZygoteGoneError(f"expected {kind.__name__} from the judge's zygote, got: {reason}")

    def _gone(self) -> ZygoteGoneError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return ZygoteGoneError(f"the judge's zygote died with status {self._process.wait(_EXIT_S)}")
        return ZygoteGoneError("the judge's zygote does not take orders any more")


def _start(device: str, settings: GpuSettings, descriptor: int) -> "subprocess.Popen[bytes]":
    """Start the process with an environment of ours and no descriptor but the control socket."""
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ} | {
        "OPENBLAS_NUM_THREADS": "1",  # its threads would start with the import; a zygote must have one only
        "CUDA_VISIBLE_DEVICES": device,
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",  # the numbers that nvidia-smi and Ray mean
        "PYTORCH_NVML_BASED_CUDA_CHECK": "1",  # asking whether there is a GPU makes no context before the fork
    }
    # -s -P: nothing from the user's home or the working directory shadows a module.
    command = [sys.executable, "-s", "-P", "-c", _SERVE, str(descriptor), msgspec.json.encode(settings).decode()]
    return subprocess.Popen(
        [*command, *foreign_paths()],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(descriptor,),
        start_new_session=True,  # Ctrl-C on the terminal is the supervisor's business
    )
