"""Run the admission of a task in a process of its own: it executes the user's file, so it gets a time limit."""

import subprocess
import sys

import msgspec

from tilewright.evaluator.report import Admission
from tilewright.tasks.errors import TaskError
from tilewright.tasks.spec import KernelTask


def admit_in_worker(task: KernelTask, seed: int, time_limit_s: float = 120.0) -> Admission:
    """Tell whether a task can tell right from wrong.

    Raises:
        TaskError: The reference failed or took too long.
    """
    command = [sys.executable, "-m", "tilewright.evaluator.admission_worker", str(seed)]
    try:
        done = subprocess.run(
            command, input=msgspec.msgpack.encode(task), capture_output=True, timeout=time_limit_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise TaskError(
            f"expected the twins of {task.title} within {time_limit_s:.0f} s; make its cases smaller"
        ) from error
    if done.returncode != 0:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
        raise TaskError(f"expected the reference of {task.title} to answer its own cases; got {last[0]}")
    return msgspec.msgpack.decode(done.stdout, type=Admission)
