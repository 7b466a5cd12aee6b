"""Allocate more private memory than is allowed."""

STOPPED_BY = "memory_limit"
HARMS_WHEN_UNCONFINED = False


def attack():
    kept = []
    while True:
        kept.append(bytearray(1 << 24))
