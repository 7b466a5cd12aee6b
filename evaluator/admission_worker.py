"""Child process of `admission`: reads a task on standard input, writes its admission on standard output."""

import os
import sys

import msgspec

from tilewright.evaluator.twins import admit
from tilewright.tasks.spec import KernelTask


def main() -> None:
    """Admit one task; what its file prints goes to standard error, so that the answer stays readable."""
    answer = os.dup(1)
    os.dup2(2, 1)
    task = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=KernelTask)
    with os.fdopen(answer, "wb") as stream:
        stream.write(msgspec.msgpack.encode(admit(task, int(sys.argv[1]))))


if __name__ == "__main__":
    main()
