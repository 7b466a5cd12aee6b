"""Print without end: what is printed is drained and all but its end is thrown away."""

import os

STOPPED_BY = "time_limit"
HARMS_WHEN_UNCONFINED = False


def attack():
    while True:
        os.write(1, bytes(1 << 16))
