"""Stop itself."""

import os
import signal

STOPPED_BY = "time_limit"
HARMS_WHEN_UNCONFINED = False


def attack():
    os.kill(os.getpid(), signal.SIGSTOP)
