"""Kill the own process group."""

import os
import signal

STOPPED_BY = "EPERM"
HARMS_WHEN_UNCONFINED = False


def attack():
    os.kill(0, signal.SIGKILL)
    return "the group is dead"
