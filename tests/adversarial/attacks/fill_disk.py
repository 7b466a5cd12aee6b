"""Fill the disk with one large file."""

import world

STOPPED_BY = "EPERM"
HARMS_WHEN_UNCONFINED = True


def attack():
    with open(world.writable_directory + "/large", "wb") as file:
        for _ in range(64):
            file.write(bytes(1 << 20))
    return "64 MiB written"
