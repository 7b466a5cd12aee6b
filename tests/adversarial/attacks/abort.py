"""Abort."""

import os

STOPPED_BY = "crash"
HARMS_WHEN_UNCONFINED = False


def attack():
    os.abort()
