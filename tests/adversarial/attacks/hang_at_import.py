"""Wait for ever while the file is executed."""

import time

STOPPED_BY = "time_limit"
HARMS_WHEN_UNCONFINED = False


def attack():
    time.sleep(1e6)
