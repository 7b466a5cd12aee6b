"""Read from address zero."""

import ctypes

STOPPED_BY = "crash"
HARMS_WHEN_UNCONFINED = False


def attack():
    return ctypes.string_at(0)
