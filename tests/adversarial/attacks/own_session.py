"""Leave the process group by which the zygote kills."""

import os

STOPPED_BY = "EPERM"
HARMS_WHEN_UNCONFINED = False


def attack():
    os.setpgid(0, os.getppid())
    return "moved"
