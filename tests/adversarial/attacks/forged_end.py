"""Claim to be finished without any result."""

import os
import struct
import time

STOPPED_BY = "protocol"
HARMS_WHEN_UNCONFINED = False


def attack():
    os.write(3, struct.pack(">I", 15) + b"\x81\xa4type\xa8finished")
    time.sleep(1e6)
