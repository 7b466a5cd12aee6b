"""Read the environment that the parent was started with."""

import os

STOPPED_BY = "EACCES"
HARMS_WHEN_UNCONFINED = True


def attack():
    with open(f"/proc/{os.getppid()}/environ", "rb") as file:
        return file.read()
