"""The process that executes a task file: `python -m tilewright.tasks.worker FILE` answers in msgpack on stdout."""

import logging
import os
import sys
import warnings
from pathlib import Path

import msgspec
import torch

from tilewright.tasks.answers import Loaded, Rejected, WorkerAnswer
from tilewright.tasks.derivation import describe
from tilewright.tasks.errors import TaskError


def main() -> int:
    """Describe the file of the first argument and return the exit code."""
    path = Path(sys.argv[1])
    answer_fd = _keep_stdout()
    # Attempts that fail are part of the search; torch would log a traceback for each.
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    answer: WorkerAnswer
    try:
        answer = Loaded(task=describe(path.read_text(encoding="utf-8"), path.stem))
    except TaskError as error:
        answer = Rejected(message=str(error))
    with os.fdopen(answer_fd, "wb") as stream:
        stream.write(msgspec.msgpack.encode(answer))
    return 0


def _keep_stdout() -> int:
    """Return a descriptor of the real stdout, and send to stderr whatever the task file prints."""
    answer_fd = os.dup(1)
    os.dup2(2, 1)
    return answer_fd


if __name__ == "__main__":
    sys.exit(main())
