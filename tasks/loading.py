"""Loading a task file without executing it here: a worker does, within a time limit."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec

from tilewright.tasks.answers import Rejected, WorkerAnswer
from tilewright.tasks.constants import parse
from tilewright.tasks.errors import TaskError
from tilewright.tasks.spec import KernelTask

_ANSWERS: msgspec.msgpack.Decoder[WorkerAnswer] = msgspec.msgpack.Decoder(WorkerAnswer)


def load_task(path: Path, time_limit_s: float = 60.0) -> KernelTask:
    """Return the task of a file.

    Args:
        path: A task file in KernelBench's format.
        time_limit_s: Seconds after which the worker is stopped.

    Raises:
        TaskError: The file is missing, no usable task, or takes too long.
    """
    if not path.is_file():
        got = "a directory" if path.is_dir() else "none"
        raise TaskError(f"{path}: expected a task file; got {got}: name a Python file with Model and get_inputs")
    try:
        parse(path.read_text(encoding="utf-8"))  # the commonest mistake is found without starting a process
    except UnicodeDecodeError as error:
        raise TaskError(
            f"{path.name}: expected a Python text file in UTF-8; got other bytes: name a task file"
        ) from error
    except TaskError as error:
        raise TaskError(f"{path.name}: {error}") from error
    output, code = _run_worker(path, time_limit_s)
    try:
        answer = _ANSWERS.decode(output)
    except msgspec.MsgspecError as error:
        raise TaskError(
            f"{path.name}: expected the task's description; the process that executes the file ended with code {code} "
            "without one: see what it wrote to stderr"
        ) from error
    if isinstance(answer, Rejected):
        raise TaskError(f"{path.name}: {answer.message}")
    return answer.task


def _run_worker(path: Path, time_limit_s: float) -> tuple[bytes, int]:
    """Return what the worker wrote to stdout, and its exit code."""
    command = [sys.executable, "-m", "tilewright.tasks.worker", str(path.resolve())]
    # One thread: answers on small inputs do not depend on how a reduction is split. No GPU: loading needs none.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, env=environment, start_new_session=True
    )
    try:
        output, _ = process.communicate(timeout=time_limit_s)
    except subprocess.TimeoutExpired as error:
        raise TaskError(
            f"{path.name}: expected the file to load within {time_limit_s:g} s; it took longer: "
            "make it do less at the top level and in Model"
        ) from error
    finally:
        _kill_group(process)
    return output, process.returncode


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """Stop the worker and whatever it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        process.wait()
