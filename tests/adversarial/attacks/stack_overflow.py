"""Recurse in C until the stack ends."""

import sys

STOPPED_BY = "crash"
HARMS_WHEN_UNCONFINED = False


def attack():
    sys.setrecursionlimit(1 << 30)
    nested = None
    for _ in range(1_000_000):
        nested = (nested,)
    return hash(nested)
