"""Records what standard input asks for, one frame of msgpack in, one out; it sees no GPU."""

import sys

import msgspec

from tilewright.sandbox.answering import answer
from tilewright.sandbox.protocol import Answer, Record


def serve() -> None:
    replies = sys.stdout.buffer
    # What candidates print must not come between the frames.
    sys.stdout = sys.stderr
    requests = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=list[Record])
    given: list[list[Answer]] = []
    for request in requests:
        answers: list[Answer] = []
        answer(request, answers.append)
        given.append(answers)
    replies.write(msgspec.msgpack.encode(given))


if __name__ == "__main__":
    serve()
