"""Take the parent's right to open files."""

import os
import resource

STOPPED_BY = "EPERM"
HARMS_WHEN_UNCONFINED = True


def attack():
    return resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (8, 8))
