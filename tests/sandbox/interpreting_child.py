"""Answers requests on standard input with Triton's interpreter; run it with TRITON_INTERPRET=1."""

import struct
import sys

import msgspec

from tilewright.sandbox.answering import answer, warm
from tilewright.sandbox.mode import ZygoteMode
from tilewright.sandbox.protocol import Answer, Request


def serve() -> None:
    replies = sys.stdout.buffer
    # What candidates print must not come between the frames.
    sys.stdout = sys.stderr
    warm(ZygoteMode.INTERPRET)
    while header := sys.stdin.buffer.read(4):
        size = struct.unpack("<I", header)[0]
        answers: list[Answer] = []
        answer(msgspec.msgpack.decode(sys.stdin.buffer.read(size), type=Request), answers.append)
        frame = msgspec.msgpack.encode(answers)
        replies.write(struct.pack("<I", len(frame)) + frame)
        replies.flush()


if __name__ == "__main__":
    serve()
