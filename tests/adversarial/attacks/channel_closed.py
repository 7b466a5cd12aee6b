"""Close the channel and live on."""

import os
import time

STOPPED_BY = "protocol"
HARMS_WHEN_UNCONFINED = False


def attack():
    os.close(3)
    time.sleep(1e6)
