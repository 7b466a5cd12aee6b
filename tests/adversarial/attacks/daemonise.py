"""Leave the session and outlive the parent."""

import os

STOPPED_BY = "EPERM"
HARMS_WHEN_UNCONFINED = True


def attack():
    if os.fork() == 0:
        os.setsid()
        os._exit(0)
    return "a daemon"
