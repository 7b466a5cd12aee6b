"""Kill the parent."""

import os
import signal

STOPPED_BY = "EPERM"
HARMS_WHEN_UNCONFINED = True


def attack():
    os.kill(os.getppid(), signal.SIGKILL)
    return "the parent is dead"
