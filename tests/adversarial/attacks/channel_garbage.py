"""Write a frame that is no message."""

import os
import struct
import time

STOPPED_BY = "protocol"
HARMS_WHEN_UNCONFINED = False


def attack():
    os.write(3, struct.pack(">I", 8) + b"\xc1garbage")
    time.sleep(1e6)
