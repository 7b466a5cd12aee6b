"""Announce an answer and never send it."""

import os
import struct
import time

STOPPED_BY = "time_limit"
HARMS_WHEN_UNCONFINED = False


def attack():
    os.write(3, struct.pack(">I", 1000) + b"half")
    while True:
        time.sleep(1)
