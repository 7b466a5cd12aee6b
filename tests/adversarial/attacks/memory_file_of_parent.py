"""Open the parent's memory as a file."""

import os

STOPPED_BY = "EACCES"
HARMS_WHEN_UNCONFINED = True


def attack():
    with open(f"/proc/{os.getppid()}/mem", "rb") as file:
        return file.fileno()
