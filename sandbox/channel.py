"""Framed messages over a socket pair: four bytes of length, big-endian, then MessagePack.

Both ends use plain `read` and `write`, which need no socket call, so that a confined child can answer.
"""

import os
import select
import struct
import time
from typing import TypeVar

import msgspec

from tilewright.sandbox.errors import SandboxError

_T = TypeVar("_T")
_HEADER = struct.Struct(">I")
_READ_BYTES = 1 << 18
_TAIL_BYTES = 4096


class ChannelError(SandboxError):
    """The other end did not keep to the protocol."""


class ClosedError(ChannelError):
    """The other end closed the channel, or died."""


class DeadlineError(ChannelError):
    """The other end took too long."""


class OversizedError(ChannelError):
    """The other end sends more than it may."""


class GarbageError(ChannelError):
    """The other end sends what is no message."""


class Tail:
    """The last 4 KiB of what comes out of a pipe, which never fills up.

    Args:
        descriptor: The reading end; made non-blocking.
    """

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self.descriptor = descriptor
        self.is_open = True
        self._kept = b""

    def drain(self) -> None:
        """Take what is there now, one read's worth."""
        try:
            data = os.read(self.descriptor, _READ_BYTES)
        except BlockingIOError:
            return
        self.is_open = bool(data)
        self._kept = (self._kept + data)[-_TAIL_BYTES:]

    @property
    def text(self) -> str:
        """What was kept, with undecodable bytes replaced."""
        return self._kept.decode("utf-8", errors="replace").strip()


class Channel:
    """One end of the socket pair.

    Args:
        descriptor: The socket; made non-blocking.
        limit_bytes: Most bytes that are taken from the other end in all.
        tail: A pipe to be drained while waiting, so that the other end is never held up by it.
    """

    def __init__(self, descriptor: int, *, limit_bytes: int, tail: Tail | None = None) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._left_bytes = limit_bytes
        self._tail = tail

    def send(self, payload: bytes, deadline: float | None = None) -> None:
        """Send one message.

        Args:
            payload: Encoded message.
            deadline: When to give up, on the monotonic clock; None: never.

        Raises:
            ClosedError: The other end is gone.
            DeadlineError: The other end did not take it in time.
        """
        pending = memoryview(_HEADER.pack(len(payload)) + payload)
        while pending:
            self._wait(select.POLLOUT, deadline)
            try:
                pending = pending[os.write(self._descriptor, pending) :]
            except (BrokenPipeError, ConnectionResetError) as error:
                raise ClosedError("the other end closed the channel while it was sent a message") from error

    def receive(self, deadline: float | None = None) -> bytes:
        """Return the next message, still encoded.

        Args:
            deadline: When to give up, on the monotonic clock; None: never.

        Raises:
            ClosedError: The other end is gone.
            DeadlineError: No complete message came in time.
            OversizedError: The message is longer than what may still come.
        """
        (length,) = _HEADER.unpack(self._take(_HEADER.size, deadline))
        if length > self._left_bytes:
            raise OversizedError(f"expected at most {self._left_bytes} bytes more, got a message of {length}")
        self._left_bytes -= length
        return self._take(length, deadline)

    def _take(self, count: int, deadline: float | None) -> bytes:
        """Return exactly so many bytes."""
        taken = bytearray()
        while len(taken) < count:
            self._wait(select.POLLIN, deadline)
            try:
                data = os.read(self._descriptor, min(count - len(taken), _READ_BYTES))
            except ConnectionResetError:
                data = b""
            if not data:
                raise ClosedError(f"the other end closed the channel with {count - len(taken)} bytes outstanding")
            taken += data
        return bytes(taken)

    def _wait(self, event: int, deadline: float | None) -> None:
        """Return when the socket is ready, draining the pipe meanwhile."""
        while True:
            poll = select.poll()
            poll.register(self._descriptor, event)
            if self._tail is not None and self._tail.is_open:
                poll.register(self._tail.descriptor, select.POLLIN)
            left_s = None if deadline is None else deadline - time.monotonic()
            if left_s is not None and left_s <= 0:
                raise DeadlineError("the other end took too long")
            ready = poll.poll(None if left_s is None else left_s * 1000)
            if self._tail is not None and any(descriptor == self._tail.descriptor for descriptor, _ in ready):
                self._tail.drain()
            if any(descriptor == self._descriptor for descriptor, _ in ready):
                return


def decode(payload: bytes, decoder: "msgspec.msgpack.Decoder[_T]") -> _T:
    """Return the message of a payload.

    Raises:
        GarbageError: The payload is no MessagePack, or not of the expected types.
    """
    try:
        return decoder.decode(payload)
    except (ValueError, RecursionError) as error:  # msgspec's own errors are ValueErrors, as is bad UTF-8
        raise GarbageError(f"expected a message of the protocol, got {len(payload)} bytes: {error}") from error
