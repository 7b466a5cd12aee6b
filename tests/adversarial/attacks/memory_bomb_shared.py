"""Allocate shared anonymous memory, which no limit of data size covers."""

import mmap

STOPPED_BY = "ENOMEM"
HARMS_WHEN_UNCONFINED = False


def attack():
    kept = []
    while True:
        kept.append(mmap.mmap(-1, 1 << 26))
