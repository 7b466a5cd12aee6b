import os
import random
import socket
import struct
import time
from collections.abc import Iterator

import msgspec
import pytest

from tilewright.sandbox import channel
from tilewright.sandbox.channel import (
    Channel,
    ClosedError,
    DeadlineError,
    GarbageError,
    OversizedError,
    Tail,
)
from tilewright.sandbox.failure import Failure, FailureKind, Stage
from tilewright.sandbox.protocol import Answer, Entered, Refused

LIMIT = 1 << 20


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def soon() -> float:
    return time.monotonic() + 5


def test_messages_arrive_whole_and_in_order(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    sender, receiver = Channel(ours.fileno(), limit_bytes=LIMIT), Channel(theirs.fileno(), limit_bytes=LIMIT)
    for payload in (b"", b"one", bytes(50_000)):
        sender.send(payload, soon())
    assert [receiver.receive(soon()) for _ in range(3)] == [b"", b"one", bytes(50_000)]


def test_a_message_that_comes_in_pieces_is_put_together(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    receiver = Channel(theirs.fileno(), limit_bytes=LIMIT)
    ours.sendall(b"\0\0")
    with pytest.raises(DeadlineError):
        Channel(ours.fileno(), limit_bytes=LIMIT).receive(time.monotonic() + 0.01)
    ours.sendall(b"\0\3ab")
    ours.sendall(b"c")
    assert receiver.receive(soon()) == b"abc"


def test_a_message_that_does_not_come_in_time_is_named(ends: tuple[socket.socket, socket.socket]) -> None:
    with pytest.raises(DeadlineError):
        Channel(ends[0].fileno(), limit_bytes=LIMIT).receive(time.monotonic() + 0.01)


def test_a_message_that_is_not_taken_in_time_is_named(ends: tuple[socket.socket, socket.socket]) -> None:
    with pytest.raises(DeadlineError):
        Channel(ends[0].fileno(), limit_bytes=LIMIT).send(bytes(1 << 24), time.monotonic() + 0.05)


def test_a_frame_larger_than_the_limit_is_refused_before_it_is_read(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ends[0].sendall(struct.pack(">I", LIMIT + 1))
    with pytest.raises(OversizedError):
        Channel(ends[1].fileno(), limit_bytes=LIMIT).receive(soon())


def test_the_limit_counts_all_messages_together(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    sender, receiver = Channel(ours.fileno(), limit_bytes=LIMIT), Channel(theirs.fileno(), limit_bytes=100)
    sender.send(bytes(60), soon())
    sender.send(bytes(60), soon())
    receiver.receive(soon())
    with pytest.raises(OversizedError):
        receiver.receive(soon())


def test_an_end_in_the_middle_of_a_message_is_named(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    ours.sendall(struct.pack(">I", 10) + b"half")
    ours.close()
    with pytest.raises(ClosedError):
        Channel(theirs.fileno(), limit_bytes=LIMIT).receive(soon())


def test_sending_to_a_closed_end_is_named(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    theirs.close()
    with pytest.raises(ClosedError):
        Channel(ours.fileno(), limit_bytes=LIMIT).send(b"x", soon())


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xc1",
        b"\x91" * 100_000,
        b"\xdf\xff\xff\xff\xff",
        b"\x82\xa4type\xa8recorded\xa5plans\xdd\xff\xff\xff\xff",
        b"\x82\xa4type\xa7entered\xa5stage\xa2\xff\xff",
        msgspec.msgpack.encode({"type": "entered", "stage": "smoke", "case": None, "more": 1}),
        msgspec.msgpack.encode({"type": "entered", "stage": "tea", "case": None}),
        msgspec.msgpack.encode({"type": "pickle"}),
        msgspec.msgpack.encode([1, 2]),
    ],
)
def test_a_payload_that_is_no_answer_is_garbage(payload: bytes) -> None:
    with pytest.raises(GarbageError):
        channel.decode(payload, msgspec.msgpack.Decoder(Answer))


def test_a_damaged_answer_is_an_answer_or_garbage_and_nothing_else() -> None:
    failure = Failure(kind=FailureKind.CRASH, stage=Stage.SMOKE, message="m" * 40)
    whole = msgspec.msgpack.encode(Refused(failure=failure)) + msgspec.msgpack.encode(
        Entered(stage=Stage.RECORD, case=None)
    )
    decoder = msgspec.msgpack.Decoder(Answer)
    draw = random.Random(7)
    garbage = 0
    for _ in range(3000):
        damaged = bytearray(whole[: draw.randint(0, len(whole))])
        for _ in range(draw.randint(0, 4)):
            if damaged:
                damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        try:
            channel.decode(bytes(damaged), decoder)
        except GarbageError:
            garbage += 1
    assert garbage > 2000


def test_a_pipe_that_is_written_to_without_end_is_drained_while_waiting(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    tail = Tail(reading)
    receiver = Channel(ends[1].fileno(), limit_bytes=LIMIT, tail=tail)
    for index in range(40):
        os.write(writing, f"line {index:04d} ".encode() * 1000)
        with pytest.raises(DeadlineError):
            receiver.receive(time.monotonic() + 0.002)
    assert len(tail.text) <= 4096
    assert tail.text.endswith("line 0039")
    os.close(writing)
    os.close(reading)
