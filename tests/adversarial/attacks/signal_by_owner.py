"""Have the kernel kill the parent when data arrive on a pipe."""

import fcntl
import os
import signal

STOPPED_BY = "EPERM"
HARMS_WHEN_UNCONFINED = True


def attack():
    reading = os.pipe()[0]
    fcntl.fcntl(reading, fcntl.F_SETOWN, os.getppid())
    fcntl.fcntl(reading, 10, signal.SIGKILL)  # F_SETSIG
    return "owner set"
