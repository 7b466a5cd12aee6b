"""Announce a frame of 4 GiB."""

import os
import time

STOPPED_BY = "protocol"
HARMS_WHEN_UNCONFINED = False


def attack():
    os.write(3, b"\xff\xff\xff\xff")
    time.sleep(1e6)
