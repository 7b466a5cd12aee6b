"""End in good order without an answer."""

import os

STOPPED_BY = "protocol"
HARMS_WHEN_UNCONFINED = False


def attack():
    os._exit(0)
