"""Fill the machine's memory with a file in a memory file system."""

import os

STOPPED_BY = "EPERM"
HARMS_WHEN_UNCONFINED = True


def attack():
    with open("/dev/shm/tilewright-attack", "wb") as file:
        os.unlink(file.name)
        return file.write(bytes(1 << 20))
