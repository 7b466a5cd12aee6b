"""Replays one recorded case in a process of its own, whose context may not survive: a msgpack frame in, one out."""

import sys

import msgspec

from tilewright.evaluator.dossier import Binary
from tilewright.evaluator.gpu import driver
from tilewright.evaluator.gpu.arena import Arena
from tilewright.evaluator.gpu.binaries import Binaries
from tilewright.evaluator.gpu.runner import GpuRunner
from tilewright.sandbox.plan import LaunchPlan
from tilewright.sandbox.protocol import Answer, Interpret


def serve() -> None:
    order = tuple[LaunchPlan, tuple[Binary, ...], Interpret]
    plan, kernels, request = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=order)
    arena = Arena()
    answers: tuple[Answer, ...] = GpuRunner({plan.case: plan}, Binaries(kernels), arena).interpret(request)
    sys.stdout.buffer.write(msgspec.msgpack.encode((answers[-1], driver.is_healthy())))
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    serve()
