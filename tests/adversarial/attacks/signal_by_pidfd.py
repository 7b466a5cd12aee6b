"""Open a handle on the parent, by which it could be killed and its files taken."""

import os

STOPPED_BY = "EPERM"
HARMS_WHEN_UNCONFINED = True


def attack():
    return os.pidfd_open(os.getppid())
