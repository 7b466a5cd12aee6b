"""Start processes without end."""

import os

STOPPED_BY = "EPERM"
HARMS_WHEN_UNCONFINED = True


def attack():
    for _ in range(20):
        if os.fork() == 0:
            os._exit(0)
    return "20 processes"
