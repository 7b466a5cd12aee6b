"""Append a line to a start-up file of the user."""

import world

STOPPED_BY = "EPERM"
HARMS_WHEN_UNCONFINED = True


def attack():
    with open(world.writable_directory + "/bashrc", "a", encoding="utf-8") as file:
        return file.write("touch /tmp/owned")
