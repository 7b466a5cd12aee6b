"""Become a shell."""

import os

STOPPED_BY = "EPERM"
HARMS_WHEN_UNCONFINED = True


def attack():
    return os.execv("/bin/sh", ["sh", "-c", "echo harm: a shell"])
