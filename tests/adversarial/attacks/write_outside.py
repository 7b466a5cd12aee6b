"""Create a file."""

import world

STOPPED_BY = "EPERM"
HARMS_WHEN_UNCONFINED = True


def attack():
    with open(world.writable_directory + "/planted", "w", encoding="utf-8") as file:
        return file.write("x")
