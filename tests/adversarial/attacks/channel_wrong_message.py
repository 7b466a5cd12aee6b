"""Write a message of the control socket to the channel."""

import os
import struct
import time

STOPPED_BY = "protocol"
HARMS_WHEN_UNCONFINED = False


def attack():
    os.write(3, struct.pack(">I", 12) + b"\x81\xa4type\xa5ready")
    time.sleep(1e6)
